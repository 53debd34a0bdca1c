"""What must follow from learning what was picked among one's own answers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from askesis.formulas.intervals import t_interval
from askesis.formulas.self_consuming import increase_bound, mixing_bound
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Purpose, TaskRole


@dataclass(frozen=True, kw_only=True)
class SelfConsuming:
    """Reward, its variance within tasks, and the two bounds of self-consuming training.

    judge: whose value is the reward (id, with or without version); "" takes the last that knew.
    model: whose samples are counted as own or given.

    From this round's train groups, at no cost. K is the mean number of judged attempts of a group,
    as if one of them were picked; learning all good ones of K is not picking one, and filters are
    not Bradley-Terry, so the bounds say how much is *left to gain* from these rewards and how much
    given data would *hold* the model, not what this recipe will do. When the bound on the rise
    goes to 0 while the truth does not, the model has collapsed onto what its judge likes.
    Source: Ferbach et al. 2024, card [132].
    """

    judge: str = ""
    model: str = "policy"

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. Nothing where no group has two judged attempts."""
        judge, given = self.judge, self._given(view)
        groups = []
        for group in view.all_groups:
            mine = [a for a in group.attempts if a.task.role is TaskRole.TRAIN]
            values = [view.verdicts.value(a, judge=judge) for a in mine]
            known = [v for v in values if v is not None and isfinite(v)]
            if len(known) > 1:
                groups.append(known)
        if not groups:
            return {}
        num_choices = max(1, round(float(np.mean([len(g) for g in groups]))))
        top = max(max(g) for g in groups)
        mean = t_interval([float(np.mean(g)) for g in groups])
        found: Metrics = {
            "self_consuming/reward_variance": float(np.mean([np.var(g, ddof=1) for g in groups])),
            "self_consuming/least_increase": float(
                np.mean([increase_bound(g, num_choices, top) for g in groups]) / np.exp(top)
            ),
        }
        put(found, "self_consuming/reward", mean)
        if given is not None:
            found["self_consuming/given_fraction"] = given
            bound = mixing_bound((1 - given) / given, num_choices) if given else float("inf")
            if isfinite(bound):
                found["self_consuming/most_divergence"] = bound
        return found

    def _given(self, view: Any) -> float | None:
        """The share of this round's samples that the model did not write itself."""
        samples = view.samples.get(self.model, [])
        if not samples:
            return None
        shown = {
            a.id for g in view.all_groups for a in g.attempts if a.purpose is Purpose.DEMONSTRATION
        }
        return float(np.mean([any(s in shown for s in sample.sources) for sample in samples]))
