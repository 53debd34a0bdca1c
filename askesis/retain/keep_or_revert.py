"""Keep the new weights, or go back to the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.intervals import Estimate, paired_difference
from askesis.formulas.sequential import detectable_decline, detectable_drift, look_confidences
from askesis.protocols import Metrics
from askesis.records import Start, Task, TaskRole
from askesis.requests import All, Sampling

TAG = "best"
EVENT = "keep_or_revert"
TASKS_A_LOOK = 16  # at least; below, Student's interval of 0 and 1 scores is a poor guide
LAZY = {"lazy": True}  # matters only in rounds in which a decision is due
WORDS = {-1: "worse", 0: "undecided", 1: "better"}


@dataclass(frozen=True, kw_only=True)
class KeepOrRevert:
    """Compares the current weights with the best kept ones and reverts if they are worse.

    every: rounds between decisions, at least 1; a decision costs up to two evaluations, which
        count in the budget as probes.
    num_tasks: freshly drawn *decide* tasks per decision at most, at least 8. num_attempts:
        attempts at each by both candidates, at least 1; both answer the same tasks with the same
        noise, so what they have in common cancels.
    num_looks: how often a decision may be made before all tasks are in, at least 1; every look
        brings at least 16 tasks.
    temperature: of those attempts, at least 0.
    confidence: of a whole decision with all its looks, two-sided, in (0, 1).
    world, role: on which world which role is compared.

    *Worse* (the whole interval below zero): every trained model gets back its best weights,
    optimiser and averages; attempts, costs, counters and the memory of other parts stay. *Better*
    (the whole interval above zero): the candidate becomes the best. *Undecided*: the candidate is
    kept, and the best stays what it was, so that a slow decline that passes every single
    comparison still meets the old mark.

    The looks are group-sequential: their bounds spend the error so that with all of them together
    one decision in forty (at 95 %) reverts although nothing is worse; the interval is the repeated
    confidence interval of the look it ends with. Intervals are paired t intervals over tasks.

    Power: with the defaults a true decline of 0.09 at an accuracy of one half is found four times
    in five even if the two share no noise (`askesis.formulas.sequential.detectable_decline`). Each
    decision notes what it could see itself, from its own spread, as `keep/detectable`, and what
    was planned, as `keep/planned`. What is smaller accumulates unseen until the mark is that far.

    The best weights are pinned as "best", which roles, learners and `askesis eval --snapshot best`
    may refer to. A new phase starts with its first weights as the best: another world's mark says
    nothing there. Each decision is an event of the run.
    """

    every: int = 4
    num_tasks: int = field(default=128, metadata=LAZY)
    num_attempts: int = field(default=4, metadata=LAZY)
    num_looks: int = field(default=4, metadata=LAZY)
    temperature: float = field(default=1.0, metadata=LAZY)
    confidence: float = field(default=0.95, metadata=LAZY)
    world: str = field(default="main", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    def __post_init__(self) -> None:
        limits = {
            "every": (self.every >= 1, "at least 1"),
            "num_tasks": (self.num_tasks >= 8, "at least 8"),
            "num_attempts": (self.num_attempts >= 1, "at least 1"),
            "num_looks": (self.num_looks >= 1, "at least 1"),
            "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
            "confidence": (0 < self.confidence < 1, "in (0, 1)"),
        }
        must_fit(self, limits)

    def on_phase_start(self, ctx: Any) -> None:
        ctx.shelf.mark(_trained(ctx), TAG)

    def settle(self, ctx: Any, view: Any, report: Metrics | None) -> Metrics:
        """Metrics under `keep/`; nothing where no decision is due or nothing was learnt."""
        if (view.index + 1) % self.every or not _changed(ctx):
            return {}
        tasks = ctx.draw(TaskRole.DECIDE, self.num_tasks, world=self.world)
        best: list[float] = []
        candidate: list[float] = []
        ends = looks(self.num_tasks, self.num_looks)
        found, decision = Estimate(0.0, 0.0, 0.0), 0
        for end, confidence in zip(ends, look_confidences(len(ends), self.confidence), strict=True):
            new = self._scores(ctx, tasks, len(best), end)
            best += new[0]
            candidate += new[1]
            found, decision = decide(best, candidate, confidence)
            if decision:
                break
        mark = {name: ctx.shelf.find(name, TAG) for name in _trained(ctx)}
        tried = {name: ctx.snapshot(name) for name in _trained(ctx)}
        if decision < 0:
            ctx.shelf.go_back(_trained(ctx), TAG)
        elif decision > 0:
            ctx.shelf.mark(_trained(ctx), TAG)
        noted = {
            "best": float(np.mean(best)),
            "candidate": float(np.mean(candidate)),
            "difference": found.value,
            "difference/low": found.low,
            "difference/high": found.high,
            "num_tasks": len(best),
            "detectable": self._detectable(best, candidate, len(ends)),
            "planned": detectable_decline(
                self.num_tasks,
                self.num_attempts,
                num_looks=len(ends),
                confidence=self.confidence,
            ),
        }
        ctx.tell(
            EVENT,
            decision=WORDS[decision],
            reverted=decision < 0,
            snapshots=tried,
            compared_with=mark,
            marked={name: ctx.shelf.find(name, TAG) for name in mark},
            num_attempts=self.num_attempts,
            confidence=self.confidence,
            **noted,
        )
        return {"keep/decision": decision} | {f"keep/{k}": float(v) for k, v in noted.items()}

    def _detectable(self, best: list[float], candidate: list[float], num_looks: int) -> float:
        """The smallest decline this comparison finds four times in five with all its tasks."""
        deviation = float(np.std(np.subtract(candidate, best), ddof=1))
        if not deviation:  # no task differed; a share of 3 / n still may (the rule of three)
            return 3 / len(best)
        return detectable_drift(num_looks, self.confidence) * deviation / self.num_tasks**0.5

    def _scores(
        self, ctx: Any, tasks: Sequence[Task], begin: int, end: int
    ) -> tuple[list[float], list[float]]:
        """Mean verified score of tasks begin to end under the best and under the present weights;
        a task that fails scores 0."""
        sampling = Sampling(self.temperature)

        async def one(index: int, snapshot: str) -> float:
            # The noise is named by the task's place: equal for both candidates, and another
            # one where a task was drawn twice.
            start = Start(tasks[index])
            said = await All(
                [
                    ctx.say(
                        self.role,
                        start,
                        attempt=i,
                        draw=index,
                        snapshot=snapshot,
                        sampling=sampling,
                    )
                    for i in range(self.num_attempts)
                ]
            )
            checked = await All([ctx.check(start.task, turn.text) for turn in said])
            return float(np.mean([c.score for c in checked]))

        places = [(i, snapshot) for snapshot in (TAG, "") for i in range(begin, end)]
        outcomes = ctx.run([lambda at=at: one(*at) for at in places])
        errors = [o.error for o in outcomes if o.error is not None]
        if len(errors) == len(outcomes):
            raise errors[0]
        scores = [0.0 if o.error is not None else o.value for o in outcomes]
        return scores[: end - begin], scores[end - begin :]


def decide(
    best: Sequence[float], candidate: Sequence[float], confidence: float
) -> tuple[Estimate, int]:
    """One look: the paired difference with its interval, and 1 better, 0 undecided, -1 worse."""
    found = paired_difference(best, candidate, confidence)
    return found, int(found.low > 0) - int(found.high < 0)


def looks(num_tasks: int, num_looks: int) -> list[int]:
    """After how many tasks to look: equally spaced, fewer times where there are too few tasks."""
    num = max(1, min(num_looks, num_tasks // TASKS_A_LOOK))
    return [ceil(num_tasks * k / num) for k in range(1, num + 1)]


def _trained(ctx: Any) -> list[str]:
    return [name for name, model in ctx.models.items() if model.trainable]


def _changed(ctx: Any) -> bool:
    """Whether any trained model is no longer what is pinned as best."""
    return any(ctx.shelf.find(name, TAG) != ctx.snapshot(name) for name in _trained(ctx))
