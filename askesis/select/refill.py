"""Dynamic sampling: go on drawing tasks until enough groups tell good attempts from bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from askesis.errors import must_fit
from askesis.formulas.advantages import has_signal
from askesis.records import Group
from askesis.select.judged import judged, must_compare


@dataclass(frozen=True, kw_only=True)
class Refill:
    """How many mixed groups a round wants, and how often it may draw for them.

    num_groups: mixed groups that are learnt from, at least 1; what is drawn beyond is not learnt.
    max_waves: draws of tasks a round may make, at least 1; a model that solves all or nothing
        would otherwise never finish one.
    judge: whose value counts; "" takes the last that knew.

    A part of a round of its own (`askesis.recipes.dapo`), not of a stage: it looks at what was
    judged and asks nobody. Source: Yu et al. 2025, "DAPO", dynamic sampling.
    """

    num_groups: int = 64
    max_waves: int = 4
    judge: str = ""

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "num_groups": (self.num_groups >= 1, "at least 1"),
                "max_waves": (self.max_waves >= 1, "at least 1"),
            },
        )

    def mixed(self, groups: Sequence[Group], verdicts: Any) -> list[Group]:
        """The groups that have a signal, in order, at most `num_groups` of them.

        Raises ConfigError where each of them has a single attempt.
        """
        found = [next(judged([group], verdicts, judge=self.judge), []) for group in groups]
        must_compare([pairs for pairs in found if pairs])
        has = [has_signal([value for _, value in pairs]) for pairs in found]
        return [group for group, mixed in zip(groups, has, strict=True) if mixed][: self.num_groups]
