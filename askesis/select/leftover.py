"""What is left when everything that is no better than expected is thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.records import Group, Sample
from askesis.select.judged import judged, model_of, sample_of


@dataclass(frozen=True, kw_only=True)
class PositiveAdvantages:
    """Attempts with an advantage above 0, drawn in proportion to it.

    priority: draw as many as are left with replacement, in proportion to their advantages; without,
        each is taken once. With it the advantage counts twice, once in the drawing and once in the
        loss, as in the authors' code.
    judge: whose value is the advantage; "" takes the last that knew.
    role: whose tokens are learnt.

    One sample per draw with the number advantage. Source: A-LoL, card [82].
    """

    priority: bool = field(default=True, metadata={"lazy": True})
    judge: str = ""
    role: str = field(default="policy", metadata={"lazy": True})

    makes = frozenset({"weight", "advantage"})
    atom = "sequence"

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups, or of the draws."""
        model = model_of(ctx)
        found = judged(groups, verdicts, judge=self.judge)
        pairs = [pair for group in found for pair in group]
        good = [(a, v) for a, v in pairs if v > 0]
        places = np.arange(len(good))
        if good and self.priority:
            size = np.array([v for _, v in good])
            places = ctx.generator("priority").choice(len(good), len(good), p=size / size.sum())
        samples = []
        for attempt, advantage in (good[int(i)] for i in places):
            one = sample_of(ctx, model, attempt, self.role, {"advantage": advantage})
            samples += [one] if one is not None else []
        ctx.note("kept_fraction", len(good) / max(1, len(pairs)))
        sizes = [s.columns["advantage"] for s in samples]
        ctx.note("advantage_size", float(np.mean(sizes)) if sizes else 0.0)
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples
