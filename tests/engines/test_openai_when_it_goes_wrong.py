"""Endpoints that are slow, broken, full, closed or not there, and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import pytest

from askesis.engines import endpoint as endpoint_module
from askesis.errors import ModelError
from askesis.rng import key
from tests.engines.endpoint import Loopback, echo, in_turn, slow, text_of, the_error
from tests.engines.endpoint import ask_chat as ask

pytest.importorskip("openai", reason="the extra `openai` is not installed")


def test_what_passes_is_asked_again(speak):
    behaviours = [
        lambda x: x.refuse(500, "oops"),
        lambda x: x.refuse(503, "busy"),
        lambda x: x.die(),
        lambda x: x.send(200, b"<html>no</html>"),
        lambda x: x.json([1, 2]),
        lambda x: x.json({"choices": []}),
        lambda x: x.json({"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}),
        lambda x: x.json({"choices": [{"message": "?", "finish_reason": None}]}),
        lambda x: x.send(200, b"[" * 100_000),
        echo,
    ]
    with Loopback(in_turn(*behaviours)) as server:
        (said,) = speak(server, retries=9, backoff_s=0.001).say([ask()])
    assert text_of(said) == "HELLO"
    assert len(server.asked) == 10
    seeds = {x.body["seed"] for x in server.asked}
    assert len(seeds) == 1


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (lambda x: x.refuse(500, "oops"), "500 oops"),
        (lambda x: x.die(), "connection broke"),
        (lambda x: x.send(200, b"<html>"), "no JSON: <html>"),
        (lambda x: x.json({}), "without choices"),
        (lambda x: x.send(200, b""), "no JSON"),
    ],
    ids=["500", "dies", "html", "no choices", "empty"],
)
def test_what_does_not_pass_is_that_requests_own_failure(speak, behave, words):
    def one_is_bad(exchange):
        (behave if exchange.last_message == "bad" else echo)(exchange)

    with Loopback(one_is_bad) as server:
        first, bad, last = speak(server, retries=1).say([ask("a"), ask("bad"), ask("c")])
    assert (text_of(first), text_of(last)) == ("A", "C")
    assert words in the_error([bad]) and "asked 2 times" in str(bad)
    assert len(server.asked) == 4


@pytest.mark.slow
def test_a_slow_answer_is_given_up(speak):
    with Loopback(lambda x: slow(30)(x) if x.last_message == "bad" else echo(x)) as server:
        began = time.monotonic()
        engine = speak(server)
        engine.say([ask("first")])
        engine.desk.endpoint.timeout_s, engine.desk.endpoint.retries = 0.7, 1
        bad, good = engine.say([ask("bad"), ask("good")])
        assert time.monotonic() - began < 10
    assert "no answer within 0.7 s" in the_error([bad])
    assert text_of(good) == "GOOD"


def test_an_endless_answer_is_given_up(speak, monkeypatch):
    monkeypatch.setattr(endpoint_module, "MAX_ANSWER_BYTES", 1 << 20)

    def endless(exchange):
        exchange.head(200, 1 << 40)
        while True:
            exchange.handler.wfile.write(b"x" * 65536)

    with Loopback(endless) as server:
        assert "more than 1 MiB" in the_error(speak(server, retries=0).say([ask()]))


def test_a_pause_that_the_server_asks_for_is_kept(speak):
    refuse = lambda x: x.refuse(429, "slow down", {"Retry-After": "0.3"})
    with Loopback(in_turn(refuse, echo)) as server:
        began = time.monotonic()
        (said,) = speak(server).say([ask()])
    assert text_of(said) == "HELLO"
    assert time.monotonic() - began >= 0.3


def test_a_pause_beyond_all_patience_is_not_begun(speak):
    with Loopback(lambda x: x.refuse(429, "slow down", {"Retry-After": "3600"})) as server:
        assert "3600 s" in the_error(speak(server, patience_s=5).say([ask()]))
    assert len(server.asked) == 1


def test_pauses_double_and_come_from_the_key_alone(speak):
    with Loopback(echo) as server:
        client = speak(server, backoff_s=1.0).desk.endpoint
    pauses = [client._pause_s(key("k"), n) for n in (1, 2, 3, 20)]
    assert pauses == [client._pause_s(key("k"), n) for n in (1, 2, 3, 20)]
    assert pauses != [client._pause_s(key("other"), n) for n in (1, 2, 3, 20)]
    for pause, longest in zip(pauses, (1, 2, 4, 60), strict=True):
        assert longest / 2 <= pause <= longest


def test_a_prompt_that_is_refused_is_not_asked_again_and_the_others_go_on(speak):
    def behave(exchange):
        if exchange.last_message == "bad":
            exchange.refuse(400, "too long")
        else:
            echo(exchange)

    with Loopback(behave) as server:
        bad, good = speak(server).say([ask("bad"), ask("good")])
    assert "400 too long" in the_error([bad])
    assert text_of(good) == "GOOD"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"message": {"content": None, "refusal": "I will not"}}, "I will not"),
    ],
    ids=["filtered", "refused"],
)
def test_a_refusal_is_a_failure_that_is_paid_and_kept(speak, choice, words):
    with Loopback(lambda x: x.say("half", **choice)) as server:
        engine = speak(server, price_out=1e6)
        assert words in the_error(engine.say([ask()]))
        assert words in the_error(engine.say([ask()]))
    assert len(server.asked) == 1
    assert engine.cost == 2


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (401, "wrong key sk-secret-of-the-test", "does not let us in"),
        (429, "insufficient quota", "does not let us in"),
        (404, "no such model", "does not serve this model"),
    ],
)
def test_an_endpoint_that_will_never_answer_ends_it_at_once(speak, status, message, words):
    with Loopback(lambda x: x.refuse(status, message)) as server:
        engine = speak(server, max_concurrency=2)
        with pytest.raises(ModelError, match=words) as error:
            engine.say([ask(k=i) for i in range(50)])
        assert len(server.asked) <= 4
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert engine.gauge.running == engine.gauge.waiting == 0


def test_an_endpoint_that_is_not_there_is_named_with_what_to_type(speak):
    with Loopback(echo) as server:
        pass  # it has gone, and its port with it
    with pytest.raises(ModelError, match=r"no endpoint at http://127.0.0.1:\d+/v1.*url=http://"):
        speak(server, retries=1).say([ask(k=i) for i in range(50)])


@pytest.mark.slow
def test_an_endpoint_that_goes_away_for_good_ends_it_after_as_many_failures_as_run(speak):
    with Loopback(in_turn(echo, lambda x: x.refuse(500, "oops"))) as server:
        engine = speak(server, retries=1, max_concurrency=4)
        engine.say([ask(k=1)])
        with pytest.raises(ModelError, match=r"no usable answer.*500 oops"):
            engine.say([ask(k=2 + i) for i in range(1000)])
    assert len(server.asked) < 40


def test_ctrl_c_ends_it_promptly_and_leaves_nothing_behind(speak):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    own = set(threading.enumerate())

    def behave(exchange):
        if exchange.number == 0:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)

    with Loopback(behave) as server:
        engine = speak(server)
        try:
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                engine.say([ask(k=i) for i in range(40)])
            assert time.monotonic() - began < 10
        finally:
            signal.signal(signal.SIGINT, before)
        assert engine.gauge.running == 0
        assert asyncio.all_tasks(engine.desk.endpoint._runner.get_loop()) == set()
        server.behave = echo
        (said,) = engine.say([ask("after")])  # it can go on
        assert text_of(said) == "AFTER"
        engine.close()
        deadline = time.monotonic() + 2
        while left := _other_threads(own, server):
            assert time.monotonic() < deadline, left
            time.sleep(0.02)


def _other_threads(own: set, server: Loopback) -> list[threading.Thread]:
    serving = ("process_request", "serve_forever")
    found = [t for t in threading.enumerate() if t not in own]
    return [t for t in found if not any(name in t.name for name in serving)]


def test_it_speaks_inside_a_running_event_loop_as_well(speak):
    async def notebook():
        return engine.say([ask("a"), ask("b")])

    with Loopback(echo) as server:
        engine = speak(server)
        said = asyncio.run(notebook())
        engine.say([ask("c")])
    assert [text_of(s) for s in said] == ["A", "B"]
