"""The engine of endpoints against a real server on the loopback address, good and bad."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from askesis.engines.open import open_engine
from askesis.engines.openai import OpenAIEngine
from askesis.errors import ModelError
from askesis.explore.sample import SampleAttempts
from askesis.learn.learner import Learn
from askesis.models.load import open_model
from askesis.models.remote import RemoteModel
from askesis.models.shelf import Shelf
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.records import Group, Start, StopReason, Task, Turn, Verdict
from askesis.requests import Sampling, SayTokens, ScoreTokens
from askesis.rng import key
from tests.engines.endpoint import Loopback, echo, text_of, the_error
from tests.engines.endpoint import ask_chat as ask
from tests.probes.house import Draw, LetterWorld, Weighted, run_plan, verdict

pytest.importorskip("openai", reason="the extra `openai` is not installed")

TASK = Task("t", "f-v1", "hello")


# ---------------------------------------------------------------- what is said


def test_a_conversation_arrives_as_messages_and_its_answer_as_bytes(speak):
    with Loopback(echo) as server:
        engine = speak(server, system="Be brief.")
        renderer = engine.model.renderer
        own = Turn("policy", "an answer \U0001f600", tokens=renderer.encode("an answer \U0001f600"),
                   context=renderer.render(Start(TASK)))  # fmt: skip
        turns = (own, Turn("world", "no"), Turn("critic", "look <|end|> again"))
        context = renderer.render(Start(TASK), turns)
        (said,) = engine.say([SayTokens(context, Sampling(max_tokens=9), key("k"), (257,))])
    exchange = server.asked[0]
    assert exchange.path == "/v1/chat/completions"
    assert exchange.body["model"] == "big"
    assert exchange.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "an answer \U0001f600"},
        {"role": "user", "content": "no\n\nlook <|end|> again"},
    ]
    assert text_of(said) == "NO\n\nLOOK <|END|> AGAIN"
    assert said.tokens[-1] == renderer.end_token
    assert said.stop is StopReason.ENDED
    assert len(said.logp_model) == len(said.logp_sampling) == 0
    assert (said.usage.prompt_tokens, said.usage.tokens, said.usage.cached) == (10, 2, False)


def test_all_settings_and_a_seed_from_the_key_are_sent(speak):
    with Loopback(echo) as server:
        engine = speak(server, extra='{"top_p": null, "effort": "low"}')
        engine.say([ask(k=1, temperature=0.5, max_tokens=7), ask(k=2), ask(k=2, temperature=0)])
        engine.say([ask(k=3)])
        official = speak(server, server="openai")
        official.say([ask(k=4, max_tokens=7)])
    bodies = sorted((x.body for x in server.asked[:3]), key=lambda b: b["temperature"])
    greedy, half, one = bodies
    assert (half["temperature"], half["max_tokens"], half["effort"]) == (0.5, 7, "low")
    assert "top_p" not in half
    assert all(0 <= b["seed"] < 2**31 for b in (half, one, server.asked[3].body))
    assert len({half["seed"], one["seed"], server.asked[3].body["seed"]}) == 3
    assert "seed" not in greedy
    assert server.asked[4].body["max_completion_tokens"] == 7


@pytest.mark.slow
def test_answers_come_in_the_order_of_the_requests(speak):
    def behave(exchange):
        time.sleep(0.02 * (exchange.number % 3))
        echo(exchange)

    with Loopback(behave) as server:
        said = speak(server).say([ask(f"text {i}", i) for i in range(20)])
    assert [text_of(s) for s in said] == [f"TEXT {i}" for i in range(20)]


@pytest.mark.parametrize("most", [1, 3])
def test_as_many_requests_run_at_a_time_as_were_allowed_and_no_more(speak, most):
    together = threading.Barrier(most)  # nobody is answered before so many wait

    def behave(exchange):
        together.wait(timeout=20)
        echo(exchange)

    with Loopback(behave) as server:
        engine = speak(server, max_concurrency=most)
        said = engine.say([ask(k=i) for i in range(6)])
    assert len(said) == 6
    assert server.most_at_once == most
    assert engine.gauge.running == engine.gauge.waiting == 0


def test_the_gauge_tells_what_runs_and_what_waits(speak):
    engine = None

    def behave(exchange):
        seen.append((engine.gauge.running, engine.gauge.waiting))
        echo(exchange)

    seen: list[tuple[int, int]] = []
    with Loopback(behave) as server:
        engine = speak(server, max_concurrency=1)
        engine.say([ask(k=i) for i in range(3)])
    assert seen == [(1, 2), (1, 1), (1, 0)]
    assert (engine.gauge.num_said, engine.gauge.num_read) == (6, 30)


def test_stop_strings_are_kept_and_what_follows_them_is_not(speak):
    with Loopback(lambda x: x.say("one\ntwo END", finish="length")) as server:
        stopped, never = speak(server).say([ask(stop=("END", "\n")), ask(stop=("zzz",), k=2)])
    assert text_of(stopped) == "one\n"
    assert stopped.stop is StopReason.STOP_STRING
    assert never.stop is StopReason.LENGTH
    assert never.tokens[-1] != 257  # it did not end its turn


def test_no_room_and_no_allowance_cost_no_request(speak):
    model = RemoteModel("judge", "big")
    model.renderer.context_length = 4
    with Loopback(echo) as server:
        full, nothing = speak(server, model).say([ask("a long text"), ask("", max_tokens=0)])
    assert (full.stop, nothing.stop) == (StopReason.CONTEXT, StopReason.LENGTH)
    assert server.asked == []


def test_several_answers_of_one_prompt_can_be_one_request(speak):
    def behave(exchange):
        exchange.say(*(f"{exchange.last_message} {i}" for i in range(exchange.body.get("n", 1))))

    with Loopback(behave) as server:
        engine = speak(server, server="vllm", group=True, price_in=1e6)
        said = engine.say([ask("a", 1), ask("b", 2), ask("a", 3), ask("a", 4)])
        again = engine.say([ask("a", 4), ask("a", 5)])
    assert [text_of(s) for s in said] == ["a 0", "b 0", "a 1", "a 2"]
    assert sorted(x.body.get("n", 1) for x in server.asked[:2]) == [1, 3]
    assert [s.usage.tokens for s in said] == [6, 2, 0, 0]  # one bill, at the first of them
    assert [text_of(s) for s in again] == ["a 2", "a 0"]
    assert engine.cost == 10 + 10 + 10


# ---------------------------------------------------------------- log-probabilities


def with_logprobs(pieces: list[tuple[str, float]], finish: str = "stop"):
    content = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in pieces]
    spoken = "".join(t for t, _ in pieces if t != "<eos>")
    return lambda exchange: exchange.say(spoken, finish=finish, logprobs={"content": content})


def test_bytes_carry_the_log_probabilities_of_the_servers_tokens(speak):
    with Loopback(with_logprobs([("né", -0.5), (" ok", -1.25), ("<eos>", -2.0)])) as server:
        engine = speak(server, logprobs=True)
        (said,) = engine.say([ask()])
        (warm,) = engine.say([ask(temperature=0.7)])
        (greedy,) = engine.say([ask(temperature=0)])
    assert server.asked[0].body["logprobs"] is True
    assert said.logp_model.tolist() == [-0.5, 0, 0, -1.25, 0, 0, -2.0]
    assert said.logp_sampling.tolist() == said.logp_model.tolist()
    assert said.logp_model.dtype == np.float32
    # With a temperature it is not known which distribution a server speaks of.
    assert np.isnan(warm.logp_model).all() and np.isnan(warm.logp_sampling).all()
    assert (greedy.logp_sampling == 0).all() and np.isnan(greedy.logp_model).all()
    assert "logp" in engine.capabilities and "exact_logp" not in engine.capabilities


def test_log_probabilities_of_a_server_that_tells_the_models_own_stand_at_the_model(speak):
    with Loopback(with_logprobs([("no", -0.5)])) as server:
        (said,) = speak(server, server="vllm", logprobs=True).say([ask(temperature=0.7)])
    assert said.logp_model.tolist() == [-0.5, 0, 0]
    assert np.isnan(said.logp_sampling).all()


def test_log_probabilities_of_another_text_are_unknown(speak):
    def behave(exchange):
        silent = {"token": "hm", "logprob": -0.5, "bytes": [104, 109]}
        exchange.say("yes", logprobs={"content": [silent]})

    with Loopback(behave) as server:
        (said,) = speak(server, logprobs=True).say([ask()])
    assert text_of(said) == "yes"
    assert np.isnan(said.logp_model).all() and len(said.logp_model) == 4


def test_a_server_that_tells_none_where_they_were_asked_for_is_named(speak):
    with Loopback(echo) as server:
        assert "logprobs=false" in the_error(speak(server, logprobs=True).say([ask()]))
    assert len(server.asked) == 1


# ---------------------------------------------------------------- token ids


@pytest.fixture(scope="module")
def by_ids(tmp_path_factory):
    """A model that speaks token ids: the tiny model's vocabulary and a context of 64."""
    place = tmp_path_factory.mktemp("tokenizer")
    tiny_model("policy", max_position_embeddings=64).save(place)
    return open_model("policy", f"openai:big?tokenizer={place}&url=http://x/v1")


def completion(exchange) -> None:
    """What a vLLM server says: ids one higher than the last ids it read, and their figures."""
    prompt, body = exchange.body["prompt"], exchange.body
    if "prompt_logprobs" in body:
        told = [None, *({str(t): {"logprob": -t / 100}} for t in prompt[1:])]
        exchange.json({"choices": [{"index": 0, "text": "", "finish_reason": "length",
                                    "token_ids": [1], "prompt_logprobs": told}]})  # fmt: skip
        return
    ids = [(prompt[-1] + i) % 256 for i in range(1, body["max_tokens"] + 1)]
    choice = {"index": 0, "text": "not looked at", "token_ids": ids, "finish_reason": "length",
              "logprobs": {"token_logprobs": [-t / 100 for t in ids]}}  # fmt: skip
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(ids)}
    exchange.json({"choices": [choice], "usage": usage})


def row(*ids: int, **sampling: Any) -> SayTokens:
    settings = Sampling(**({"max_tokens": 4} | sampling))
    return SayTokens(np.array(ids, np.int32), settings, key("k"), (257,))


def test_token_ids_go_out_and_come_back_as_they_are(speak, by_ids):
    with Loopback(completion) as server:
        engine = speak(server, by_ids, server="vllm")
        settings = {"top_k": 5, "min_p": 0.1, "allowed": (3, 4), "bias": {7: 1.5}, "stop": ("zz",)}
        said, cut, filtered = engine.say([row(97), row(97, stop=("d",)), row(97, **settings)])
        (near_end,) = engine.say([row(*range(62))])
    body = next(x.body for x in server.asked if x.body.get("top_k"))
    assert body["prompt"] == [97]
    assert (body["top_k"], body["min_p"], body["allowed_token_ids"]) == (5, 0.1, [3, 4])
    assert (body["logit_bias"], body["stop"]) == ({"7": 1.5}, ["zz"])
    assert (body["stop_token_ids"], body["include_stop_str_in_output"]) == ([257], True)
    assert said.tokens.tolist() == [98, 99, 100, 101]
    np.testing.assert_allclose(said.logp_model, [-0.98, -0.99, -1.0, -1.01], atol=1e-6)
    assert said.stop is StopReason.LENGTH
    assert cut.tokens.tolist() == [98, 99, 100]  # b, c, d
    assert (cut.stop, len(cut.logp_model)) == (StopReason.STOP_STRING, 3)
    assert np.isnan(filtered.logp_sampling).all() and not np.isnan(filtered.logp_model).any()
    assert (near_end.stop, len(near_end.tokens)) == (StopReason.CONTEXT, 2)
    assert {"score", "logp", "allowed", "bias", "min_p"} <= engine.capabilities


def test_given_texts_are_scored_where_the_server_tells_them(speak, by_ids):
    rows = [ScoreTokens(np.array([5, 6], np.int32), np.array(t, np.int32)) for t in ([7, 8], [])]
    with Loopback(completion) as server:
        engine = speak(server, by_ids, server="vllm")
        scores, nothing = engine.score(rows)
        again, _ = engine.score(rows)
    np.testing.assert_allclose(scores, [-0.07, -0.08], atol=1e-6)
    assert scores.tolist() == again.tolist() and len(nothing) == 0
    assert len(server.asked) == 1
    with pytest.raises(ModelError, match="does not fit"):
        engine.score([ScoreTokens(np.zeros(60, np.int32), np.zeros(9, np.int32))])


def test_a_server_that_echoes_scores_as_well(speak, by_ids):
    def behave(exchange):
        told = [None, -1.0, -2.0, -3.0, -9.0]
        choice = {"text": "x", "finish_reason": "length", "logprobs": {"token_logprobs": told}}
        exchange.json({"choices": [choice]})

    row = ScoreTokens(np.array([5, 6], np.int32), np.array([7, 8], np.int32))
    with Loopback(behave) as server:
        engine = speak(server, by_ids, echo=True)
        (scores,) = engine.score([row])
    assert scores.tolist() == [-2.0, -3.0]
    assert server.asked[0].body["echo"] is True


def test_a_server_that_tells_no_ids_has_its_text_tokenised_again(speak, by_ids):
    def behave(exchange):
        exchange.json({"choices": [{"text": "ok", "finish_reason": "stop"}]})

    with Loopback(behave) as server:
        (said,) = speak(server, by_ids).say([row(97)])
    assert said.tokens.tolist() == [111, 107, 257]
    assert (said.usage.prompt_tokens, said.usage.tokens) == (1, 3)  # ours, where it tells none


# ---------------------------------------------------------------- what cannot be done


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -1.0}, "cannot sample with temperature"),
        ({"top_k": 3}, "cannot sample with top_k.*server=vllm"),
        ({"min_p": 0.1}, "does not honour.*min p"),
        ({"bias": {1: 2.0}}, "does not honour.*bias"),
        ({"allowed": (1,)}, "does not honour.*allowed"),
    ],
    ids=str,
)
def test_settings_that_an_endpoint_cannot_sample_under_are_refused(speak, settings, words):
    with Loopback(echo) as server:
        with pytest.raises(ModelError, match=words):
            speak(server).say([ask(**settings)])
        assert server.asked == []


def test_the_middle_of_a_turn_cannot_be_continued_over_messages(speak):
    half = ask().context[:-1]
    request = SayTokens(half, Sampling(max_tokens=3), 1, ())
    with Loopback(echo) as server:
        bad, good = speak(server).say([request, ask()])
    assert "tokenizer=DIR" in the_error([bad])
    assert text_of(good) == "HELLO"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("openai?url=127.0.0.1:8000", "http://HOST:PORT/v1"),
        ("openai?url=http://x/v1&server=vlm", "vllm"),
        ("openai?url=http://x/v1&timeout_s=0", "more than 0"),
        ("openai?url=http://x/v1&group=true", "server=vllm"),
        ("openai?url=http://x/v1&echo=true", "tokenizer=DIR"),
        ("openai?url=http://x/v1&extra=[1]", "JSON object"),
        ("openai?key_env=NO_SUCH_KEY", "export NO_SUCH_KEY"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_one_line(spec, words):
    with pytest.raises(ModelError, match=words) as error:
        open_engine(spec, RemoteModel("judge", "big"))
    assert "\n" not in str(error.value)


def test_only_models_behind_an_endpoint_are_spoken_for():
    with pytest.raises(ModelError, match="not behind an endpoint"):
        open_engine("openai", TabularModel("policy", "ab"))


def test_a_remote_model_is_opened_from_its_source():
    model = open_model("judge", "openai:org/big:v2?url=http://127.0.0.1:9/v1&context=100")
    assert (model.remote_name, model.url) == ("org/big:v2", "http://127.0.0.1:9/v1")
    assert (model.renderer.context_length, model.trainable) == (100, False)
    engine = open_engine("auto", model)
    assert (engine.name, engine.url) == ("openai", model.url)
    assert "score" not in engine.capabilities
    with pytest.raises(ModelError, match="cannot tell"):
        engine.score([])


def test_a_machine_without_the_library_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "askesis[openai]" in OpenAIEngine.refusal(RemoteModel("judge", "big"))


def test_a_remote_model_is_pinned_saved_and_restored_like_any_other(tmp_path):
    model = RemoteModel("judge", "big")
    shelf = Shelf({"judge": model}, [("judge", "base")])
    shelf.save(tmp_path / "shelf")
    model.save_state(tmp_path / "state")
    shelf.load(tmp_path / "shelf")
    model.load_state(tmp_path / "state")
    shelf.restore(model, "base")
    assert shelf.find("judge", "base") == "judge@0"
    assert shelf.weights("judge", "base") == {} == model.weights()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ModelSpec(source="openai:"), "names no model"),
        (ModelSpec(source="openai:big?tokeniser=x"), "tokenizer"),
        (ModelSpec(source="openai:big?tokenizer=/nowhere"), "cannot open the tokeniser"),
        (ModelSpec(source="openai:big", lora_rank=4), "no weights here"),
        (ModelSpec(source="openai:big", heads=("value",)), "no weights here"),
    ],
    ids=str,
)
def test_a_remote_model_that_cannot_be_is_refused_in_one_line(spec, words):
    with pytest.raises(ModelError, match=words) as error:
        open_model("judge", spec)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------- a whole run


@dataclass(frozen=True, kw_only=True)
class AskTheJudge:
    """The judge reads the answer and says yes or no."""

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        found = []
        for attempt in group.attempts:
            said = await ctx.say("judge", Start(attempt.task), attempt.turns, max_tokens=3)
            found.append(verdict("judge", attempt, float(said.text == "yes")))
        return found


def a_judge(exchange) -> None:
    exchange.say("yes" if exchange.last_message.endswith("x") else "no")


@pytest.mark.slow
def test_a_run_with_a_judge_behind_an_endpoint_learns_and_repeats_for_nothing(tmp_path):
    parts = Parts(
        tasks=Draw(num=8),
        explore=SampleAttempts(num_attempts=4, max_tokens=1),
        judge=AskTheJudge(),
        select={"policy": Weighted(baseline=0.5)},
        learn={"policy": Learn(learning_rate=0.3, schedule="constant")},
    )

    def once(server: Loopback, place: str):
        engine = f"openai?url={server.url}&cache={tmp_path / 'answers'}"
        plan = Plan(
            recipe="judged_from_outside",
            phases=(Phase(parts=parts, until=Until(rounds=4)),),
            models={"policy": ModelSpec(), "judge": ModelSpec(source="openai:big")},
            roles={"policy": RoleSpec(), "judge": RoleSpec(model="judge", engine=engine)},
        )
        world = LetterWorld({"a": "x", "b": "x"})
        models = {
            "policy": TabularModel("policy", "abxy"),
            "judge": open_model("judge", "openai:big"),
        }
        run = run_plan(plan, {"main": world}, models, tmp_path / place)
        return models["policy"].weights(), run

    with Loopback(a_judge) as server:
        weights, run = once(server, "first")
        num_asked = len(server.asked)
        again, _ = once(server, "second")
    assert 0 < num_asked <= 4 * 8 * 4
    assert len(server.asked) == num_asked  # every answer of the second run was on disk
    for name, tensor in weights.items():
        assert tensor.equal(again[name])
    values = [v.value for v in run.store.read("verdicts", {"round": 3})]
    assert np.mean(values) > 0.5
    assert run.shelf.current("judge") == "judge@0"
