"""What the vllm engine promises beyond the contract.

The first part needs no vLLM. The others run where vLLM is installed, or against a server in the
environment that ASKESIS_VLLM_PYTHON names; where there is neither they are skipped with the
command that makes one (`vllm_env.HOW`), and a test says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from askesis.engines import vllm_local
from askesis.engines.open import open_engine
from askesis.engines.vllm import VllmEngine
from askesis.engines.vllm_rows import (
    Answer,
    Stops,
    end_of,
    is_plain,
    say_settings,
    score_ask,
    scored,
)
from askesis.engines.vllm_rows import check_settings as check
from askesis.engines.vllm_server import VllmServer
from askesis.engines.vllm_weights import WeightSet, save_checkpoint
from askesis.errors import ModelError
from askesis.records import StopReason
from askesis.requests import Sampling, ScoreTokens
from askesis.rng import key
from tests.engines import vllm_env
from tests.engines.cast import adapted_over, ask, context, small_model

os.environ["NO_PROXY"] = "127.0.0.1"  # whatever proxy a machine has, not for the loopback address

in_process = pytest.mark.skipif(not vllm_env.here(), reason=vllm_env.HOW)
with_server = pytest.mark.skipif(not vllm_env.interpreter(), reason=vllm_env.HOW)


def wide_model(seed: int = 0):
    """Heads of 32 numbers: the smallest that vLLM's attention on a CPU has."""
    return small_model(seed, head_dim=32)


def own(model, ids: np.ndarray) -> np.ndarray:
    """(T,) log-probabilities by the model's own forward."""
    with torch.no_grad():
        tokens = torch.from_numpy(np.asarray(ids, np.int64))[None]
        return model.outputs(SimpleNamespace(tokens=tokens)).logp[0].numpy()


ROW = np.concatenate([context(6), context(9, 1)])


def worst(engine, model, weights: str = "") -> float:
    """The largest difference between the engine's scores of a row and the model's own."""
    (score,) = engine.score([ScoreTokens(ROW[:6], ROW[6:], weights)])
    return float(np.abs(score - own(model, ROW)[6:]).max())


def move(model) -> None:
    """Change every trained weight in place, as an optimiser does."""
    with torch.no_grad():
        for parameter in model.module.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.1)


# ---------------------------------------------------------------- without vLLM


def test_where_vllm_is_missing_it_is_said_what_to_do(monkeypatch):
    if not vllm_env.interpreter():
        warnings.warn(vllm_env.HOW, stacklevel=1)  # shown in the summary of the test run
    monkeypatch.setattr(vllm_local, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="vLLM is not installed") as error:
        VllmEngine(wide_model())
    assert "pip install vllm" in str(error.value)
    assert "\n" not in str(error.value)
    VllmEngine(wide_model(), url="http://127.0.0.1:9")  # a server needs nothing here


def test_a_model_it_cannot_speak_for_is_refused():
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="no attention for heads of 8"):
            open_engine("vllm?url=http://127.0.0.1:9", small_model())
    for options, says in (
        ({"max_rows": 0}, "max_rows"),
        ({"dtype": "float8"}, "no dtype"),
        ({"url": "x", "python": "y"}, "not both"),
    ):
        with pytest.raises(ModelError, match=says):
            VllmEngine(wide_model(), **options)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"temperature": 0.005}, "temperature"),
        ({"top_p": 0.9, "min_p": 0.1}, "min_p first"),
        ({"bias": {3: 101.0}}, "from -100 to 100"),
        ({"temperature": -1.0}, "cannot sample with"),
    ],
    ids=str,
)
def test_settings_that_vllm_reads_otherwise_are_refused(settings, says):
    with pytest.raises(ModelError, match=says):
        check(Sampling(**settings), 264, 100.0)
    for fine in ({"top_p": 0.9}, {"min_p": 0.1, "top_k": 3}, {"bias": {3: -100.0}}):
        check(Sampling(**fine), 264, 100.0)


def test_settings_are_told_in_vllms_words():
    request = ask(context(4), -1, (5, 6), temperature=0.5, top_k=3, top_p=0.9, allowed=(1, 2),
                  bias={1: 2})  # fmt: skip
    told = say_settings(request, 7)
    assert told["seed"] == 2**63 - 1  # a key has 64 bits, a seed is signed
    assert told["stop_token_ids"] == [5, 6]
    assert (told["max_tokens"], told["top_k"], told["top_p"]) == (7, 3, 0.9)
    assert (told["allowed_token_ids"], told["logit_bias"]) == ([1, 2], {1: 2.0})
    assert "min_p" not in told
    assert is_plain(Sampling())
    assert is_plain(Sampling(temperature=0, top_k=3))
    for other in ({"temperature": 0.9}, {"top_p": 0.9}, {"allowed": (1,)}, {"bias": {1: 1.0}}):
        assert not is_plain(Sampling(**other))


def test_a_row_that_fills_the_context_is_scored_to_its_last_token():
    request = ScoreTokens(context(3), np.array([7, 8, 9], np.int32))
    asked = score_ask(request, 0, "")
    assert asked.tokens == [*context(3).tolist(), 7, 8]
    assert asked.settings["logprob_token_ids"] == [9]
    read = np.array([-1, -2, -3, -4], np.float32)  # of the four tokens after the first
    found = scored(request, Answer([0], np.zeros(1, np.float32), read, -5.0))
    assert found.tolist() == [-3.0, -4.0, -5.0]
    assert found.dtype == np.float32


def test_a_turn_ends_with_the_token_that_completes_a_stop_string():
    renderer = wide_model().renderer
    requests = [
        ask(context(4), stop=("cd",), stop_tokens=(ord("d"),)),
        ask(context(4), stop=("\u00e9",)),
    ]
    stops = Stops(requests, renderer)
    said = list(b"abcde")
    assert [stops.over(0, said[:n]) for n in range(1, 6)] == [False, False, False, True, False]
    answer = Answer(said, np.zeros(5, np.float32))
    assert end_of(requests[0], 0, answer, stops, StopReason.LENGTH) == (4, StopReason.ENDED)
    accent = list("x\u00e9".encode())
    answer = Answer(accent, np.zeros(3, np.float32))
    assert end_of(requests[1], 1, answer, stops, StopReason.LENGTH) == (3, StopReason.STOP_STRING)
    assert end_of(requests[1], 1, Answer(accent[:2], answer.logp), stops, StopReason.CONTEXT) == (
        2, StopReason.CONTEXT,
    )  # fmt: skip


def test_adapters_and_their_base_share_what_vllm_holds_and_changes_are_seen():
    base = wide_model()
    base.trainable = False
    one, two = adapted_over(base, 0), adapted_over(base, 1)
    sets = [WeightSet(m) for m in (base, one, two)]
    assert len({some.base() for some in sets}) == 1
    assert [some.rank for some in sets] == [0, 2, 2]
    before = sets[1].state()
    move(one)
    assert sets[1].state() != before
    assert sets[1].base() == sets[0].base()
    pinned = WeightSet(one, one.copy_weights())
    assert pinned.rank == 2
    assert pinned.base() == sets[0].base()
    merged = WeightSet(one, merge=True)
    assert merged.rank == 0
    assert merged.base() != sets[0].base()
    trained = WeightSet(wide_model())
    first = trained.base()
    trained.model.version += 1
    assert trained.base() != first


def test_a_checkpoint_for_vllm_has_a_head_of_its_own(tmp_path):
    model = wide_model()
    save_checkpoint(model, WeightSet(model).whole(), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert torch.equal(tensors["lm_head.weight"], tensors["model.embed_tokens.weight"])
    assert '"tie_word_embeddings": false' in (tmp_path / "config.json").read_text()


@pytest.mark.slow
def test_a_server_that_does_not_come_up_is_told_of_and_leaves_nothing(tmp_path):
    with pytest.raises(ModelError, match="no interpreter"):
        VllmServer(tmp_path, "/no/such/python")
    fails = tmp_path / "fails"
    fails.write_text("#!/bin/sh\necho booting; echo 'OSError: no such model'; exit 3\n")
    sleeps = tmp_path / "sleeps"
    sleeps.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/child; wait\n")
    for script in (fails, sleeps):
        script.chmod(0o755)
    with pytest.raises(ModelError, match=r"exit status 3: OSError: no such model"):
        VllmServer(tmp_path, str(fails))
    with pytest.raises(ModelError, match=r"not up after 0\.5 s"):
        VllmServer(tmp_path, str(sleeps), wait_s=0.5)
    child = int((tmp_path / "child").read_text())
    assert not runs(child)


def runs(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@contextmanager
def endpoint(status: int, content: bytes):
    """A server that gives everybody one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_url_without_a_vllm_server_is_told_of_in_one_line():
    pytest.importorskip("openai", reason="a server is asked through the library openai")
    with endpoint(404, b"{}") as url, pytest.raises(ModelError, match="Is it vLLM") as error:
        VllmEngine(wide_model(), url=url).say([ask(context(3))])
    assert "\n" not in str(error.value)
    with endpoint(200, b'{"data": []}') as url, pytest.raises(ModelError, match="no vLLM server"):
        VllmEngine(wide_model(), url=url).say([ask(context(3))])
    with endpoint(400, b'{"error": {"message": "no\\nway"}}') as url:
        with pytest.raises(ModelError, match="refused") as error:
            VllmEngine(wide_model(), url=url).say([ask(context(3))])
        assert "\n" not in str(error.value)


# ---------------------------------------------------------------- in this process


@in_process
@pytest.mark.slow
def test_weights_in_place_cost_less_than_opening_anew_and_are_exact():
    model = wide_model()
    engine = VllmEngine(model)
    assert worst(engine, model) < 1e-4
    backend = engine._backend
    for _ in range(3):
        move(model)
        assert worst(engine, model) < 1e-4
    assert engine._backend is backend  # never opened anew
    engine.close()
    assert worst(engine, model) < 1e-4  # opens again when it is asked again
    engine.close()


@in_process
@pytest.mark.slow
def test_several_engines_live_side_by_side_and_one_closes_without_the_others():
    models = [wide_model(seed) for seed in range(3)]
    engines = [VllmEngine(model) for model in models]
    for engine, model in zip(engines, models, strict=True):
        assert worst(engine, model) < 1e-4
    engines[1].close()
    for i in (0, 2):
        move(models[i])
        assert worst(engines[i], models[i]) < 1e-4
        engines[i].close()


@in_process
@pytest.mark.slow
def test_adapters_are_served_together_over_one_base_that_is_never_replaced(monkeypatch):
    base = wide_model()
    base.trainable = False
    one, two = adapted_over(base, 0), adapted_over(base, 1)
    engine = VllmEngine(base)
    assert worst(engine, base) < 1e-4
    engine.attach(one, "one")  # opened anew once, with room for adapters
    engine.attach(two, "two")
    engine.score([ScoreTokens(ROW[:6], ROW[6:], "one")])
    puts = []
    monkeypatch.setattr(engine._backend, "put", lambda weights: puts.append(weights))
    rows = [ask(context(5, i), i, weights=("", "one", "two")[i % 3]) for i in range(9)]
    models = {"": base, "one": one, "two": two}
    for request, said in zip(rows, engine.say(rows), strict=True):
        whole = np.concatenate([request.context, said.tokens])
        expected = own(models[request.weights], whole)[5:]
        np.testing.assert_allclose(said.logp_model, expected, atol=1e-4)
    move(one)
    engine.load(two.copy_weights(), "pinned")
    move(two)
    assert worst(engine, one, "one") < 1e-4
    assert worst(engine, two, "two") < 1e-4
    assert worst(engine, two, "pinned") > 1e-2
    assert puts == []
    engine.drop("pinned")
    engine.close()


@in_process
@pytest.mark.slow
def test_rows_whose_stop_string_is_complete_leave_at_once():
    model = wide_model()
    engine = VllmEngine(model)
    (free,) = engine.say([ask(context(4), 7, max_tokens=55, allowed=tuple(range(97, 105)))])
    text = model.renderer.decode(free.tokens)
    engine.gauge.num_said = 0
    stopped = ask(context(4), 7, max_tokens=55, allowed=tuple(range(97, 105)), stop=(text[2:5],))
    (said,) = engine.say([stopped])
    assert said.stop is StopReason.STOP_STRING
    assert len(said.tokens) == engine.gauge.num_said == text.index(text[2:5]) + 3
    engine.close()


@in_process
@pytest.mark.slow
def test_a_failure_in_the_middle_leaves_an_engine_that_goes_on(monkeypatch):
    model = wide_model()
    engine = VllmEngine(model, max_rows=4)
    (expected,) = engine.say([ask(context(4), 7)])
    inner = engine._backend._engine
    step, calls = inner.step, []

    def interrupted():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step()

    monkeypatch.setattr(inner, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.say([ask(context(4), k) for k in range(9)])
    monkeypatch.undo()
    assert not inner.has_unfinished_requests()
    assert engine.gauge.running == engine.gauge.waiting == 0
    (said,) = engine.say([ask(context(4), 7)])
    assert said.tokens.tolist() == expected.tokens.tolist()
    engine.close()


@in_process
@pytest.mark.slow
def test_opening_and_closing_leave_the_process_as_it_was():
    model = wide_model()
    before = dict(os.environ), torch.set_num_threads, torch.get_num_threads()
    state = torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].tolist()
    engine = VllmEngine(model)
    engine.say([ask(context(4), key("k", i)) for i in range(3)])
    move(model)
    engine.say([ask(context(4), key("k", i)) for i in range(3)])
    engine.close()
    assert (dict(os.environ), torch.set_num_threads, torch.get_num_threads()) == before
    assert torch.equal(state, torch.random.get_rng_state())
    assert numpy_state == np.random.get_state()[1].tolist()


@in_process
@pytest.mark.slow
def test_in_bfloat16_log_probabilities_stay_within_a_tenth():
    model = small_model(head_dim=32, initializer_range=0.2)
    engine = VllmEngine(model, dtype="bfloat16")
    assert 0 < worst(engine, model) < 0.1
    move(model)
    assert worst(engine, model) < 0.1
    engine.close()


# ---------------------------------------------------------------- a server of our own


@with_server
@pytest.mark.slow
def test_a_server_says_the_same_and_takes_weights_and_adapters_in_place():
    """One server for all of it, because it takes a minute to come up; it is gone afterwards."""
    pytest.importorskip("openai", reason="a server is asked through the library openai")
    base = wide_model()
    one, two = adapted_over(base, 0), adapted_over(base, 1)
    engine = VllmEngine(base, max_rows=16, python=vllm_env.interpreter())
    assert "replayable" not in engine.capabilities
    engine.attach(one, "one")
    engine.attach(two, "two")
    limit = base.renderer.context_length
    try:
        requests = [
            ask(context(9), 1),
            ask(context(9), 2, temperature=0),
            ask(context(9), 3, temperature=0.7, top_k=5),
            ask(context(9), 3, allowed=(3, 50, 99), bias={50: 3.0}),
            ask(context(20), 3, stop=("e", "f"), max_tokens=40),
            ask(context(limit - 1), 4),
            ask(context(limit), 4),
            ask(context(limit - 2), 4, max_tokens=2),
            ask(context(9), 5, weights="one"),
            ask(context(9), 5, weights="two", min_p=0.1),
        ]
        models = {"": base, "one": one, "two": two}
        answers = engine.say(requests)
        for request, said in zip(requests, answers, strict=True):
            whole = np.concatenate([request.context, said.tokens])
            expected = own(models[request.weights], whole)[len(request.context) :]
            np.testing.assert_allclose(said.logp_model, expected, atol=1e-4)
        stops = [said.stop for said in answers]
        assert stops[5:8] == [StopReason.CONTEXT, StopReason.CONTEXT, StopReason.LENGTH]
        assert stops[0] is StopReason.LENGTH
        assert (answers[1].logp_sampling == 0).all()
        assert not np.allclose(answers[2].logp_sampling, answers[2].logp_model)
        text = base.renderer.decode(answers[4].tokens)
        assert stops[4] is StopReason.LENGTH or text[-1] in "ef"
        full = np.concatenate([context(30), context(limit - 30, 1)])
        (score,) = engine.score([ScoreTokens(full[:30], full[30:])])
        np.testing.assert_allclose(score, own(base, full)[30:], atol=1e-4)
        server = engine._server
        for model, name in ((base, ""), (one, "one")):
            move(model)
            assert worst(engine, model, name) < 1e-4
        assert engine._server is server  # in place
        assert engine.gauge.num_reused >= 0
        with pytest.raises(ModelError, match="refused"):
            engine._backend.add_adapter("nobody", "/no/such/folder")
    finally:
        pid = engine._server.pid if engine._server else 0
        engine.close()
    assert pid
    assert not runs(pid)


@with_server
@pytest.mark.slow
@pytest.mark.skipif(vllm_env.here(), reason="they are collected in this process")
def test_the_contract_battery_passes_in_the_environment_that_has_vllm():
    """The battery and the tests above, in the other interpreter."""
    root = Path(__file__).resolve().parents[2]
    python = vllm_env.interpreter()
    began = time.monotonic()
    done = subprocess.run(
        [python, "-m", "pytest", "-o", "addopts=", "-q", "-p", "no:cacheprovider", "-k", "vllm",
         "tests/engines/test_contract.py", "tests/engines/test_vllm.py",
         "--deselect", "tests/engines/test_vllm.py::test_a_server_says_the_same_and_takes_weights"
         "_and_adapters_in_place"],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    last = [line for line in done.stdout.splitlines() if " passed" in line or " failed" in line]
    print(f"{last} in {time.monotonic() - began:.0f} s", file=sys.stderr)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(last[-1].split(" passed")[0].split()[-1]) >= 45
