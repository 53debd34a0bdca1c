"""Answers of endpoints that were paid for are kept on disk and not asked for again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from askesis.errors import ModelError
from tests.engines.endpoint import Loopback, echo, text_of
from tests.engines.endpoint import ask_chat as ask

pytest.importorskip("openai", reason="the extra `openai` is not installed")


def test_an_answer_on_disk_is_not_asked_for_again(speak, tmp_path):
    with Loopback(echo) as server:
        requests = [ask(f"t{i}", i) for i in range(5)]
        first = speak(server, price_in=1e6, price_out=1e6).say(requests)
        engine = speak(server, price_in=1e6, price_out=1e6)
        second = engine.say(requests)
        assert len(server.asked) == 5
        for a, b in zip(first, second, strict=True):
            assert a.tokens.tobytes() == b.tokens.tobytes() and a.stop is b.stop
            assert (a.usage.cost, a.usage.cached) == (12, False)
            assert (b.usage.cost, b.usage.cached, b.usage.tokens) == (0, True, 2)
        assert engine.cost == 0 and engine.desk.num_kept == 5
        assert (engine.gauge.num_reused, engine.gauge.num_said) == (60, 0)
        speak(server, cache="off").say(requests)
        assert len(server.asked) == 10
        others = [ask("t0", 99), ask("t0", 0, max_tokens=3), ask("t0", 0, temperature=0.5)]
        engine.say(others)  # whatever determines an answer tells it apart
        assert len(server.asked) == 13
    written = "".join(p.read_text() for p in (tmp_path / "answers").rglob("*.json"))
    assert "secret" not in written
    assert not list((tmp_path / "answers").rglob("*.part"))


def test_equal_requests_of_one_batch_are_asked_once(speak):
    with Loopback(lambda x: x.say(f"answer {x.number}")) as server:
        engine = speak(server, price_out=1e6)
        said = engine.say([ask(k=1), ask(k=2), ask(k=1), ask(k=3, temperature=0),
                           ask(k=4, temperature=0)])  # fmt: skip
    assert len(server.asked) == 3
    assert text_of(said[0]) == text_of(said[2])
    assert text_of(said[3]) == text_of(said[4])  # no noise, no key
    assert [s.usage.cached for s in said] == [False, False, True, False, True]
    assert engine.cost == 6


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("HELLO", "HELLx"),
        lambda text: "[1, 2]",
        lambda text: json.dumps(json.loads(text) | {"asked": "something else"}),
    ],
    ids=["empty", "half", "changed", "other", "swapped"],
)
def test_a_damaged_answer_on_disk_is_asked_for_again_and_replaced(speak, tmp_path, damage):
    with Loopback(echo) as server:
        engine = speak(server)
        engine.say([ask()])
        (path,) = (tmp_path / "answers").rglob("*.json")
        whole = path.read_text()
        path.write_text(damage(whole))
        (said,) = engine.say([ask()])
        assert text_of(said) == "HELLO" and not said.usage.cached
        assert path.read_text() == whole
        assert engine.say([ask()])[0].usage.cached
    assert len(server.asked) == 2


def test_answers_before_an_interruption_are_kept(speak):
    def behave(exchange):
        echo(exchange) if exchange.number < 3 else exchange.refuse(401, "no money")

    with Loopback(behave) as server:
        engine = speak(server, max_concurrency=1)
        with pytest.raises(ModelError):
            engine.say([ask(k=i) for i in range(10)])
        server.behave = echo
        said = engine.say([ask(k=i) for i in range(10)])
    assert [s.usage.cached for s in said] == [True] * 3 + [False] * 7


WRITER = """
import sys
from pathlib import Path
from askesis.engines.answers_on_disk import AnswersOnDisk
disk = AnswersOnDisk(Path(sys.argv[1]))
for i in range(300):
    disk.put({"q": i % 20}, {"text": "x" * 5000, "n": i % 20})
    for j in range(3):
        found = disk.get({"q": (i + j) % 20})
        assert found is None or found["n"] == (i + j) % 20, found
"""


@pytest.mark.slow
def test_several_processes_share_a_directory_of_answers(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert len(list(tmp_path.rglob("*.json"))) == 20
    assert not list(tmp_path.rglob("*.part"))


def test_a_directory_that_cannot_be_written_is_named(speak, tmp_path):
    (tmp_path / "file").write_text("")
    with Loopback(echo) as server, pytest.raises(ModelError, match="cache=off"):
        speak(server, cache=str(tmp_path / "file"))
