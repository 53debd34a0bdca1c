"""The trampoline: order, laziness, failures, nesting."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import random
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from askesis.driver import Driver, Outcome, _Wave
from askesis.requests import All, Request


@dataclass(frozen=True)
class Double(Request):
    n: int


def doubling(log: list[list[int]] | None = None):
    def serve(requests: list[Double]) -> list[object]:
        if log is not None:
            log.append([r.n for r in requests])
        return [ValueError(f"no {r.n}") if r.n < 0 else 2 * r.n for r in requests]

    return serve


def test_a_wave_is_one_batch_in_the_order_of_the_coroutines():
    log: list[list[int]] = []

    async def chain(n: int) -> int:
        return await Double(await Double(n))

    driver = Driver({Double: doubling(log)})
    outcomes = driver.run([lambda n=n: chain(n) for n in (3, 1, 2)])
    assert [o.value for o in outcomes] == [12, 4, 8]
    assert log == [[3, 1, 2], [6, 2, 4]]


def test_coroutines_are_created_lazily_up_to_the_limit():
    alive, most = 0, 0

    async def task(n: int) -> int:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        answer = await Double(n)
        alive -= 1
        return answer

    driver = Driver({Double: doubling()}, max_running=3)
    outcomes = driver.run((lambda n=n: task(n)) for n in range(10))
    assert [o.value for o in outcomes] == [2 * n for n in range(10)]
    assert most == 3


def test_a_coroutine_that_raises_ends_alone_and_is_its_outcome():
    async def task(n: int) -> int:
        if n == 1:
            raise RuntimeError("broken")
        return await Double(n)

    outcomes = Driver({Double: doubling()}).run([lambda n=n: task(n) for n in range(3)])
    assert [o.value for o in outcomes] == [0, None, 4]
    assert isinstance(outcomes[1].error, RuntimeError)


def test_an_answer_that_is_an_exception_is_raised_where_it_was_awaited():
    async def careful(n: int) -> str:
        try:
            return str(await Double(n))
        except ValueError as error:
            return f"caught {error}"

    outcomes = Driver({Double: doubling()}).run([lambda n=n: careful(n) for n in (-1, 1)])
    assert [o.value for o in outcomes] == ["caught no -1", "2"]


def test_all_takes_requests_and_coroutines_and_keeps_their_order():
    async def inner(n: int) -> list[int]:
        return await All([Double(n), Double(n + 1)])

    async def outer() -> list[object]:
        return await All([Double(5), inner(1), All([Double(7)]), Double(6), inner(3)])

    log: list[list[int]] = []
    (outcome,) = Driver({Double: doubling(log)}).run([outer])
    assert outcome.value == [10, [2, 4], [14], 12, [6, 8]]
    assert log == [[5, 1, 2, 7, 6, 3, 4]]


def test_an_empty_all_answers_at_once():
    async def task() -> list[int]:
        return await All([])

    (outcome,) = Driver({}).run([task])
    assert outcome.value == []


def test_one_failure_in_an_all_is_raised_after_its_siblings_were_served():
    served: list[list[int]] = []

    async def task() -> str:
        try:
            await All([Double(1), Double(-1), Double(2)])
        except ValueError:
            return "failed"
        return "no"

    (outcome,) = Driver({Double: doubling(served)}).run([task])
    assert outcome.value == "failed"
    assert served == [[1, -1, 2]]


def test_a_request_nobody_serves_says_so():
    async def task() -> int:
        return await Double(1)

    (outcome,) = Driver({}).run([task])
    assert "nobody serves Double" in str(outcome.error)


def test_awaiting_anything_but_a_request_is_an_error_of_that_coroutine_alone():
    class Foreign:
        def __await__(self):
            yield 17

    async def task() -> int:
        return await Foreign()

    (outcome,) = Driver({}).run([task])
    assert "only requests" in str(outcome.error)


def test_batches_do_not_depend_on_which_coroutines_end_early():
    """Random chain lengths: what is asked at each wave is sorted by who asks."""
    rng = random.Random(0)
    for _ in range(50):
        lengths = [rng.randrange(5) for _ in range(6)]
        log: list[list[int]] = []

        async def chain(n: int, length: int) -> int:
            for _ in range(length):
                await Double(n)
            return n

        makers = [lambda n=n, k=k: chain(n, k) for n, k in enumerate(lengths)]
        Driver({Double: doubling(log)}).run(makers)
        assert all(batch == sorted(batch) for batch in log)
        assert sum(len(b) for b in log) == sum(lengths)


def test_done_is_called_as_coroutines_end():
    ended: list[int] = []

    async def chain(length: int) -> None:
        for _ in range(length):
            await Double(0)

    Driver({Double: doubling()}).run(
        [lambda k=k: chain(k) for k in (2, 0, 1)], done=lambda i, outcome: ended.append(i)
    )
    assert ended == [1, 2, 0]


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError):
        Driver({}, max_running=0)


# ---------------------------------------------------------------- order is not arrival


class AnyOrder(deque):
    """A queue that hands out its members in random order, as if they arrived like that."""

    rng = random.Random(0)

    def popleft(self) -> Any:
        self.rotate(self.rng.randrange(len(self)))
        return super().popleft()


def run_in(driver: Driver, makers: list[Any], order: random.Random | None) -> list[Outcome]:
    """`driver.run(makers)` with coroutines that are advanced in a random order."""
    wave = _Wave(driver, iter(makers), None)
    if order is not None:
        wave.ready = AnyOrder()
        wave.ready.rng = order
    return wave.run()


@dataclass(frozen=True, slots=True)
class Ask(Request):
    """Carries everything its coroutine has heard so far."""

    heard: str


@dataclass(frozen=True, slots=True)
class Look(Request):
    heard: str


def digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def shape(rng: random.Random, depth: int = 0) -> list[Any]:
    """What a coroutine does, step by step: asks, looks, several at once, failures, catches."""
    steps: list[Any] = []
    for _ in range(rng.randrange(1, 5)):
        kind = rng.choice(["ask", "ask", "look", "all", "all", "caught", "caught", "fail"])
        if kind == "fail":
            kind = "fail" if rng.random() < 0.5 else "ask"
        if kind in ("all", "caught"):
            items = [
                shape(rng, depth + 1) if depth < 3 and rng.random() < 0.6 else "ask"
                for _ in range(rng.randrange(4))
            ]
            steps.append((kind, items))
        else:
            steps.append((kind, []))
    return steps


async def act_out(steps: list[Any], heard: str, closed: list[str]) -> str:
    """Everything asked depends on everything heard before, so nothing can be swapped unseen."""
    try:
        return await play(steps, heard, closed)
    except GeneratorExit:
        closed.append(heard)
        raise


async def play(steps: list[Any], heard: str, closed: list[str]) -> str:
    for number, (kind, items) in enumerate(steps):
        if kind == "fail":
            raise ValueError(heard)
        if kind in ("ask", "look"):
            heard = digest(heard, await (Ask if kind == "ask" else Look)(heard))
            continue
        asked = [
            Ask(digest(heard, number, i))
            if item == "ask"
            else act_out(item, digest(heard, number, i), closed)
            for i, item in enumerate(items)
        ]
        try:
            heard = digest(heard, await All(asked))
        except ValueError as error:
            if kind == "all":
                raise
            heard = digest(heard, str(error))
    return heard


def played(seed: int, order: random.Random | None) -> tuple[list[Any], list[str], list[Any]]:
    """Every batch that was served, who was closed, and every outcome, of random coroutines."""
    rng = random.Random(seed)
    shapes = [shape(rng) for _ in range(rng.randrange(2, 9))]
    log: list[tuple[str, list[str]]] = []
    closed: list[str] = []

    def server(name: str) -> Callable[[list[Any]], list[Any]]:
        def serve(requests: list[Any]) -> list[Any]:
            batch = [r.heard for r in requests]
            log.append((name, batch))
            seen = [digest(name, batch, i) for i in range(len(batch))]  # place and company matter
            return [ValueError(s) if s < "1" else s for s in seen]  # one in sixteen fails

        return serve

    driver = Driver({Ask: server("ask"), Look: server("look")}, max_running=rng.choice([2, 4, 99]))
    makers = [lambda s=s, i=i: act_out(s, digest(i), closed) for i, s in enumerate(shapes)]
    outcomes = run_in(driver, makers, order)
    return log, closed, [(o.value, repr(o.error)) for o in outcomes]


def test_five_hundred_random_interleavings_of_arrival_give_the_same_batches_and_outcomes():
    order, failures, num_batches, num_closed = random.Random(7), 0, 0, 0
    for seed in range(50):
        expected = played(seed, None)
        num_batches += len(expected[0])
        num_closed += len(expected[1])
        failures += sum(error != "None" for _, error in expected[2])
        for _ in range(10):
            assert played(seed, order) == expected
    assert num_batches > 200 and failures > 20 and num_closed > 20  # the shapes are not trivial


def test_what_native_rows_say_does_not_depend_on_who_arrived_first():
    """Through speakers and a small native engine, log-probabilities to the last bit."""
    from askesis.records import Start, Task
    from tests.engines.cast import small_model
    from tests.explore.host import Host

    async def talk(ctx: Any, start: Start, attempt: int) -> list[Any]:
        turns: list[Any] = []
        for _ in range(1 + attempt % 3):
            turns.append(await ctx.say("policy", start, turns, attempt=attempt, max_tokens=3))
        return turns

    async def group(ctx: Any, start: Start, num: int) -> list[Any]:
        return await All([talk(ctx, start, i) for i in range(num)])

    starts = [(Start(Task(f"t{n}", "sums-v1", "?" * n)), 1 + n) for n in (3, 1, 2)]
    host = Host({"policy": small_model()})

    def said(order: random.Random | None) -> list[bytes]:
        host.speakers.clear()
        ctx = host.context()
        makers = [lambda s=s, n=n: group(ctx, s, n) for s, n in starts]
        turns = [t for o in run_in(host.driver, makers, order) for ts in o.value for t in ts]
        return [t.context.tobytes() + t.tokens.tobytes() + t.logp_model.tobytes() for t in turns]

    expected, order = said(None), random.Random(1)
    assert len(set(expected)) > 10
    for _ in range(8):
        assert said(order) == expected


# ---------------------------------------------------------------- giving up


class Life:
    """Notes when coroutines begin to ask and how they end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def turns(self, name: str, num: int, fails: bool = False) -> str:
        try:
            for n in range(num):
                await Double(n)
            if fails:
                raise ValueError(name)
            self.ended.append(f"{name} done")
            return name
        except GeneratorExit:
            self.ended.append(f"{name} closed")
            raise


def test_a_member_of_an_all_that_raises_ends_its_siblings_and_not_the_others():
    life, log = Life(), []

    async def group() -> str:
        try:
            await All([life.turns("long", 9), life.turns("fails", 2, True), life.turns("far", 9)])
        except ValueError as error:
            return f"caught {error}"
        return "no"

    driver = Driver({Double: doubling(log)})
    outcomes = driver.run([group, lambda: life.turns("neighbour", 5)])
    assert [o.value for o in outcomes] == ["caught fails", "neighbour"]
    assert life.ended == ["long closed", "far closed", "neighbour done"]
    assert [len(batch) for batch in log] == [4, 4, 1, 1, 1]  # their rows left the batch


def test_a_request_that_fails_ends_the_coroutines_beside_it_at_once():
    life, log = Life(), []

    async def group() -> str:
        await All([life.turns("long", 9), Double(-1)])
        return "no"

    (outcome,) = Driver({Double: doubling(log)}).run([group])
    assert str(outcome.error) == "no -1"
    assert (life.ended, len(log)) == (["long closed"], 1)


def test_of_several_failures_at_a_time_the_first_in_order_is_raised():
    async def fails(name: str, turns: int) -> None:
        for _ in range(turns):
            await Double(1)
        raise ValueError(name)

    async def group() -> None:
        await All([fails("late", 2), fails("first", 1), Double(1), fails("second", 1)])

    (outcome,) = Driver({Double: doubling()}).run([group])
    assert str(outcome.error) == "first"


def test_giving_up_closes_what_lies_deeper_first_and_nobody_else_hears_of_it():
    life, heard = Life(), []

    async def inner() -> None:
        try:
            await All([life.turns("a", 9), All([life.turns("b", 9), Double(3)])])
        except Exception as error:  # a failure elsewhere is none of its business
            heard.append(error)
        finally:
            life.ended.append("inner closed")

    async def outer() -> None:
        await All([inner(), life.turns("fails", 1, True), All([life.turns("c", 9)])])

    (outcome,) = Driver({Double: doubling()}).run([outer])
    assert str(outcome.error) == "fails"
    assert life.ended == ["a closed", "b closed", "inner closed", "c closed"]
    assert heard == []


def test_a_coroutine_that_asks_again_while_it_is_closed_is_left_with_a_note():
    async def stubborn() -> None:
        try:
            await All([Double(n) for n in range(3)])
            await Double(9)
        finally:
            await Double(1)

    async def group() -> None:
        await All([stubborn(), Life().turns("fails", 1, True)])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pytest.PytestUnraisableExceptionWarning)
        (outcome,) = Driver({Double: doubling()}).run([group])
    assert str(outcome.error) == "fails"
    assert "ignored GeneratorExit" in "".join(outcome.error.__notes__)


@pytest.mark.parametrize("where", ["in a batch", "in a coroutine", "before the first batch"])
def test_ctrl_c_closes_every_coroutine_in_order_and_leaves_nothing_behind(where):
    life, calls = Life(), 0

    def serve(requests: list[Double]) -> list[int]:
        nonlocal calls
        calls += 1
        if calls == 2 and where == "in a batch":
            raise KeyboardInterrupt
        return [0] * len(requests)

    async def group(name: str, interrupts: bool) -> None:
        if interrupts and where == "before the first batch":
            raise KeyboardInterrupt
        await Double(0)
        if interrupts and where == "in a coroutine":
            raise KeyboardInterrupt
        await All([life.turns(name + "1", 9), All([life.turns(name + "2", 9)])])

    makers = [lambda n=n: group(n, n == "b") for n in "abc"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "was never awaited" would be one
        with pytest.raises(KeyboardInterrupt):
            Driver({Double: serve}).run(makers)
        gc.collect(0)
    all_of_them = [f"{n}{i} closed" for n in "abc" for i in "12"]
    assert life.ended == (all_of_them if where == "in a batch" else [])


def test_a_server_that_raises_ends_the_run_and_closes_everything():
    life = Life()

    def serve(requests: list[Double]) -> list[int]:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        Driver({Double: serve}).run([lambda n=n: life.turns(n, 2) for n in "ab"])
    assert life.ended == ["a closed", "b closed"]


def test_nothing_keeps_what_ended_in_memory():
    """Without the collector, which a run switches off: neither answers nor failed coroutines."""

    class Heavy:
        pass

    seen: list[weakref.ref[Heavy]] = []

    def heavy() -> Heavy:
        made = Heavy()
        seen.append(weakref.ref(made))
        return made

    async def gives() -> Heavy:
        await Double(1)
        return heavy()

    async def attempt(fails: bool) -> None:
        mine = heavy()
        await All([Life().turns("x", 2), Life().turns("y", 1, fails)])
        del mine
        await All([gives()])

    gc.collect(0)
    gc.disable()
    try:
        outcomes = Driver({Double: doubling()}).run([lambda f=f: attempt(f) for f in (0, 1, 0)])
        assert str(outcomes[1].error) == "y"
        del outcomes
        assert [ref() for ref in seen] == [None] * 5
    finally:
        gc.enable()


# ---------------------------------------------------------------- nothing hangs


@pytest.mark.parametrize("answers", [[1], [1, 2, 3], None])
def test_a_server_with_another_number_of_answers_is_named(answers):
    life = Life()
    with pytest.raises(RuntimeError, match=r"server of Double gave .* to 2 requests"):
        Driver({Double: lambda requests: answers}).run([lambda n=n: life.turns(n, 1) for n in "ab"])
    assert life.ended == ["a closed", "b closed"]


def test_endless_coroutines_are_ended_with_a_message_and_the_others_go_on():
    async def spins() -> None:
        while True:
            await All([])

    async def asks_for_ever() -> None:
        while True:
            with contextlib.suppress(Exception):
                await Double(1)

    async def nests_for_ever() -> None:
        await All([nests_for_ever()])

    driver = Driver({Double: doubling()}, max_turns=50)
    endless = driver.run([spins, asks_for_ever, lambda: Life().turns("ends", 40), nests_for_ever])
    assert "50 times" in str(endless[0].error) and "max_turns" in str(endless[0].error)
    assert "50 times" in str(endless[1].error)
    assert endless[2].value == "ends"
    assert isinstance(endless[3].error, RecursionError)


def test_coroutines_that_wait_for_themselves_or_for_nothing_are_told():
    class Nothing:
        def __await__(self):
            yield

    async def for_nothing() -> None:
        await Nothing()

    async def for_itself() -> None:
        await me["task"]

    async def for_itself_among_others() -> None:
        await All([Double(1), Life().turns("other", 3), me["task"]])

    async def twice() -> None:
        once = Life().turns("once", 1)
        await All([once, once])

    def remember(maker: Any) -> Any:
        me["task"] = maker()
        return me["task"]

    me: dict[str, Any] = {}
    for maker, message in (
        (for_nothing, "only requests can be awaited"),
        (for_itself, "already executing"),
        (for_itself_among_others, "under way elsewhere"),
        (twice, "twice"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (outcome,) = Driver({Double: doubling()}).run([lambda maker=maker: remember(maker)])
        assert message in str(outcome.error)


@pytest.mark.parametrize("thing", [3, None, [Double(1)], "x"])
def test_an_all_of_something_else_says_what_it_takes(thing):
    life = Life()

    async def group() -> None:
        await All([life.turns("a", 1), All([life.turns("b", 1)]), thing])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (outcome,) = Driver({Double: doubling()}).run([group])
        gc.collect(0)
    assert "All takes requests and coroutines" in str(outcome.error)


def test_a_maker_that_makes_no_coroutine_is_the_outcome_of_that_one_alone():
    def plain() -> list[int]:
        return [1]

    def broken() -> Any:
        raise TypeError("explore() takes 2 arguments")

    outcomes = Driver({Double: doubling()}).run([plain, broken, lambda: Life().turns("ok", 1)])
    assert "async def" in str(outcomes[0].error) and "list" in str(outcomes[0].error)
    assert "2 arguments" in str(outcomes[1].error)
    assert outcomes[2].value == "ok"


def test_a_freed_place_is_filled_before_the_next_batch():
    """With a limit, batches stay full: who has ended makes room at once."""
    log: list[list[int]] = []

    async def chain(n: int, length: int) -> None:
        for _ in range(length):
            await Double(n)

    makers = [lambda n=n: chain(n, 1 + n % 3) for n in range(12)]
    Driver({Double: doubling(log)}, max_running=4).run(makers)
    assert [len(batch) for batch in log] == [4] * 5 + [3, 1]
