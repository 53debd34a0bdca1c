"""What the model can do now: fresh *decide* tasks, several attempts each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from askesis.errors import must_fit
from askesis.formulas.best_of_k import best_of_k
from askesis.formulas.intervals import Estimate, clustered_mean
from askesis.formulas.pass_at_k import distinct_correct, majority_at_k, pass_at_k
from askesis.formulas.ratios import mean_of_clusters
from askesis.measure.attempts import agreed
from askesis.measure.figures import put
from askesis.measure.sampling import Scored, scored_attempts
from askesis.protocols import Metrics
from askesis.records import Start, Task, TaskRole
from askesis.requests import Sampling


@dataclass(frozen=True, kw_only=True)
class Ability:
    """pass@1, pass@k, majority@k and their company on freshly drawn *decide* tasks.

    num_tasks: tasks per measurement, at least 2; with 128 the interval of pass@1 is about
        +-0.07 wide.
    num_attempts: attempts at each, at least 1; also the k of pass@k and majority@k.
    ks: further k, each in [1, num_attempts], that pass@k is estimated for without bias.
    temperature: at least 0; 1 measures the model itself. top_p: in (0, 1].
    max_tokens: new tokens an attempt may have (None: the world's own allowance).
    difficulty: in [0, 1], or None for the world's own spread.
    num_bins: the figures of right answers besides for so many equal ranges of difficulty (0: not).
    judge: a judge part, for best-of-k under it: the attempt it values most is taken (None: no
        judge). Attempts it does not know come last, ties are broken at random. A judge that
        compares attempts (votes) sees all `num_attempts`, also where the best of fewer is taken.
    threshold: a score of at least this is right, in (0, 1].
    world, role: on which world which role is measured.

    Tasks are new at every measurement, so the figures of two rounds are independent and a curve
    jitters by its intervals; what was measured here is never a claim (see `askesis eval`).
    Intervals are at 95 % with tasks as the independent units.
    """

    num_tasks: int = 128
    num_attempts: int = 8
    ks: tuple[int, ...] = ()
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    difficulty: float | None = None
    num_bins: int = 0
    judge: Any = None
    threshold: float = 1.0
    world: str = "main"
    role: str = "policy"

    def __post_init__(self) -> None:
        limits = {
            "num_tasks": (self.num_tasks >= 2, "at least 2"),
            "num_attempts": (self.num_attempts >= 1, "at least 1"),
            "ks": (
                all(1 <= k <= self.num_attempts for k in self.ks),
                f"each between 1 and num_attempts ({self.num_attempts})",
            ),
            "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
            "top_p": (0 < self.top_p <= 1, "in (0, 1]"),
            "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1, or none"),
            "difficulty": (
                self.difficulty is None or 0 <= self.difficulty <= 1, "in [0, 1], or none",
            ),
            "num_bins": (0 <= self.num_bins <= 100, "from 0 to 100"),
            "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
        }  # fmt: skip
        must_fit(self, limits)

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        tasks = ctx.draw(
            TaskRole.DECIDE, self.num_tasks, world=self.world, difficulty=self.difficulty
        )
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        starts = [Start(task) for task in tasks]
        judge, num_bins = self.judge, self.num_bins
        scored = scored_attempts(ctx, starts, self.role, self.num_attempts, sampling, judge)
        threshold, ks = self.threshold, sorted({*self.ks, self.num_attempts})
        found = ability(scored, threshold, ks, judged=judge is not None)
        for place, members in bins(tasks, scored, num_bins).items():
            inside = right_answers(members, threshold, ks, judged=judge is not None)
            for name, value in inside.items():
                quantity, slash, end = name.partition("/")
                found[f"{quantity}_of_bin/{place}{slash}{end}"] = value
            found[f"num_tasks_of_bin/{place}"] = float(len(members))
        return found


def ability(
    scored: list[list[Scored]], threshold: float, ks: list[int], judged: bool = False
) -> Metrics:
    """The figures of scored attempts, one inner list per task, equally many each."""
    found = right_answers(scored, threshold, ks, judged)
    everybody: list[tuple[str, list[list[float]]]] = [
        ("score", [[s.score for s in a] for a in scored]),
        ("truncated_fraction", [[s.cut_off for s in a] for a in scored]),
        ("failed_fraction", [[s.failed for s in a] for a in scored]),
    ]
    for name, clusters in everybody:
        put(found, name, clustered_mean(clusters))
    lengths: list[tuple[str, list[list[float]]]] = [
        ("tokens_per_attempt", [[s.num_tokens for s in a] for a in scored]),
        ("steps_per_attempt", [[s.steps for s in a if s.steps is not None] for a in scored]),
        ("tokens_per_right", [[s.num_tokens for s in a if s.score >= threshold] for a in scored]),
        ("tokens_per_wrong", [[s.num_tokens for s in a if s.score < threshold] for a in scored]),
    ]
    for name, clusters in lengths:
        put(found, name, mean_of_clusters(clusters, low=0.0))
    found["num_tasks"] = float(len(scored))
    return found


def right_answers(
    scored: Sequence[Sequence[Scored]], threshold: float, ks: list[int], judged: bool = False
) -> Metrics:
    """pass@k, majority, best-of-k and distinct right answers, each with its interval."""
    right = [[s.score >= threshold for s in attempts] for attempts in scored]
    found: Metrics = {}
    put(found, "pass@1", clustered_mean(right))
    most = max(ks)
    for k in ks:
        if k > 1:
            put(found, f"pass@{k}", _per_task([pass_at_k(len(r), sum(r), k) for r in right]))
    if most > 1:
        votes = [_majority(a, r) for a, r in zip(scored, right, strict=True)]
        put(found, f"majority@{most}", _per_task(votes))
    for k in ks:
        if k > 1 and judged:
            best = [
                best_of_k([-inf if s.value is None else s.value for s in a], r, k)
                for a, r in zip(scored, right, strict=True)
            ]
            put(found, f"best_of@{k}", _per_task(best))
    distinct = [
        [distinct_correct([s.answer for s in a], r)] for a, r in zip(scored, right, strict=True)
    ]
    put(found, "distinct_correct", mean_of_clusters(distinct, low=0.0, high=most))
    return found


def bins(
    tasks: Sequence[Task], scored: Sequence[list[Scored]], num_bins: int
) -> dict[int, list[list[Scored]]]:
    """Scored attempts by range of difficulty, [b / B, (b + 1) / B), the last one closed; only
    ranges that hold tasks. None where `num_bins` is 0."""
    found: dict[int, list[list[Scored]]] = {}
    for task, attempts in zip(tasks, scored, strict=True):
        if num_bins:
            place = min(int(task.difficulty * num_bins), num_bins - 1)
            found.setdefault(place, []).append(attempts)
    return dict(sorted(found.items()))


def _per_task(values: Sequence[float]) -> Estimate:
    return clustered_mean([[v] for v in values])


def _majority(attempts: Sequence[Scored], right: list[bool]) -> float:
    """The vote of all attempts."""
    return majority_at_k(*agreed([s.answer for s in attempts], right), len(attempts))
