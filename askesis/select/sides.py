"""Pairs of two sides: who said it, or under which condition, decides what is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample, StopReason
from askesis.select.judged import finite_value, model_of, row_of
from askesis.select.sequences import is_demonstration

Pairing = Literal["one_to_one", "all"]
LAZY = {"lazy": True}
DEMONSTRATION = "demonstration"


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Attempts of one side as chosen, of another as rejected, within each group.

    chosen, rejected: sides, two different ones. An attempt's side is "demonstration" where a
        demonstrator wrote it, else the tag of its start (a degraded condition, a hint), else the
        role that spoke last ("policy", "opponent").
    pairing: "one_to_one": the first of one side with the first of the other, and so on, a shorter
        side beginning again; "all": every combination.
    judged: whether values matter. Then pairs of which a side's value is unknown are left out, and
        the others have the number margin, the chosen side's value less the rejected one's.
    min_margin: with `judged`, pairs with a smaller margin are left out (None: none is).
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off may be rejected; such are never chosen.

    What either side read is rendered again without privileged text. Pairs of the same tokens teach
    nothing: they are left out and counted, as a side that the other has caught up with. Attempts
    that failed are left out. Sources: own answers against demonstrations, card [28]; own against
    weaker own, card [52]; against a degraded condition, card [60].
    """

    chosen: str = DEMONSTRATION
    rejected: str = "policy"
    pairing: Pairing = field(default="one_to_one", metadata=LAZY)
    judged: bool = field(default=False, metadata=LAZY)
    min_margin: float | None = field(default=None, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    cut_off: bool = field(default=True, metadata=LAZY)

    atom = "pair"

    def __post_init__(self) -> None:
        least = self.min_margin
        must_fit(
            self,
            {
                "rejected": (self.rejected != self.chosen, "another side than the chosen one"),
                "pairing": (self.pairing in get_args(Pairing), " or ".join(get_args(Pairing))),
                "min_margin": (
                    least is None or (self.judged and bool(np.isfinite(least))),
                    "none, or with judged a finite number",
                ),
            },
        )

    @property
    def makes(self) -> frozenset[str]:
        """The columns it makes."""
        return frozenset({"weight", "margin"} if self.judged else {"weight"})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; see docs/metrics.md for what is noted."""
        model, samples = model_of(ctx), []
        num_pairs = num_same = num_filtered = 0
        for group in groups:
            for better, worse in self._pairs(group):
                num_pairs += 1
                rows = [row_of(ctx, a, _speaker(a)) for a in (better, worse)]
                if rows[0] is None or rows[1] is None:
                    continue
                if np.array_equal(rows[0].tokens, rows[1].tokens):
                    num_same += 1  # before values, which may differ by rounding where texts do not
                    continue
                columns = self._numbers(better, worse, verdicts)
                if columns is None:
                    num_filtered += 1
                else:
                    both = (rows[0], rows[1])
                    samples.append(Sample(model, both, columns, (better.id, worse.id)))
        ctx.note("same_fraction", num_same / max(1, num_pairs))
        ctx.note("filtered_fraction", num_filtered / max(1, num_pairs))
        ctx.note("pairs", len(samples))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _pairs(self, group: Group) -> list[tuple[Attempt, Attempt]]:
        whole = [a for a in group.attempts if a.turns and a.stop is not StopReason.FAILED]
        good = [a for a in whole if side_of(a) == self.chosen and not a.stop.cut_off]
        bad = [a for a in whole if side_of(a) == self.rejected]
        bad = bad if self.cut_off else [a for a in bad if not a.stop.cut_off]
        if not good or not bad:
            return []
        if self.pairing == "all":
            return [(a, b) for a in good for b in bad]
        longest = max(len(good), len(bad))
        return [(good[i % len(good)], bad[i % len(bad)]) for i in range(longest)]

    def _numbers(self, better: Attempt, worse: Attempt, verdicts: Any) -> dict[str, float] | None:
        """A pair's numbers; None where it does not pass."""
        if not self.judged:
            return {}
        values = [finite_value(a, verdicts, self.judge) for a in (better, worse)]
        if values[0] is None or values[1] is None:
            return None
        margin = values[0] - values[1]
        if self.min_margin is not None and margin < self.min_margin:
            return None
        return {"margin": margin}


def side_of(attempt: Attempt) -> str:
    """Which side an attempt is of: "demonstration", its start's tag, or who spoke last."""
    if is_demonstration(attempt):
        return DEMONSTRATION
    return attempt.start.tag or _speaker(attempt)


def _speaker(attempt: Attempt) -> str:
    return next((t.role for t in reversed(attempt.turns) if t.role != "world"), "")
