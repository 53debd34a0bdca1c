"""What the model can do now: fresh *decide* tasks, several attempts each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.intervals import clustered_mean
from askesis.formulas.pass_at_k import distinct_correct, majority_at_k, pass_at_k
from askesis.measure.sampling import Scored, scored_attempts
from askesis.protocols import Metrics
from askesis.records import Start, TaskRole
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
            "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
        }  # fmt: skip
        for name, (fits, expected) in limits.items():
            if not fits:
                raise ConfigError(
                    f"Ability.{name} is out of range",
                    expected=expected,
                    found=repr(getattr(self, name)),
                )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        tasks = ctx.draw(
            TaskRole.DECIDE, self.num_tasks, world=self.world, difficulty=self.difficulty
        )
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        starts = [Start(task) for task in tasks]
        scored = scored_attempts(ctx, starts, self.role, self.num_attempts, sampling)
        return ability(scored, self.threshold, sorted({*self.ks, self.num_attempts}))


def ability(scored: list[list[Scored]], threshold: float, ks: list[int]) -> Metrics:
    """The figures of scored attempts, one inner list per task, equally many each."""
    right = [[s.score >= threshold for s in attempts] for attempts in scored]
    every = [s for attempts in scored for s in attempts]
    found: Metrics = {}

    def put(name: str, per_task: list[Any]) -> None:
        estimate = clustered_mean(per_task)
        found[name] = estimate.value
        found[f"{name}/low"], found[f"{name}/high"] = estimate.low, estimate.high

    put("pass@1", right)
    for k in ks:
        if k > 1:
            put(f"pass@{k}", [[pass_at_k(len(r), sum(r), k)] for r in right])
    most = max(ks)
    if most > 1:
        put(f"majority@{most}", [[_majority(a, r)] for a, r in zip(scored, right, strict=True)])
    found["score"] = float(np.mean([s.score for s in every]))
    found["distinct_correct"] = float(
        np.mean(
            [distinct_correct([s.answer for s in a], r) for a, r in zip(scored, right, strict=True)]
        )
    )
    found["tokens_per_attempt"] = float(np.mean([s.num_tokens for s in every]))
    found["truncated_fraction"] = float(np.mean([s.cut_off for s in every]))
    found["failed_fraction"] = float(np.mean([s.failed for s in every]))
    found["num_tasks"] = float(len(scored))
    return found


def _majority(attempts: list[Scored], right: list[bool]) -> float:
    """The vote of all attempts. Where equal answers were scored differently (the score looks at
    more than the answer) an answer is as right as most of those who gave it."""
    answers = [s.answer for s in attempts]
    share: dict[str, list[bool]] = {}
    for answer, is_right in zip(answers, right, strict=True):
        share.setdefault(answer, []).append(is_right)
    agreed = [2 * sum(share[a]) > len(share[a]) for a in answers]
    return majority_at_k(answers, agreed, len(answers))
