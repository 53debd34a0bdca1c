"""How sharp a model is, exactly: on worlds whose answers can be listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from askesis.errors import ConfigError, TruthError
from askesis.formulas.coverage import log_coverage, sharpened_fraction
from askesis.formulas.intervals import clustered_mean
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Start, Task, TaskRole, Turn
from askesis.requests import All


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """The probability of every listed answer, and of the one that the first model likes best.

    num_tasks: fresh *decide* tasks per measurement, at least 2. difficulty: in [0, 1], or None.
    most_answers: tasks with more listed answers are left out, at least 1: each is scored twice.
    snapshot: whose favourite answer y* is looked for: "base" as in the theory.
    world, role: on which world which role is measured.

    y*(x) is the listed answer to which `snapshot` gives the highest probability. Nothing where the
    world does not list its answers; figures about right answers only where the run has truth.
    Scoring all answers costs num_tasks times their number, for both models. Nothing is sampled but
    the greedy answer. Source: Huang et al. 2024, definitions 3.1 and 3.2, card [18].
    """

    num_tasks: int = 48
    difficulty: float | None = None
    most_answers: int = 256
    snapshot: str = "base"
    world: str = "main"
    role: str = "policy"

    def __post_init__(self) -> None:
        if self.num_tasks < 2:
            raise ConfigError(
                "Sharpness.num_tasks is too small", expected="at least 2", found=str(self.num_tasks)
            )
        if self.most_answers < 1:
            raise ConfigError(
                "Sharpness.most_answers is too small",
                expected="at least 1",
                found=str(self.most_answers),
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        num_tasks, difficulty, snapshot = self.num_tasks, self.difficulty, self.snapshot
        world, role, most = ctx.world(self.world), self.role, self.most_answers
        if not hasattr(world, "list_answers"):
            return {}
        drawn = ctx.draw(TaskRole.DECIDE, num_tasks, world=self.world, difficulty=difficulty)
        tasks = [task for task in drawn if len(world.list_answers(task)) <= most]
        if not tasks:
            return {}
        rows = listed(ctx, tasks, role, snapshot=snapshot)
        kept = [(r.task, r.now, r.then, r.greedy) for r in rows if r is not None]
        found = _figures(world, kept)
        try:
            right = [_right(world, task) for task, *_ in kept]
        except TruthError:
            return found
        return found | _right_figures(kept, right)


@dataclass(frozen=True, slots=True)
class Listed:
    """One task: log-probabilities of its listed answers, in their order, from who is looked at and
    from whoever has the favourite, and what greedy decoding says."""

    task: Task
    now: np.ndarray
    then: np.ndarray
    greedy: Turn


def listed(
    ctx: Any, tasks: Sequence[Task], role: str, *, first: str = "", snapshot: str = ""
) -> list[Listed | None]:
    """The listed answers of each task, scored; None where that failed.

    first, snapshot: whose favourite is looked for: another role ("": the same), and its snapshot.
    Raises what the first one raised where all fail.
    """
    world, other = ctx.world_of(tasks[0]), first or role

    async def one(index: int, task: Task) -> Listed:
        start = Start(task)
        answers = [Turn(role, text) for text in world.list_answers(task)]
        now = await All([ctx.score(role, start, (), t) for t in answers])
        then = await All([ctx.score(other, start, (), t, snapshot=snapshot) for t in answers])
        greedy = await ctx.say(role, start, draw=index, temperature=0.0)
        return Listed(task, _totals(now), _totals(then), greedy)

    outcomes = ctx.run([lambda at=at: one(*at) for at in enumerate(tasks)])
    errors = [o.error for o in outcomes if o.error is not None]
    if errors and len(errors) == len(outcomes):
        raise errors[0]
    return [None if o.error is not None else o.value for o in outcomes]


def _totals(scores: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([float(s.sum(dtype=np.float64)) for s in scores])


def _figures(world: Any, kept: Sequence[tuple[Task, np.ndarray, np.ndarray, Turn]]) -> Metrics:
    """What needs no truth."""
    best = [int(np.argmax(then)) for _, _, then, _ in kept]
    logp = [float(now[b]) for (_, now, _, _), b in zip(kept, best, strict=True)]
    found: Metrics = {
        "sharpness/log_coverage": log_coverage(logp),
        "sharpness/sharpened_fraction": sharpened_fraction(logp),
    }
    greedy = [
        float(turn.text == world.list_answers(task)[b])
        for (task, _, _, turn), b in zip(kept, best, strict=True)
    ]
    entropies = [
        float(-(np.exp(p) * p).sum()) for p in (now - logsumexp(now) for _, now, _, _ in kept)
    ]
    put(found, "sharpness/favourite_mass", _over_tasks(np.exp(logp)))
    put(found, "sharpness/greedy_finds_favourite", _over_tasks(greedy))
    put(found, "sharpness/listed_mass", _over_tasks([np.exp(logsumexp(n)) for _, n, _, _ in kept]))
    found["sharpness/entropy"] = float(np.mean(entropies))
    return found


def _right(world: Any, task: Task) -> np.ndarray:
    """Which of the listed answers are right."""
    return np.array([world.verify(task, text).score >= 1 for text in world.list_answers(task)])


def _right_figures(
    kept: Sequence[tuple[Task, np.ndarray, np.ndarray, Turn]], right: Sequence[np.ndarray]
) -> Metrics:
    """What sharpening can do about right answers, and what it cannot."""
    found: Metrics = {}
    good = [bool(r[int(np.argmax(then))]) for (_, _, then, _), r in zip(kept, right, strict=True)]
    mass = [float(np.exp(now[r]).sum()) for (_, now, _, _), r in zip(kept, right, strict=True)]
    put(found, "sharpness/favourite_right", _over_tasks(good))
    put(found, "sharpness/right_mass", _over_tasks(mass))
    for name, wanted in (("right", True), ("wrong", False)):
        some = [m for m, g in zip(mass, good, strict=True) if g is wanted]
        put(found, f"sharpness/right_mass_where_favourite_{name}", _over_tasks(some))
    return found


def _over_tasks(values: Any) -> Any:
    return clustered_mean([[min(1.0, float(v))] for v in values])
