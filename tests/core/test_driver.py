"""The trampoline: order, laziness, failures, nesting."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from askesis.driver import Driver
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
        return await All([Double(5), inner(1), All([Double(7)]), inner(3)])

    log: list[list[int]] = []
    (outcome,) = Driver({Double: doubling(log)}).run([outer])
    assert outcome.value == [10, [2, 4], [14], [6, 8]]
    assert log == [[5, 1, 2, 7, 3, 4]]


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
