"""What the walker can do now: fresh *decide* tasks walked from their beginning, and after slips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.formulas.intervals import clustered_mean
from askesis.formulas.ratios import mean_of_clusters
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Attempt, Start, Task, TaskRole, Turn


@dataclass(frozen=True, kw_only=True)
class Walks:
    """Share of walks that come to the task's end, and what they are like.

    walk: the explorer that walks (`askesis.explore.walk.Walk`), with its sampling and limits.
    num_tasks: tasks per measurement, at least 2.
    num_slips: forced wrong moves before the second kind of walk, at least 0; a wrong move is a
        legal one after which more moves are needed. 0, or a world that does not know, leaves it
        out.
    threshold: a total reward of at least this is right.
    world, role: on which world which role is measured.

    Tasks are new at every measurement. Tokens count as measuring, outside the run's budget. Needs a
    world with turns. Source: the small check of card [9].
    """

    walk: Any = None
    num_tasks: int = 64
    num_slips: int = 2
    threshold: float = 1.0
    world: str = "main"
    role: str = "policy"

    def __post_init__(self) -> None:
        limits = {
            "num_tasks": (self.num_tasks >= 2, "at least 2"),
            "num_slips": (self.num_slips >= 0, "at least 0"),
        }
        must_fit(self, limits)

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. ConfigError where nobody walks."""
        if self.walk is None:
            raise ConfigError("Walks has no walker", expected="walk=Walk(...) in the recipe")
        world = ctx.world(self.world)
        tasks = ctx.draw(TaskRole.DECIDE, self.num_tasks, world=self.world)
        starts = [Start(task) for task in tasks]
        found: Metrics = {}
        plain = self._walked(ctx, starts)
        self._figures(found, "walks", world, plain)
        if self.num_slips and hasattr(world, "moves_left"):
            rng = ctx.generator("slips")
            slipped = [slipped_start(world, task, rng, self.num_slips, self.role) for task in tasks]
            behind = [s for s in slipped if s is not None]
            if behind:
                self._figures(found, "walks_after_slips", world, self._walked(ctx, behind))
        return found

    def _walked(self, ctx: Any, starts: Sequence[Start]) -> list[list[Attempt]]:
        # equal tasks are drawn now and then: copies walk with noise of their own
        copies = [Start(s.task, s.prefix, s.state, s.tag, None, i) for i, s in enumerate(starts)]
        outcomes = ctx.run([lambda s=s: self.walk.explore(ctx, s) for s in copies])
        errors = [o.error for o in outcomes if o.error is not None]
        if errors and len(errors) == len(outcomes):
            raise errors[0]
        return [list(o.value) for o in outcomes if o.error is None]

    def _figures(
        self, found: Metrics, name: str, world: Any, groups: Sequence[Sequence[Attempt]]
    ) -> None:
        right = [[a.rewards.get(self.role, 0.0) >= self.threshold for a in g] for g in groups]
        put(found, f"{name}/success", clustered_mean(right))
        moves = [[t for a in g for t in a.turns if t.role == self.role] for g in groups]
        put(
            found,
            f"{name}/illegal_fraction",
            mean_of_clusters([[not t.legal for t in m] for m in moves]),
        )
        again = [[r for a in g for r in repeated(a, self.role)] for g in groups]
        put(found, f"{name}/loop_fraction", mean_of_clusters(again))
        lengths: list[list[float]] = [
            [
                float(sum(t.role == self.role for t in a.turns))
                for a, ok in zip(g, r, strict=True)
                if ok
            ]
            for g, r in zip(groups, right, strict=True)
        ]
        put(found, f"{name}/moves_per_success", mean_of_clusters(lengths, low=0.0))


def slipped_start(
    world: Any, task: Task, rng: np.random.Generator, num: int, role: str
) -> Start | None:
    """A start behind `num` moves that lead away, fewer where there are no more; None for none."""
    state = world.initial(task)
    turns = [Turn("world", world.observe(task, state))]
    for _ in range(num):
        left, away = world.moves_left(task, state), []
        for action in world.actions(task, state):
            moved = world.step(task, state, action)
            over = moved.done or moved.truncated or not moved.legal
            if not over and world.moves_left(task, moved.state) > left:
                away.append((action, moved))
        if not away:
            break
        action, moved = away[int(rng.integers(len(away)))]
        state = moved.state
        turns += [Turn(role, action), Turn("world", moved.observation)]
    return Start(task, tuple(turns), tag="slips") if len(turns) > 1 else None


def repeated(attempt: Attempt, role: str) -> list[bool]:
    """For every own move, whether the same was done before where the world looked the same."""
    seen, found, observed = set(), [], ""
    for turn in (*attempt.start.prefix, *attempt.turns):
        if turn.role != role:
            observed = turn.text
        else:
            found.append((observed, turn.text) in seen)
            seen.add((observed, turn.text))
    return found
