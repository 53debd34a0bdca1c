"""A selector that sees what nobody helped with, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from askesis.errors import must_fit
from askesis.records import Group, Sample
from askesis.search.branches import drafts_of
from askesis.select.labelled import Labelled


@dataclass(frozen=True, kw_only=True)
class Drafts:
    """Another selector, shown drafts alone: attempts at starts without a tag.

    keep: the other one. Branches begin as a wrong draft does, and refinements have read one, so who
    learns from them how often answers are right learns it of other answers.
    """

    keep: Any = field(default_factory=Labelled)

    def __post_init__(self) -> None:
        must_fit(self, {"keep": (hasattr(self.keep, "select"), "a selector")})

    @property
    def makes(self) -> frozenset[str]:
        """The columns that the other one makes."""
        return frozenset(self.keep.makes)

    @property
    def atom(self) -> str:
        """As the other one's."""
        return str(self.keep.atom)

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """The other one's samples, and its notes."""
        alone = [
            replace(g, attempts=tuple(a for a, _ in drafts_of(g.attempts)), tree=None)
            for g in groups
        ]
        samples: list[Sample] = self.keep.select(ctx, alone, verdicts)
        return samples
