"""A world's self-check, without any model: `askesis check worlds`.

Everything a run takes for granted about a world is tried on a few hundred tasks: the reference
answer scores 1 and corrupted ones 0, demonstrations of every habit are what they say, harder is
harder, roles do not overlap, nothing leaks the truth, and hostile answers score 0 quickly.
"""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import AskesisError
from askesis.records import Task, TaskRole
from askesis.rng import Streams
from askesis.worlds.family import HABITS
from askesis.worlds.hostile import HOSTILE, MOST_S


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `passed` is None where the world has nothing to check there."""

    world: str
    check: str
    passed: bool | None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Nothing wrong was found (or there was nothing to check)."""
        return self.passed is not False

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAILED", None: "-"}[self.passed]
        return f"{self.world}: {self.check}: {mark}{f' ({self.detail})' if self.detail else ''}"


def check_world(world: Any, seed: int = 0, num: int = 200) -> list[Finding]:
    """All checks on `num` train tasks (and as many of the other roles); one finding each.

    Raises nothing about the world: what it raises becomes a finding.
    """
    findings: list[Finding] = []
    streams = Streams(seed)

    def note(check: str, look: Callable[[], Iterator[str] | None]) -> None:
        try:
            problems = look()
            found = None if problems is None else list(problems)
        except AskesisError as error:
            found = [str(error)]
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        if found is None:
            findings.append(Finding(world.id, check, None, "this world has none"))
        else:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            findings.append(
                Finding(world.id, check, not found, f"{found[0]}{more}" if found else "")
            )

    tasks: list[Task] = []

    def draws() -> Iterator[str]:
        tasks.extend(world.draw(TaskRole.TRAIN, streams.generator("check", "train"), num))
        yield from ()

    note("draws tasks", draws)
    if not tasks:
        return findings
    note("the same generator gives the same tasks", lambda: _same_again(world, tasks, streams))
    note("roles do not overlap", lambda: _roles(world, tasks, streams))
    note("canonical forms are stable", lambda: _stable(world, tasks))
    note("the reference answer scores 1", lambda: _gold(world, tasks))
    note("corrupted answers score 0", lambda: _corrupted(world, tasks, streams))
    note("demonstrations score 1", lambda: _demonstrations(world, tasks, streams, wrong=False))
    note("wrong demonstrations score 0", lambda: _demonstrations(world, tasks, streams, wrong=True))
    note("harder is harder", lambda: _knob(world, streams, num))
    note("tasks without truth tell no answer", lambda: _leaks(tasks))
    note("walking reaches the end", lambda: _walks(world, tasks, streams))
    note("hostile answers score 0 quickly", lambda: _hostile(world, tasks))
    return findings


def _same_again(world: Any, tasks: list[Task], streams: Streams) -> Iterator[str]:
    again = world.draw(TaskRole.TRAIN, streams.generator("check", "train"), len(tasks))
    for one, other in zip(tasks, again, strict=True):
        if (one.id, one.prompt, one.answer) != (other.id, other.prompt, other.answer):
            yield f"{one.prompt[:40]!r} the first time, {other.prompt[:40]!r} the second"


def _roles(world: Any, tasks: list[Task], streams: Streams) -> Iterator[str]:
    drawn = {TaskRole.TRAIN: tasks}
    for role in (TaskRole.DECIDE, TaskRole.CLAIM):
        drawn[role] = world.draw(role, streams.generator("check", role.value), len(tasks))
    where: dict[str, TaskRole] = {}
    for role, some in drawn.items():
        for task in some:
            if task.role is not role:
                yield f"a {role.value} draw gave a {task.role.value} task"
            first = where.setdefault(world.canonical(task), role)
            if first is not role:
                yield f"{task.prompt[:40]!r} is both {first.value} and {role.value}"


def _stable(world: Any, tasks: list[Task]) -> Iterator[str]:
    ids: dict[str, str] = {}
    for task in tasks:
        canonical = world.canonical(task)
        if not isinstance(canonical, str) or canonical != world.canonical(task):
            yield f"{task.prompt[:40]!r} has two canonical forms"
        elif world.canonical(task.without_truth()) != canonical:
            yield f"{task.prompt[:40]!r} has another canonical form without its truth"
        elif ids.setdefault(task.id, canonical) != canonical:
            yield f"two problems have the id {task.id}"


def _gold(world: Any, tasks: list[Task]) -> Iterator[str] | None:
    if all(t.answer is None for t in tasks):
        return None
    return (
        f"{t.answer[:40]!r} for {t.prompt[:40]!r} scores {checked.score:g}: {checked.why}"
        for t in tasks
        if t.answer is not None and (checked := world.verify(t, t.answer)).score != 1.0
    )


def _corrupted(world: Any, tasks: list[Task], streams: Streams) -> Iterator[str] | None:
    if all(t.answer is None for t in tasks):
        return None
    rng = streams.generator("check", "corrupt")
    return (
        f"{wrong[:40]!r} for {t.prompt[:40]!r} scores {score:g}"
        for t in tasks
        if t.answer is not None
        for wrong in corruptions(t.answer, rng)
        if (score := world.verify(t, wrong).score) != 0.0
    )


def corruptions(answer: str, rng: np.random.Generator) -> Iterator[str]:
    """Wrong answers that look like a right one: nothing, half of it, its last number changed,
    something put behind it. (Its last character may be a full stop that means nothing.)"""
    yield ""
    if len(answer) > 2:
        yield answer[: len(answer) // 2].rstrip()
    numbers = list(re.finditer(r"[0-9]+", answer))
    if numbers and len(numbers[-1][0]) < 50:
        last = numbers[-1]
        changed = int(last[0]) + int(rng.integers(1, 10))
        yield f"{answer[: last.start()]}{changed}{answer[last.end() :]}"
    yield f"{answer}7Z"


def _demonstrations(
    world: Any, tasks: list[Task], streams: Streams, wrong: bool
) -> Iterator[str] | None:
    knows_wrong = "wrong" in inspect.signature(world.demonstrate).parameters
    if "demonstration" not in world.truth or (wrong and not knows_wrong):
        return None
    rng = streams.generator("check", "demonstrate", wrong)
    options = {"wrong": True} if wrong else {}

    def problems() -> Iterator[str]:
        num_shown = 0
        for i, task in enumerate(tasks):
            for habit in HABITS if i < max(20, len(tasks) // 5) else HABITS[:1]:
                text = world.demonstrate(task, rng, habit, **options)
                if text is None:
                    continue
                num_shown += 1
                checked = world.verify(task, text)
                if checked.score != float(not wrong):
                    yield f"{text[:60]!r} ({habit}) scores {checked.score:g}: {checked.why}"
                elif not wrong and len(text.encode()) > world.max_answer_tokens:
                    yield (
                        f"{text[:40]!r} ({habit}) has {len(text.encode())} bytes, "
                        f"max_answer_tokens is {world.max_answer_tokens}"
                    )
                elif not wrong and "steps" in world.truth and 0.0 in checked.steps:
                    yield f"{text[:60]!r} ({habit}) has a step that counts as wrong"
        if not num_shown and not wrong:
            yield 'truth says "demonstration", but there is none for any task'

    return problems()


def _knob(world: Any, streams: Streams, num: int) -> Iterator[str] | None:
    if not callable(getattr(world, "hardness", None)):
        return None
    means = []
    for difficulty in (0.0, 0.5, 1.0):
        rng = streams.generator("check", "knob", str(difficulty))
        some = world.draw(TaskRole.TRAIN, rng, max(10, num // 4), difficulty)
        means.append(float(np.mean([world.hardness(t) for t in some])))
    if not means[0] < means[1] < means[2]:
        shown = ", ".join(f"{m:.3g}" for m in means)
        return iter([f"hardness at difficulty 0, 0.5 and 1 is {shown}"])
    return iter(())


def _leaks(tasks: list[Task]) -> Iterator[str]:
    for task in tasks:
        blind = task.without_truth()
        answer = (task.answer or "").strip()
        if blind.answer is not None:
            yield f"{task.prompt[:40]!r} keeps its answer"
        elif len(answer) > 3 and answer in json.dumps(dict(blind.data), default=str):
            yield f"the data of {task.prompt[:40]!r} hold the answer; name its key truth_..."


def _walks(world: Any, tasks: list[Task], streams: Streams) -> Iterator[str] | None:
    if "turns" not in world.truth:
        return None
    rng = streams.generator("check", "walk")

    def problems() -> Iterator[str]:
        for task in tasks[:50]:
            state = world.initial(task)
            end = None
            if hasattr(world, "demonstrate_walk"):
                actions = world.demonstrate_walk(task, rng) or ()
            else:
                actions = (world.demonstrate(task, rng) or "").strip()
            for action in actions:
                before = json.dumps(state)
                if hasattr(world, "moves_left") and world.moves_left(task, state) < 1:
                    yield "no moves are left and the task is not over"
                end = world.step(task, state, action)
                if json.dumps(state) != before:
                    yield "a step changed the state it was given"
                state = end.state
                if end.done or end.truncated:
                    break
            if end is None or not end.done or end.truncated:
                yield f"the demonstration of {task.prompt[:40]!r} does not end the walk"

    return problems()


def _hostile(world: Any, tasks: list[Task]) -> Iterator[str]:
    task = tasks[0]
    world.verify(task, task.answer or "1")  # what is loaded once is no cost of an answer
    for name, answer in HOSTILE.items():
        fastest = float("inf")
        for _ in range(3):  # the least of three: other processes share the machine
            before = time.perf_counter()
            checked = world.verify(task, answer)
            fastest = min(fastest, time.perf_counter() - before)
            if fastest <= MOST_S:
                break
        if checked.score != 0.0:
            yield f"{name} scores {checked.score:g}"
        if fastest > MOST_S:
            yield f"{name} took {fastest * 1000:.0f} ms, allowed are {MOST_S * 1000:.0f}"
