"""Tasks that are neither too easy nor too hard for the model as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from askesis.errors import must_fit
from askesis.records import Group
from askesis.select.judged import judged


@dataclass(frozen=True, kw_only=True)
class Band:
    """Which groups a round goes on with: those whose mean value lies in a band.

    low, high: the ends of the band, both inside it; 0.2 and 0.8 in card [146]. With rewards 0 and 1
        any band without the ends 0 and 1 leaves out groups that teach a comparison nothing.
    judge: whose value counts (id, with or without version); "" takes the last that knew.

    A part of a round of its own (`askesis.recipes.prime`), not of a stage: it looks at what was
    judged and asks nobody. Groups that nobody knows are left out.
    """

    low: float = 0.2
    high: float = 0.8
    judge: str = ""

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "low": (abs(self.low) < float("inf"), "a finite number"),
                "high": (self.low <= self.high < float("inf"), "at least low"),
            },
        )

    def inside(self, groups: Sequence[Group], verdicts: object) -> list[Group]:
        """The groups in the band, in order."""
        low, high, kept = self.low - 1e-9, self.high + 1e-9, []
        for group in groups:
            values = [v for pairs in judged([group], verdicts, judge=self.judge) for _, v in pairs]
            if values and low <= sum(values) / len(values) <= high:
                kept.append(group)
        return kept
