"""Right and wrong attempts of groups that have both: what NFT learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.nft import PRIORITIES, Priority, priority
from askesis.records import Group, Sample
from askesis.select.judged import judged, model_of, must_compare, sample_of

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class GroupAccuracy:
    """Attempts of mixed groups, marked right or wrong, with their group's accuracy.

    threshold: a value of at least this is right.
    priority: how much a task counts: "even", "hard" 1 - r, or "standardised" sqrt((1 - r) / r), r
        being the share of right attempts. On-policy the gradients are those of a plain likelihood,
        Dr. GRPO and GRPO.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off count.
    role: whose tokens are learnt.

    Groups that are all right or all wrong are left out. One sample per attempt with the numbers
    correct, accuracy and priority. Source: NFT, card [222].
    """

    threshold: float = 1.0
    priority: Priority = "hard"
    judge: str = ""
    cut_off: bool = True
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "correct", "accuracy", "priority"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "priority": (self.priority in PRIORITIES, ", ".join(PRIORITIES)),
                "threshold": (self.threshold == self.threshold, "a number"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts; see docs/metrics.md for what is noted."""
        model, threshold, mode = model_of(ctx), self.threshold, self.priority
        found = list(judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off))
        must_compare(found)
        samples, rewards, mixed = [], [], 0
        for pairs in found:
            right = [value >= threshold for _, value in pairs]
            rewards += [value for _, value in pairs]
            accuracy = float(np.mean(right))
            if not 0 < accuracy < 1:
                continue
            mixed += 1
            numbers = {"accuracy": accuracy, "priority": float(priority(accuracy, mode))}
            for (attempt, _), is_right in zip(pairs, right, strict=True):
                columns = {"correct": float(is_right), **numbers}
                one = sample_of(ctx, model, attempt, self.role, columns)
                samples += [one] if one is not None else []
        if rewards:
            ctx.note("reward", float(np.mean(rewards)))
        ctx.note("mixed_fraction", mixed / max(1, len(found)))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples
