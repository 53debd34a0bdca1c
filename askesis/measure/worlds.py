"""Several worlds at every measurement, so that forgetting is seen while it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError, must_fit, nearest
from askesis.formulas.intervals import clustered_mean
from askesis.measure.figures import put
from askesis.measure.sampling import scored_attempts
from askesis.protocols import Metrics
from askesis.records import Start, TaskRole
from askesis.requests import Sampling


@dataclass(frozen=True, kw_only=True)
class Worlds:
    """pass@1 on fresh *decide* tasks of several worlds of the plan, whatever is learnt now.

    worlds: names from the plan's table of worlds; empty for all of them.
    num_tasks: tasks per world and measurement, at least 2; with 64 an interval is about +-0.1 wide.
    num_attempts: attempts at each, at least 1. temperature: at least 0.
    threshold: a score of at least this is right, in (0, 1]. role: who is measured.

    A world that falls while another rises is being forgotten; one that falls with all others is
    the run going wrong. For the matrix after the run, with claim tasks, see
    `askesis.lab.forgetting`.
    """

    worlds: tuple[str, ...] = ()
    num_tasks: int = 64
    num_attempts: int = 4
    temperature: float = 1.0
    threshold: float = 1.0
    role: str = "policy"

    def __post_init__(self) -> None:
        limits = {
            "num_tasks": (self.num_tasks >= 2, "at least 2"),
            "num_attempts": (self.num_attempts >= 1, "at least 1"),
            "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
            "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
        }
        must_fit(self, limits)

    def on_phase_start(self, ctx: Any) -> None:
        """Raises ConfigError for a world that the plan does not have."""
        for name in self.worlds:
            if name not in ctx.worlds:
                raise ConfigError(
                    f"Worlds measures {name!r}, which is no world of this run",
                    hint=nearest(name, ctx.worlds),
                )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        found: Metrics = {}
        means = []
        for world in self.worlds or tuple(ctx.worlds):
            tasks = ctx.draw(TaskRole.DECIDE, self.num_tasks, world=world, place=world)
            scored = scored_attempts(
                ctx,
                [Start(task) for task in tasks],
                self.role,
                self.num_attempts,
                Sampling(self.temperature),
            )
            right = [[s.score >= self.threshold for s in attempts] for attempts in scored]
            estimate = clustered_mean(right)
            means.append(estimate.value)
            put(found, f"world/{world}/pass@1", estimate)
        found["worlds/mean"] = float(np.mean(means))
        found["worlds/worst"] = min(means)
        return found
