"""Coroutines to full batches: the one trampoline of the house.

An explorer is written as if there were one problem. The driver runs thousands of them: it
creates coroutines lazily up to a limit, advances all of them until every one waits, puts their
requests in a fixed order, and hands each kind of request as one batch to whoever serves it.

The order of a batch is a function of who asks (the path of the coroutine), never of who arrived
first, so a round is a pure function of weights, states and seed. A coroutine that raises ends
alone: its exception is its outcome, its siblings go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from askesis.requests import All, Request

Server = Callable[[list[Any]], Sequence[Any]]
Maker = Callable[[], Coroutine[Any, Any, Any]]
Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one coroutine ended: its value, or the exception that ended it."""

    value: Any = None
    error: Exception | None = None


class _Task:
    """A coroutine, its place among all coroutines, and the answers it waits for."""

    __slots__ = ("answers", "coroutine", "many", "parent", "path", "raises", "waiting")

    def __init__(self, coroutine: Any, path: Path, parent: _Task | None) -> None:
        self.coroutine, self.path, self.parent = coroutine, path, parent
        self.answers: list[Any] = [None]
        self.waiting = 0
        self.many = False
        self.raises = False  # one of the answers is an exception

    def resume(self) -> Request:
        """Hand over the answers; returns the next request or raises what ends the task."""
        if self.raises:
            self.raises = False
            failure = next(a for a in self.answers if isinstance(a, Exception))
            return self.coroutine.throw(failure)
        return self.coroutine.send(self.answers if self.many else self.answers[0])


class Driver:
    """Runs coroutines to completion over batch servers.

    serve: request type -> function from a list of requests to answers in the same order. An
    answer that is an `Exception` instance is raised at the request's `await`. max_running
    bounds how many top-level coroutines exist at a time, and so the memory.
    """

    def __init__(self, serve: Mapping[type[Request], Server], max_running: int = 4096) -> None:
        if max_running < 1:
            raise ValueError("max_running must be at least 1")
        self.serve = dict(serve)
        self.max_running = max_running
        self.num_batches = 0
        self.num_requests = 0

    def run(
        self, makers: Iterable[Maker], done: Callable[[int, Outcome], None] | None = None
    ) -> list[Outcome]:
        """Outcomes in the order of `makers`; `done(index, outcome)` is called as each ends."""
        return _Wave(self, iter(makers), done).run()

    def answers(self, kind: type[Request], requests: list[Any]) -> Sequence[Any]:
        """What the server of this kind says to a batch."""
        self.num_batches += 1
        self.num_requests += len(requests)
        server = self.serve.get(kind)
        if server is None:
            missing = LookupError(f"nobody serves {kind.__name__} requests in this run")
            return [missing] * len(requests)
        return server(requests)


class _Wave:
    """The state of one `Driver.run`."""

    def __init__(self, driver: Driver, makers: Any, done: Any) -> None:
        self.driver, self.makers, self.done = driver, makers, done
        self.outcomes: dict[int, Outcome] = {}
        self.ready: deque[_Task] = deque()
        self.asked: list[tuple[Path, Request, _Task, int]] = []  # path, request, who, slot
        self.num_started = 0

    def run(self) -> list[Outcome]:
        try:
            while self.fill() or self.ready or self.asked:
                while self.ready:
                    self.advance(self.ready.popleft())
                self.serve()
        finally:
            for task in [*self.ready, *(row[2] for row in self.asked)]:
                task.coroutine.close()
        return [self.outcomes[i] for i in range(self.num_started)]

    def fill(self) -> bool:
        """Start coroutines up to the limit; whether any was started."""
        before = self.num_started
        while self.num_started - len(self.outcomes) < self.driver.max_running:
            maker = next(self.makers, None)
            if maker is None:
                break
            self.ready.append(_Task(maker(), (self.num_started,), None))
            self.num_started += 1
        return self.num_started > before

    def advance(self, task: _Task) -> None:
        """Run one coroutine until it waits or ends."""
        try:
            request = task.resume()
        except StopIteration as stop:
            return self.finish(task, Outcome(stop.value))
        except Exception as error:
            return self.finish(task, Outcome(error=error))
        if isinstance(request, All):
            items, task.many = request.items, True
        elif isinstance(request, Request):
            items, task.many = [request], False
        else:
            task.coroutine.close()
            found = type(request).__name__
            wrong = TypeError(f"a coroutine awaited {found}; only requests can be awaited")
            return self.finish(task, Outcome(error=wrong))
        task.answers, task.waiting = [None] * len(items), len(items)
        if not items:
            self.ready.append(task)
        for slot, item in enumerate(items):
            path = (*task.path, slot)
            if isinstance(item, Request) and not isinstance(item, All):
                self.asked.append((path, item, task, slot))
            else:
                inner = _await(item) if isinstance(item, All) else item
                self.ready.append(_Task(inner, path, task))

    def serve(self) -> None:
        """Hand what was asked to the servers, one batch a kind, and deliver the answers."""
        self.asked.sort(key=lambda row: row[0])
        batch, self.asked = self.asked, []
        kinds: dict[type[Request], list[tuple[Path, Request, _Task, int]]] = {}
        for row in batch:
            kinds.setdefault(type(row[1]), []).append(row)
        for kind, rows in kinds.items():
            answers = self.driver.answers(kind, [row[1] for row in rows])
            for (_, _, task, slot), answer in zip(rows, answers, strict=True):
                self.deliver(task, slot, answer)

    def deliver(self, task: _Task, slot: int, answer: Any) -> None:
        task.answers[slot] = answer
        if isinstance(answer, Exception):
            task.raises = True
        task.waiting -= 1
        if task.waiting == 0:
            self.ready.append(task)

    def finish(self, task: _Task, outcome: Outcome) -> None:
        if task.parent is not None:
            return self.deliver(task.parent, task.path[-1], outcome.error or outcome.value)
        index = task.path[0]
        self.outcomes[index] = outcome
        if self.done is not None:
            self.done(index, outcome)


async def _await(request: All) -> list[Any]:
    return await request
