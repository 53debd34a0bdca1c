"""Keep the new weights, or go back to the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.intervals import detectable_difference, paired_difference
from askesis.protocols import Metrics
from askesis.records import Start, Task, TaskRole
from askesis.requests import All, Sampling

TAG = "best"
LAZY = {"lazy": True}  # matters only in rounds in which a decision is due


@dataclass(frozen=True, kw_only=True)
class KeepOrRevert:
    """Compares the current weights with the best kept ones and reverts if they are worse.

    every: rounds between decisions, at least 1; a decision costs two evaluations, which count
        in the budget as probes.
    num_tasks: freshly drawn *decide* tasks per decision, at least 8. num_attempts: attempts at
        each by both candidates, at least 1; both answer the same tasks with the same noise, so
        what they have in common cancels.
    temperature: of those attempts, at least 0.
    confidence: of the two-sided paired t interval over tasks, in (0, 1).
    world, role: on which world which role is compared.

    *Worse* (the whole interval below zero): every trained model gets back its best weights and
    optimiser; attempts, costs and counters stay. *Better* (the whole interval above zero): the
    candidate becomes the best. *Undecided*: the candidate is kept, and the best stays what it
    was, so that a slow decline that passes every single comparison still meets the old mark.

    Power: with 128 tasks of 4 attempts, and a standard deviation of per-task differences of 0.3,
    the standard error is 0.027 and a true drop of 0.074 is found four times in five; each
    decision notes its own figure as `keep/detectable`. At 95 % one decision in forty reverts
    although nothing is worse.

    The best weights are pinned as "best", which roles and learners may refer to. A new phase
    starts with its first weights as the best: another world's mark says nothing there. State of
    other retainers (averaged teachers, memory) is not reverted.
    """

    every: int = 4
    num_tasks: int = field(default=128, metadata=LAZY)
    num_attempts: int = field(default=4, metadata=LAZY)
    temperature: float = field(default=1.0, metadata=LAZY)
    confidence: float = field(default=0.95, metadata=LAZY)
    world: str = field(default="main", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    def __post_init__(self) -> None:
        limits = {
            "every": (self.every >= 1, "at least 1"),
            "num_tasks": (self.num_tasks >= 8, "at least 8"),
            "num_attempts": (self.num_attempts >= 1, "at least 1"),
            "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
            "confidence": (0 < self.confidence < 1, "in (0, 1)"),
        }
        for name, (fits, expected) in limits.items():
            if not fits:
                raise ConfigError(
                    f"KeepOrRevert.{name} is out of range",
                    expected=expected,
                    found=repr(getattr(self, name)),
                )

    def on_phase_start(self, ctx: Any) -> None:
        self._pin(ctx)

    def settle(self, ctx: Any, view: Any, report: Metrics | None) -> Metrics:
        """Metrics under `keep/`; nothing where no decision is due or nothing was learnt."""
        if (view.index + 1) % self.every or not self._changed(ctx):
            return {}
        tasks = ctx.draw(TaskRole.DECIDE, self.num_tasks, world=self.world)
        best = self._scores(ctx, tasks, TAG)
        candidate = self._scores(ctx, tasks, "")
        found = paired_difference(best, candidate, self.confidence)
        decision = 0
        if found.high < 0:
            decision = -1
            for model in self._trained(ctx):
                ctx.shelf.restore(model, TAG)
        elif found.low > 0:
            decision = 1
            self._pin(ctx)
        standard_error = float(np.std(np.subtract(candidate, best), ddof=1) / len(tasks) ** 0.5)
        return {
            "keep/decision": decision,
            "keep/best": float(np.mean(best)),
            "keep/candidate": float(np.mean(candidate)),
            "keep/difference": found.value,
            "keep/difference/low": found.low,
            "keep/difference/high": found.high,
            # Where no task differed, a share of 3 / n of them may still (the rule of three).
            "keep/detectable": detectable_difference(standard_error, self.confidence)
            or 3 / len(tasks),
        }

    def _scores(self, ctx: Any, tasks: Sequence[Task], snapshot: str) -> list[float]:
        """Mean verified score of each task under some weights; a failed task scores 0."""
        sampling = Sampling(self.temperature)

        async def one(index: int, task: Task) -> float:
            # The noise is named by the task's place: equal for both candidates, and another
            # one where a task was drawn twice.
            said = await All(
                [
                    ctx.say(
                        self.role,
                        Start(task),
                        attempt=i,
                        draw=index,
                        snapshot=snapshot,
                        sampling=sampling,
                    )
                    for i in range(self.num_attempts)
                ]
            )
            checked = await All([ctx.check(task, turn.text) for turn in said])
            return float(np.mean([c.score for c in checked]))

        outcomes = ctx.run([lambda at=at: one(*at) for at in enumerate(tasks)])
        errors = [o.error for o in outcomes if o.error is not None]
        if len(errors) == len(outcomes):
            raise errors[0]
        return [0.0 if o.error is not None else o.value for o in outcomes]

    @staticmethod
    def _trained(ctx: Any) -> list[Any]:
        return [model for model in ctx.models.values() if model.trainable]

    def _changed(self, ctx: Any) -> bool:
        """Whether any trained model is no longer what is pinned as best."""
        return any(
            ctx.shelf.find(m.name, TAG) != ctx.shelf.current(m.name) for m in self._trained(ctx)
        )

    def _pin(self, ctx: Any) -> None:
        for model in self._trained(ctx):
            ctx.shelf.pin(model.name, TAG, optimizer=True)
