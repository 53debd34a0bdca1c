"""Reasoning habits in the round's own attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import ConfigError
from askesis.formulas.intervals import clustered_mean
from askesis.formulas.ratios import mean_of_clusters
from askesis.measure.attempts import train_attempts, whole_groups
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import StopReason
from askesis.text.habits import NAMES, count_habits


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How often attempts verify, turn back, set sub-goals and work backwards, counted by rules.

    num_attempts: at most so many attempts of a round are read, whole groups chosen at random, at
        least 1; reading is cheap, thousands cost less than a second.

    What a rule counts depends on the world's way of writing (`askesis.text.habits`); compare
    rounds, not worlds. Needs no truth and costs no tokens. Source: Gandhi et al. 2025, card [6].
    """

    num_attempts: int = 2_000

    def __post_init__(self) -> None:
        if self.num_attempts < 1:
            raise ConfigError(
                "Habits.num_attempts is too small",
                expected="at least 1",
                found=str(self.num_attempts),
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        groups = whole_groups(ctx, train_attempts(view.all_groups)[0], self.num_attempts)
        read = [
            [
                count_habits(a.task.family, a.task.prompt, a.text)
                for a in attempts
                if a.stop is not StopReason.FAILED
            ]
            for attempts in groups
        ]
        found: Metrics = {}
        for name in NAMES:
            counts = [[n for h in g if (n := getattr(h, name)) is not None] for g in read]
            put(found, f"habits/{name}", mean_of_clusters(counts, low=0.0))
        put(found, "habits/any_fraction", clustered_mean([[h.total > 0 for h in g] for g in read]))
        return found
