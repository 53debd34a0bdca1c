"""Starts with what came of them: what a critic learns to expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.records import Group, Sample
from askesis.records import Sequence as Row
from askesis.select.judged import judged, model_of


@dataclass(frozen=True, kw_only=True)
class StartLabels:
    """Each attempt's start as the critic reads it, labelled with the attempt's value.

    reader: the role whose renderer shows the start; the weight is on its last token, where
        `ctx.value(reader, start)` reads the head.
    judge: whose value counts (id, with or without version); "" takes the last that knew.

    One sample per attempt with the number label, which must be in [0, 1].
    """

    reader: str = "critic"
    judge: str = ""

    makes = frozenset({"weight", "label"})
    atom = "sequence"

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts."""
        model, reader = model_of(ctx), self.reader
        samples = []
        for pairs in judged(groups, verdicts, judge=self.judge):
            for attempt, value in pairs:
                if not 0 <= value <= 1:
                    raise ConfigError(
                        "a critic learns values between 0 and 1",
                        found=f"{value} of attempt {attempt.id}",
                        hint="choose a judge whose values are in that range",
                    )
                tokens = ctx.render(reader, attempt.start).astype(np.int32)
                weight = np.zeros(len(tokens), np.float32)
                weight[-1] = 1.0
                row = Row(tokens, {"weight": weight})
                samples.append(Sample(model, (row,), {"label": value}, (attempt.id,)))
        if samples:
            ctx.note("reward", float(np.mean([s.columns["label"] for s in samples])))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples
