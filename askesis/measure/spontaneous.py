"""What answers do about their own wrong steps: made, taken back, mended; and false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.intervals import clustered_mean
from askesis.formulas.ratios import mean_of_clusters
from askesis.measure.attempts import train_attempts
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Attempt, Purpose, Start, StopReason, Task, TaskRole, Turn
from askesis.requests import All, Checked
from askesis.text.remarks import taken_back

LAZY = {"lazy": True}


@dataclass(frozen=True, slots=True)
class Stepped:
    """One answer: per step whether it is right and whether it was taken back; the outcome."""

    right: tuple[bool, ...]
    back: tuple[bool, ...]
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class Spontaneous:
    """Self-correction inside one answer: of the round's own attempts, and after forced mistakes.

    num_tasks: fresh *decide* tasks whose demonstration is begun, up to and with a wrong step put in
        its place, and which the model then finishes; at least 2, or 0 for none. The same beginnings
        without the wrong step show what it takes back that was right.
    num_attempts: at each beginning, at least 1. temperature: of them, at least 0.
    threshold: a verified score of at least this is right, in (0, 1].
    world, role: on which world, and who finishes.

    Needs step truth; forced mistakes need a demonstrator and "corrections", and are left
    out where a world has none. They count as measuring, outside the run's budget. Source: the small
    check of card [41].
    """

    num_tasks: int = 64
    num_attempts: int = field(default=2, metadata=LAZY)
    temperature: float = field(default=1.0, metadata=LAZY)
    threshold: float = field(default=1.0, metadata=LAZY)
    world: str = field(default="main", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    def __post_init__(self) -> None:
        limits = {
            "num_tasks": (self.num_tasks == 0 or self.num_tasks >= 2, "at least 2, or 0"),
            "num_attempts": (self.num_attempts >= 1, "at least 1"),
            "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
            "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
        }
        must_fit(self, limits)

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. TruthError in a run without truth."""
        found: Metrics = {}
        own = [
            [a for a in attempts if _counts(a)] for attempts in train_attempts(view.all_groups)[0]
        ]
        self._of_attempts(ctx, found, [g for g in own if g])
        if self.num_tasks and "corrections" in ctx.world(self.world).truth:
            self._after_mistakes(ctx, found)
        return found

    def _of_attempts(self, ctx: Any, found: Metrics, groups: list[list[Attempt]]) -> None:
        if not groups:
            return
        said = [[(a.task, a.text) for a in g] for g in groups]
        made = _all_of(ctx, [lambda s=s: _stepped(ctx, s, self.threshold) for s in said])
        wrong = [[not r for a in g for r in a.right] for g in made]
        put(found, "steps/wrong_fraction", mean_of_clusters(wrong, low=0.0, high=1.0))
        for name, is_right in (("wrong", False), ("right", True)):
            back = [
                [b for a in g for r, b in zip(a.right, a.back, strict=True) if r == is_right]
                for g in made
            ]
            put(found, f"steps/{name}_taken_back", mean_of_clusters(back, low=0.0, high=1.0))
        mended = [[a.is_right for a in g if _took_back_wrong(a)] for g in made]
        put(found, "steps/mended_fraction", mean_of_clusters(mended, low=0.0, high=1.0))

    def _after_mistakes(self, ctx: Any, found: Metrics) -> None:
        world = ctx.world(self.world)
        tasks = ctx.draw(TaskRole.DECIDE, self.num_tasks, world=self.world)
        begun = [begun_wrongly(world, t, ctx.generator("slip", i)) for i, t in enumerate(tasks)]
        for name, is_wrong in (("after_mistake", True), ("after_right_step", False)):
            starts = [
                (Start(task, tag=name, copy=i), b.wrong if is_wrong else b.right, b.place)
                for i, (task, b) in enumerate(zip(tasks, begun, strict=True))
                if b is not None
            ]
            made = _all_of(ctx, [lambda s=s: self._finished(ctx, *s) for s in starts])
            if made:
                put(found, f"{name}/taken_back", clustered_mean([[b for b, _ in g] for g in made]))
                put(found, f"{name}/right", clustered_mean([[r for _, r in g] for g in made]))

    async def _finished(
        self, ctx: Any, start: Start, text: str, place: int
    ) -> list[tuple[bool, bool]]:
        """A beginning finished: whether its last step was taken back, and the outcome."""
        tokens, context = ctx.encode(self.role, text), ctx.render(self.role, start)
        opening = Turn(self.role, text, context=context, tokens=tokens, stop=StopReason.OPEN)
        said = await All(
            [
                ctx.say(self.role, start, [opening], attempt=i, temperature=self.temperature)
                for i in range(self.num_attempts)
            ]
        )  # fmt: skip
        made = await _stepped(ctx, [(start.task, text + t.text) for t in said], self.threshold)
        return [(len(a.back) > place and a.back[place], a.is_right) for a in made]


@dataclass(frozen=True, slots=True)
class Begun:
    """The beginning of a demonstration, and the same with its last step stating a wrong value;
    `place` is the index of that step."""

    right: str
    wrong: str
    place: int


def begun_wrongly(world: Any, task: Task, rng: np.random.Generator) -> Begun | None:
    """A demonstration's beginning with a wrong value at its end; None where there is none, or no
    step of it states a value that can be changed."""
    shown = world.demonstrate(task, rng)
    spans = world.verify(task, shown).spans if shown else ()
    for place in rng.permutation(len(spans)).tolist():
        first, last = spans[place]
        left, equals, value = shown[first:last].rpartition("=")
        if not equals or not value.isdigit():
            continue
        slip = (1, -1, 2, 10)[int(rng.integers(4))]
        wrong = f"{shown[:first]}{left}={abs(int(value) + slip)}"
        steps = world.verify(task, wrong).steps
        if len(steps) == place + 1 and steps[place] < 1:
            return Begun(shown[:last], wrong, place)
    return None


def _counts(attempt: Attempt) -> bool:
    """Whether somebody sampled it, and it came to something."""
    sampled = attempt.purpose is not Purpose.DEMONSTRATION
    return sampled and attempt.stop is not StopReason.FAILED and bool(attempt.text)


async def _stepped(
    ctx: Any, answers: Sequence[tuple[Task, str]], threshold: float
) -> list[Stepped]:
    """The steps of answers, by the world."""
    read: list[Checked] = await All([ctx.check(task, text) for task, text in answers])
    return [
        Stepped(
            tuple(s >= 1 for s in c.steps), taken_back(text, c.spans), c.score >= threshold
        )
        for (_, text), c in zip(answers, read, strict=True)
    ]  # fmt: skip


def _took_back_wrong(answer: Stepped) -> bool:
    return any(not r and b for r, b in zip(answer.right, answer.back, strict=True))


def _all_of(ctx: Any, makers: Sequence[Any]) -> list[Any]:
    """What coroutines come to, those that fail left out. Raises the first error where all do."""
    outcomes = ctx.run(makers)
    errors = [o.error for o in outcomes if o.error is not None]
    if errors and len(errors) == len(outcomes):
        raise errors[0]
    return [o.value for o in outcomes if o.error is None]
