"""Coroutines to full batches: the one trampoline of the house.

An explorer is written as if there were one problem. The driver runs thousands of them: it
creates coroutines lazily up to a limit, advances all of them until every one waits, puts their
requests in a fixed order, and hands each kind of request as one batch to whoever serves it.

The order of a batch is a function of who asks (the path of the coroutine), never of who arrived
first, so a round is a pure function of weights, states and seed. A coroutine that raises ends
alone: its exception is its outcome, its siblings go on. Within an `All` it is given up with the
rest of that `All`, and that too happens at a fixed moment: when everyone waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import CoroutineType
from typing import Any

from askesis.requests import All, Request

Server = Callable[[list[Any]], Sequence[Any]]
Maker = Callable[[], Coroutine[Any, Any, Any]]
Path = tuple[int, ...]

MAX_TURNS = 1_000_000
MAX_DEPTH = 500  # of `All` in coroutines in `All`


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one coroutine ended: its value, or the exception that ended it."""

    value: Any = None
    error: Exception | None = None


class _Task:
    """A coroutine, its place among all coroutines, and the answers it waits for."""

    __slots__ = (
        "answers", "children", "coroutine", "failure", "many", "num_turns", "over", "parent",
        "path", "waiting",
    )  # fmt: skip

    def __init__(self, coroutine: Any, path: Path, parent: _Task | None) -> None:
        self.coroutine, self.path, self.parent = coroutine, path, parent
        self.answers: Any = None  # the answer, or with `many` the list of them
        self.many = False
        self.waiting = 0
        self.num_turns = 0
        self.over = False
        self.children: Sequence[_Task] = ()  # the coroutines of the All it waits for
        self.failure: tuple[int, Exception] | None = None  # first failed item of it, by slot

    def resume(self) -> Any:
        """Hand over the answers; returns what it asks next or raises what ends the task."""
        self.num_turns += 1
        self.children = ()  # they hold their parent: memory is freed without the collector
        if self.failure is not None:
            (_, error), self.failure = self.failure, None
            return self.coroutine.throw(error)
        return self.coroutine.send(self.answers)


class Driver:
    """Runs coroutines to completion over batch servers.

    serve: request type -> function from a list of requests to answers in the same order. An
    answer that is an `Exception` instance is raised at the request's `await`; what a server
    raises itself, or another number of answers than of requests, ends the whole run.
    max_running bounds how many top-level coroutines exist at a time, and so the memory.
    max_turns: how often one coroutine may ask before it is ended as endless.
    """

    def __init__(
        self,
        serve: Mapping[type[Request], Server],
        max_running: int = 4096,
        max_turns: int = MAX_TURNS,
    ) -> None:
        if max_running < 1 or max_turns < 1:
            raise ValueError("max_running and max_turns must be at least 1")
        self.serve = dict(serve)
        self.max_running, self.max_turns = max_running, max_turns
        self.num_batches = 0
        self.num_requests = 0

    def run(
        self, makers: Iterable[Maker], done: Callable[[int, Outcome], None] | None = None
    ) -> list[Outcome]:
        """Outcomes in the order of `makers`; `done(index, outcome)` is called as each ends.

        Whatever stops it early (Ctrl-C, a server that raises) closes every coroutine first, in
        the order of `makers`.
        """
        return _Wave(self, iter(makers), done).run()

    def answers(self, kind: type[Request], requests: list[Any]) -> Sequence[Any]:
        """What the server of this kind says to a batch."""
        self.num_batches += 1
        self.num_requests += len(requests)
        server = self.serve.get(kind)
        if server is None:
            why = f"nobody serves {kind.__name__} requests in this run"
            return [LookupError(why) for _ in requests]
        found = server(requests)
        if not isinstance(found, Sequence) or len(found) != len(requests):
            num = f"{len(found)} answers" if isinstance(found, Sequence) else repr(found)
            raise RuntimeError(
                f"the server of {kind.__name__} gave {num} to {len(requests)} requests; "
                f"expected one answer each, in their order"
            )
        return found


class _Wave:
    """The state of one `Driver.run`."""

    def __init__(self, driver: Driver, makers: Iterator[Maker], done: Any) -> None:
        self.driver, self.makers, self.done = driver, makers, done
        self.outcomes: dict[int, Outcome] = {}
        self.live: dict[int, _Task] = {}  # top-level tasks under way
        self.ready: deque[_Task] = deque()
        self.failed: list[_Task] = []  # an item of what they wait for failed
        self.asked: list[tuple[Path, Request, _Task, int]] = []  # path, request, who, slot
        self.num_started = 0

    def run(self) -> list[Outcome]:
        try:
            while True:
                while self.ready:
                    self.advance(self.ready.popleft())
                # Everyone waits: what is decided from here on cannot depend on who came first.
                if self.failed:
                    self.give_up()
                elif not self.fill():
                    if not self.asked:
                        break
                    self.serve()
                    if self.failed:
                        self.give_up()
        except BaseException as error:
            for index in sorted(self.live):
                _close([self.live[index]], error)
            raise
        return [self.outcomes[i] for i in range(self.num_started)]

    def fill(self) -> bool:
        """Start coroutines up to the limit; whether any was started."""
        before = self.num_started
        while len(self.live) < self.driver.max_running:
            maker = next(self.makers, None)
            if maker is None:
                break
            index, self.num_started = self.num_started, self.num_started + 1
            try:
                made: Any = maker()
            except Exception as error:
                self.end(index, Outcome(error=error))
                continue
            if _is_coroutine(made):
                task = self.live[index] = _Task(made, (index,), None)
                self.ready.append(task)
            else:
                wrong = f"expected a coroutine (`async def`), found {type(made).__name__}"
                self.end(index, Outcome(error=TypeError(wrong)))
        return self.num_started > before

    def advance(self, task: _Task) -> None:
        """Run one coroutine until it waits or ends."""
        if task.over:  # given up after its last answer
            return None
        if task.num_turns >= self.driver.max_turns:
            why = f"a coroutine asked {task.num_turns:,} times without coming to an end"
            return self.stop(task, RuntimeError(f"{why}; the limit is Driver.max_turns"))
        try:
            request = task.resume()
        except StopIteration as ended:
            return self.finish(task, ended.value, None)
        except Exception as error:
            return self.finish(task, None, error)
        if isinstance(request, All):
            return self.ask_all(task, request)
        if isinstance(request, Request):
            task.many = False
            return self.asked.append((task.path, request, task, 0))
        found = type(request).__name__
        return self.stop(
            task, TypeError(f"a coroutine awaited {found}; only requests can be awaited")
        )

    def ask_all(self, task: _Task, request: All) -> None:
        """Let a task wait for all items of an `All`."""
        items = request.items
        asked: list[tuple[Path, Request, _Task, int]] = []
        children: list[_Task] = []
        path = task.path
        for slot, item in enumerate(items):
            if isinstance(item, Request):
                if not isinstance(item, All):
                    asked.append((path, item, task, slot))  # sorting keeps their order
                    continue
                item = _Nested(item)
            children.append(_Task(item, (*path, slot), task))
        if children and asked:  # what the children will ask belongs in between
            asked = [((*path, slot), item, task, slot) for _, item, _, slot in asked]
        wrong = _refusal(children) if children else None
        if wrong is not None:
            _close_items([child.coroutine for child in children])
            return self.stop(task, wrong)
        task.many, task.answers, task.waiting = True, [None] * len(items), len(items)
        task.children = children
        self.asked += asked
        self.ready.extend(children if items else (task,))
        return None

    def serve(self) -> None:
        """Hand what was asked to the servers, one batch a kind, and deliver the answers."""
        self.asked.sort(key=itemgetter(0))
        batch, self.asked = self.asked, []
        kinds: dict[type[Request], list[tuple[Path, Request, _Task, int]]] = {}
        for row in batch:
            kinds.setdefault(type(row[1]), []).append(row)
        for kind, rows in kinds.items():
            answers = self.driver.answers(kind, [row[1] for row in rows])
            for (_, _, task, slot), answer in zip(rows, answers, strict=True):
                if isinstance(answer, Exception):
                    self.fail(task, slot, answer)
                elif task.many:
                    self.deliver(task, slot, answer)
                else:
                    task.answers = answer
                    self.ready.append(task)

    def deliver(self, task: _Task, slot: int, answer: Any) -> None:
        """Give a task the answer to one item of its `All`."""
        task.answers[slot] = answer
        task.waiting -= 1
        if task.waiting == 0 and task.failure is None:
            self.ready.append(task)

    def fail(self, task: _Task, slot: int, error: Exception) -> None:
        """Note that an item a task waits for failed; of several the first in order counts."""
        if task.failure is None:
            self.failed.append(task)
        if task.failure is None or slot < task.failure[0]:
            task.failure = (slot, error)
        task.waiting -= 1

    def give_up(self) -> None:
        """Close what failed tasks still wait for; they hear of the failure next.

        Those nearer the root come first: what they close needs to hear of nothing.
        """
        failed, self.failed = sorted(self.failed, key=lambda task: task.path), []
        for task in failed:
            if not task.over:
                assert task.failure is not None
                _close(task.children, task.failure[1])
                task.children = ()
        left = [row for row in self.asked if not row[2].over and row[2].failure is None]
        self.asked = left
        self.ready.extend(task for task in failed if not task.over)

    def stop(self, task: _Task, error: Exception) -> None:
        """End a task that did something it must not."""
        _close([task], error)
        self.finish(task, None, error)

    def finish(self, task: _Task, value: Any, error: Exception | None) -> None:
        """A task has ended: its parent or the caller hears of it."""
        task.over = True
        if error is not None:
            _without_driver(error)
        if task.parent is None:
            del self.live[task.path[0]]
            self.end(task.path[0], Outcome(value, error))
        elif error is not None:
            self.fail(task.parent, task.path[-1], error)
        else:
            self.deliver(task.parent, task.path[-1], value)

    def end(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        if self.done is not None:
            self.done(index, outcome)


class _Nested(Coroutine[Any, Any, Any]):
    """An `All` that is an item of another one, as a coroutine."""

    def __init__(self, request: All) -> None:
        self.request: All | None = request

    def send(self, answers: Any) -> Any:
        if self.request is None:
            raise StopIteration(answers)
        request, self.request = self.request, None
        return request

    def throw(self, error: Any, *more: Any) -> Any:
        raise error

    def close(self) -> None:
        if self.request is not None:
            _close_items(self.request.items)
            self.request = None

    def __await__(self) -> Iterator[Any]:  # type: ignore[override]
        raise AssertionError("only the driver runs this")


def _is_coroutine(thing: Any) -> bool:
    return type(thing) is CoroutineType or isinstance(thing, Coroutine)  # the first is faster


def _refusal(tasks: Sequence[_Task]) -> Exception | None:
    """Why these tasks of one `All` cannot begin, or None."""
    if len(tasks[0].path) > MAX_DEPTH:
        return RecursionError(f"coroutines in All, {MAX_DEPTH} deep; expected a loop instead")
    for task in tasks:
        if not _is_coroutine(task.coroutine):
            found = type(task.coroutine).__name__
            return TypeError(f"All takes requests and coroutines, found {found}")
        if getattr(task.coroutine, "cr_suspended", False):
            return RuntimeError("a coroutine in All is under way elsewhere already")
    if len({id(task.coroutine) for task in tasks}) < len(tasks):
        return RuntimeError("a coroutine stands in All twice; call its function twice")
    return None


def _close_items(items: Sequence[Any]) -> None:
    """Close coroutines that will never begin, so that Python does not complain about them."""
    for item in items:
        if isinstance(item, All):
            _close_items(item.items)
        elif _is_coroutine(item) and not getattr(item, "cr_suspended", False):
            item.close()


def _close(tasks: Sequence[_Task], error: BaseException) -> None:
    """End tasks unfinished because of `error`: in order, what they wait for before themselves.

    Their `finally` blocks run and cannot ask for anything any more; what goes wrong in them is
    noted on the error.
    """
    pile, found = list(tasks), []
    while pile:
        task = pile.pop()
        if not task.over:
            found.append(task)
            pile.extend(task.children)
    for task in reversed(found):
        task.over, task.children = True, ()
        try:
            task.coroutine.close()
        except Exception as another:
            error.add_note(f"and closing what it ended: {type(another).__name__}: {another}")


def _without_driver(error: Exception) -> None:
    """Begin the traceback in the coroutine: our own frames would keep the wave in memory."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    error.__traceback__ = trace
