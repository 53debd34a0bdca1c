"""Attempts that are good or bad: what KTO, outcome heads and implicit rewards learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.records import Group, Sample
from askesis.select.judged import judged, model_of, row_of


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Every attempt with the number label, 1 good and 0 bad.

    threshold: a value of at least this is good (None: the value is the label, and must be in
        [0, 1]).
    reader: "": the rows are what was said, as a policy learns it (`KTO`, `ImplicitReward`). A role:
        whole attempts as that role reads them, weight on the last token alone (`LabelledReward`).
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off count.
    role: whose tokens are learnt.

    Notes good_fraction: KTO wants its two coefficients in inverse proportion to it.
    """

    threshold: float | None = None
    reader: str = ""
    judge: str = ""
    cut_off: bool = True
    role: str = field(default="policy", metadata={"lazy": True})

    makes = frozenset({"weight", "label"})
    atom = "sequence"

    def __post_init__(self) -> None:
        number = self.threshold is None or self.threshold == self.threshold
        must_fit(self, {"threshold": (number, "a number, or none")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts; see docs/metrics.md for what is noted."""
        model, reader, threshold = model_of(ctx), self.reader, self.threshold
        samples, labels, values = [], [], []
        for pairs in judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off):
            for attempt, value in pairs:
                label = value if threshold is None else float(value >= threshold)
                if not 0 <= label <= 1:
                    raise ConfigError(
                        f"the value of attempt {attempt.id} is no label",
                        expected="a number in [0, 1]",
                        found=f"{value}",
                        hint=f"--select.{model}.threshold NUMBER says what is good",
                    )
                values.append(value)
                labels.append(label)
                row = row_of(ctx, attempt, self.role, reader)
                if row is not None:
                    samples.append(Sample(model, (row,), {"label": label}, (attempt.id,)))
        if values:
            ctx.note("reward", float(np.mean(values)))
            ctx.note("good_fraction", float(np.mean(labels)))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples
