"""A controller between explore and select: which temperature and threshold this round works with.

It looks at attempts that were tried out at several temperatures and asks an objective, for every
temperature and every threshold, how good what would be selected is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.formulas.exploration import balance_score, balance_target
from askesis.records import Attempt, Group, Sample
from askesis.select.judged import finite_value
from askesis.select.threshold import Threshold

LAZY = {"lazy": True}
TENTHS = tuple(round(i / 10, 1) for i in range(-10, 11))


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt that was tried out: whether it is right, how it was rated, what it said."""

    right: bool
    rating: float
    text: str


@dataclass(frozen=True, slots=True)
class Setting:
    """What a round works with, and what the objective thinks of it (None: nobody asked)."""

    temperature: float
    threshold: float
    score: float | None = None


class SteeringObjective(Protocol):
    """What a controller maximises."""

    def __call__(self, selected: Sequence[Sequence[Tried]], target: int) -> float:
        """selected: per task what would be selected. target: how many a task should give."""
        ...


@dataclass(frozen=True, kw_only=True)
class Balance:
    """B-STaR's balance score, mean over tasks: enough different right answers (exploration), and
    few wrong or repeated ones among what is selected (exploitation). See `balance_score`."""

    def __call__(self, selected: Sequence[Sequence[Tried]], target: int) -> float:
        return float(
            np.mean([balance_score(len(s), num_distinct_right(s), target) for s in selected])
        )


@dataclass(frozen=True, kw_only=True)
class EnoughRight:
    """The first factor of the balance score alone: enough different right answers, whatever else
    is selected with them."""

    def __call__(self, selected: Sequence[Sequence[Tried]], target: int) -> float:
        return float(np.mean([min(num_distinct_right(s) / target, 1.0) for s in selected]))


@dataclass(frozen=True, kw_only=True)
class Controller:
    """Chooses one of the candidate temperatures and one of the candidate thresholds, each round.

    temperatures: candidates, each at least 0 and different. thresholds: candidates; an attempt
        rated at least this would be selected. One of each is a fixed setting: nothing is tried.
    num_tasks: tasks of the round that are tried at every temperature, at least 1; what it costs
        beside the round itself is num_tasks times the number of temperatures, over its tasks.
    objective: what is maximised, `Balance()` or `EnoughRight()` or a callable of your own
        (`SteeringObjective`).
    target: n*, how many samples a task should give (None: ceil(N / M), wanted samples over tasks of
        the round; 8 in the authors' code).
    judge: whose value says what is right; "" takes the last that knew. right: its least value that
        is right. rater: whose value is compared with thresholds; "" takes `judge`'s.

    A part of a round of its own (`askesis.recipes.b_star`), not of a stage: it looks at what was
    judged and asks nobody. Of settings that are equally good it takes the temperature nearest 1,
    then the highest threshold; so where nothing is right it changes nothing much.
    Source: Zeng et al. 2024, "B-STaR", card [1].
    """

    temperatures: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
    thresholds: tuple[float, ...] = TENTHS
    num_tasks: int = field(default=16, metadata=LAZY)
    objective: Any = field(default=Balance(), metadata=LAZY)
    target: int | None = field(default=None, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    right: float = field(default=1.0, metadata=LAZY)
    rater: str = field(default="", metadata=LAZY)

    def __post_init__(self) -> None:
        warm, kept = self.temperatures, self.thresholds
        must_fit(
            self,
            {
                "temperatures": (
                    len(set(warm)) == len(warm) > 0 and all(0 <= t < float("inf") for t in warm),
                    "one or more different numbers of at least 0",
                ),
                "thresholds": (
                    len(set(kept)) == len(kept) > 0 and all(np.isfinite(kept)),
                    "one or more different finite numbers",
                ),
                "num_tasks": (self.num_tasks >= 1, "at least 1"),
                "objective": (callable(self.objective), "something that can be called"),
                "target": (self.target is None or self.target >= 1, "at least 1, or none"),
            },
        )

    @property
    def fixed(self) -> Setting | None:
        """The only setting there is, or None where one has to be chosen."""
        if len(self.temperatures) == len(self.thresholds) == 1:
            return Setting(self.temperatures[0], self.thresholds[0])
        return None

    def choose(
        self, groups: Sequence[Group], verdicts: Any, *, num_samples: int, num_tasks: int
    ) -> Setting:
        """The best setting for attempts at every candidate temperature.

        num_samples, num_tasks: N and M of the round that is to come. Raises ConfigError where a
        rating is not a finite number, or where there is nothing to choose from.
        """
        target = self.target or balance_target(num_samples, num_tasks)
        tried = self._tried(groups, verdicts)
        if not any(any(tasks) for tasks in tried.values()):
            raise ConfigError(
                "the controller has no judged attempts to choose from",
                expected="attempts whose value a judge knows",
                found=f"{sum(len(g.attempts) for g in groups)} attempts of unknown value",
                hint="look at the errors of the round's judge",
            )
        best: tuple[tuple[float, float, float], Setting] | None = None
        for temperature, tasks in tried.items():
            for threshold in self.thresholds:
                selected = [[a for a in task if a.rating >= threshold] for task in tasks]
                score = float(self.objective(selected, target))
                # the last digits of a mean depend on the order of its terms
                rank = (round(score, 12), -abs(temperature - 1), threshold)
                if best is None or rank > best[0]:
                    best = (rank, Setting(temperature, threshold, score))
        assert best is not None
        return best[1]

    def _tried(self, groups: Sequence[Group], verdicts: Any) -> dict[float, list[list[Tried]]]:
        """Per temperature, per task, the attempts whose value is known."""
        found: dict[float, list[list[Tried]]] = {t: [] for t in self.temperatures}
        for group in groups:
            inside: dict[float, list[Tried]] = {t: [] for t in self.temperatures}
            for attempt in group.attempts:
                value = finite_value(attempt, verdicts, self.judge)
                rating = finite_value(attempt, verdicts, self.rater or self.judge)
                if value is not None and rating is not None and attempt.turns:
                    seen = Tried(value >= self.right, rating, attempt.text)
                    inside.setdefault(attempt.turns[0].temperature, []).append(seen)
            for temperature in self.temperatures:
                found[temperature].append(inside[temperature])
        return found


@dataclass(frozen=True, kw_only=True)
class SteeredThreshold:
    """`Threshold` at the threshold that the round gives as the input `setting`, to a wanted size.

    num_samples: N, samples a round should give, at least 1: of every task at most k are kept, k the
        smallest number with which N are reached; all are, where there are not so many.
    keep: the gate and what counts as the same answer; its own threshold and max_per_task are not
        used.

    Notes what was chosen and what the objective thought of it. Source: Zeng et al. 2024, card [1].
    """

    num_samples: int = 512
    keep: Threshold = field(default_factory=Threshold)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"num_samples": (self.num_samples >= 1, "at least 1")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of tasks; what `Threshold` notes, and the setting."""
        setting, num_samples = ctx.inputs.get("setting"), self.num_samples
        threshold = self.keep.threshold if setting is None else setting.threshold
        gate = replace(self.keep, threshold=threshold, max_per_task=None)
        samples = gate.select(ctx, groups, verdicts)
        counts = _per_task(samples, groups)
        cap = least_cap(counts, num_samples)
        if cap < max(counts, default=0):
            samples = replace(gate, max_per_task=cap).select(ctx, groups, verdicts)
        ctx.note("cap", cap)
        ctx.note("threshold", threshold)
        if setting is not None and setting.score is not None:
            ctx.note("steering_score", setting.score)
        return samples


def num_distinct_right(selected: Sequence[Tried]) -> int:
    """Different right answers among what was selected of one task."""
    return len({a.text for a in selected if a.right})


def least_cap(counts: Sequence[int], wanted: int) -> int:
    """The smallest k with sum_i min(counts_i, k) >= wanted; the largest count where none reaches
    it, 0 where nothing is there.

    >>> least_cap([5, 1, 3], 5)
    2
    """
    most = max(counts, default=0)
    return next((k for k in range(1, most) if sum(min(c, k) for c in counts) >= wanted), most)


def _per_task(samples: Sequence[Sample], groups: Sequence[Group]) -> list[int]:
    task_of = {a.id: _task(a) for g in groups for a in g.attempts}
    counts: dict[str, int] = {}
    for sample in samples:
        task = task_of[sample.sources[0]]
        counts[task] = counts.get(task, 0) + 1
    return list(counts.values())


def _task(attempt: Attempt) -> str:
    return attempt.task.id
