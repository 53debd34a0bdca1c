"""Which place a search goes on with: down from the root by a score (UCT, PUCT)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log, sqrt

from askesis.errors import must_fit
from askesis.search.grown import Grown
from askesis.search.place import Place


@dataclass(frozen=True, kw_only=True)
class UCT:
    """Down by Q + c sqrt(ln N_parent / N); children never visited first, the better first.

    exploration_coef: c, at least 0, in units of the values; card [0] has a 2 under the root, so its
        c times sqrt(2).
    revisit: whether an end may be walked to again. Where not, what is closed is passed by, and a
        search with nothing left ends.

    Source: Kocsis and Szepesvari 2006.
    """

    exploration_coef: float = 0.5
    revisit: bool = False

    whole_levels = False
    by_value = False

    def __post_init__(self) -> None:
        must_fit(self, {"exploration_coef": (0 <= self.exploration_coef < inf, "at least 0")})

    def choose(self, grown: Grown) -> list[Place]:
        """The place to go on with; none where nothing is left."""
        return _down(grown, self.revisit, self._score)

    def _score(self, child: Place, parent: Place) -> tuple[float, float]:
        if not child.visits:
            return inf, child.own or 0.0
        spread = self.exploration_coef * sqrt(log(max(1, parent.visits)) / child.visits)
        return (child.value or 0.0) + spread, 0.0


@dataclass(frozen=True, kw_only=True)
class PUCT:
    """Down by Q + c p sqrt(N_parent) / (1 + N), p the edge's probability by its length.

    exploration_coef: c, at least 0: 1.25 in card [178], 1.5 in card [24].
    unvisited: what Q is of a place that was never visited and has no value of its own.
    revisit: as in `UCT`.

    p = exp of the mean log-probability of the edge's tokens, so that long steps are not punished;
    it does not sum to one over siblings.
    """

    exploration_coef: float = 1.25
    unvisited: float = 0.0
    revisit: bool = False

    whole_levels = False
    by_value = False

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "exploration_coef": (0 <= self.exploration_coef < inf, "at least 0"),
                "unvisited": (-inf < self.unvisited < inf, "a finite number"),
            },
        )

    def choose(self, grown: Grown) -> list[Place]:
        """The place to go on with; none where nothing is left."""
        return _down(grown, self.revisit, self._score)

    def _score(self, child: Place, parent: Place) -> tuple[float, float]:
        known = child.value if child.visits else child.own
        quality = self.unvisited if known is None else known
        spread = child.prior * sqrt(parent.visits) / (1 + child.visits)
        return quality + self.exploration_coef * spread, 0.0


def _down(
    grown: Grown, revisit: bool, score: Callable[[Place, Place], tuple[float, float]]
) -> list[Place]:
    """From the root to a place that has ended or is still to be opened; of equals the first."""
    at = grown.places[0]
    while True:
        if at.closed and not revisit:
            return []
        if at.stop is not None or grown.draws(at):
            return [at]
        left = [c for c in grown.children(at) if revisit or not c.closed]
        if not left:
            return []
        parent = at
        at = max(left, key=lambda child: score(child, parent))
