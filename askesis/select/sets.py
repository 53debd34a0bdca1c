"""Several attempts at one task in a sample: all correct ones, or all of them best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample
from askesis.records import Sequence as Row
from askesis.select.judged import judged, model_of, must_compare, row_of

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class CorrectSets:
    """The different correct attempts at a task as one sample, for `SetLikelihood` (card [248]).

    threshold: the least value that is correct.
    max_per_task: at most so many, drawn at random, at least 1 (None: all).
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off count; they teach no ending, so: no.
    role: whose tokens are learnt.
    """

    threshold: float = 1.0
    max_per_task: int | None = field(default=None, metadata=LAZY)
    judge: str = ""
    cut_off: bool = False
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "set"

    def __post_init__(self) -> None:
        most = self.max_per_task
        must_fit(
            self,
            {
                "threshold": (self.threshold == self.threshold, "a number"),
                "max_per_task": (most is None or most >= 1, "at least 1, or none"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups."""
        model, threshold = model_of(ctx), self.threshold
        found = list(judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off))
        samples = []
        for number, pairs in enumerate(found):
            good = [attempt for attempt, value in pairs if value >= threshold]
            rows = _rows(ctx, good, self.role)
            if self.max_per_task is not None and len(rows) > self.max_per_task:
                lots = ctx.generator("few", number).permutation(len(rows))
                rows = [rows[i] for i in sorted(lots[: self.max_per_task])]
            samples += [_sample(model, rows)] if rows else []
        values = [value for pairs in found for _, value in pairs]
        _note(ctx, samples, values)
        return samples


@dataclass(frozen=True, kw_only=True)
class Rankings:
    """The attempts at a task as one sample, best first, for `RankedReward`.

    reader: "": the rows are what was said; a role: whole attempts as that role reads them, weight
        on the last token alone, as a reward model learns them.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off count.
    role: whose tokens are learnt.

    Of attempts with the same value, and of those with the same text, the first stands for all:
    nobody said which is better. Tasks with fewer than two values make none.
    """

    reader: str = ""
    judge: str = ""
    cut_off: bool = True
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "set"

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups."""
        model, reader = model_of(ctx), self.reader
        found = list(judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off))
        must_compare(found)
        samples, num_tied = [], 0
        for pairs in found:
            first: dict[float, Attempt] = {}
            for attempt, value in pairs:
                first.setdefault(value, attempt)
            num_tied += len(first) < 2
            best_first = [first[value] for value in sorted(first, reverse=True)]
            rows = _rows(ctx, best_first, self.role, reader)
            samples += [_sample(model, rows)] if len(rows) > 1 else []
        ctx.note("tied_fraction", num_tied / max(1, len(found)))
        _note(ctx, samples, [value for pairs in found for _, value in pairs])
        return samples


def _rows(
    ctx: Any, attempts: Sequence[Attempt], role: str, reader: str = ""
) -> list[tuple[str, Row]]:
    """The attempts' rows with their ids, in order, each text once."""
    found: dict[bytes, tuple[str, Row]] = {}
    for attempt in attempts:
        row = row_of(ctx, attempt, role, reader)
        if row is not None:
            found.setdefault(row.tokens.tobytes(), (attempt.id, row))
    return list(found.values())


def _sample(model: str, rows: Sequence[tuple[str, Row]]) -> Sample:
    return Sample(model, tuple(r for _, r in rows), sources=tuple(name for name, _ in rows))


def _note(ctx: Any, samples: Sequence[Sample], values: Sequence[float]) -> None:
    if values:
        ctx.note("reward", float(np.mean(values)))
    ctx.note("rows_per_sample", float(np.mean([len(s.sequences) for s in samples] or [0])))
    ctx.note("samples", len(samples))
    ctx.note("tokens", sum(s.num_tokens for s in samples))
