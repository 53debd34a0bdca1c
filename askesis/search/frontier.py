"""Which place a search goes on with: any of those that can be opened, in some order."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from askesis.errors import must_fit
from askesis.search.grown import Grown
from askesis.search.place import Place


@dataclass(frozen=True, kw_only=True)
class BestFirst:
    """The place with the highest value of its own; of equals the first that was made.

    floor: places below this are never opened (None: all may be).

    With `Confidence` as the evaluator it is the search of card [99], which needs no judge.
    """

    floor: float | None = None

    whole_levels = False
    by_value = True

    def choose(self, grown: Grown) -> list[Place]:
        """One place; none where nothing is left."""
        return _first(_worthy(grown, self.floor), lambda p: (-_own(p), p.index))


@dataclass(frozen=True, kw_only=True)
class BreadthFirst:
    """The place nearest the root; of equals the first that was made. floor: as in `BestFirst`."""

    floor: float | None = None

    whole_levels = False
    by_value = False

    def choose(self, grown: Grown) -> list[Place]:
        """One place; none where nothing is left."""
        return _first(_worthy(grown, self.floor), lambda p: (p.depth, p.index))


@dataclass(frozen=True, kw_only=True)
class DepthFirst:
    """Down as far as it goes, then back to the nearest place that is not opened yet.

    floor: as in `BestFirst`. best: among siblings the best by its own value first, and not the
        first that was drawn.
    """

    floor: float | None = None
    best: bool = False

    whole_levels = False
    by_value = False

    def choose(self, grown: Grown) -> list[Place]:
        """One place; none where nothing is left."""
        # The deepest that are left are children of one place: what lies deeper was done before.
        best = self.best
        return _first(
            _worthy(grown, self.floor), lambda p: (-p.depth, -_own(p) if best else 0.0, p.index)
        )


@dataclass(frozen=True, kw_only=True)
class StepBeam:
    """The best `width` places of the deepest level, all opened at once; an end keeps its place.

    width: at least 1; B1 of card [178], whose B2 is the number of draws.
    floor: as in `BestFirst`.

    The search is over when every place kept on a level has ended.
    """

    width: int = 3
    floor: float | None = None

    whole_levels = True
    by_value = True

    def __post_init__(self) -> None:
        must_fit(self, {"width": (self.width >= 1, "at least 1")})

    def choose(self, grown: Grown) -> list[Place]:
        """All places to open on this level; none where the beam has ended."""
        deepest = max(p.depth for p in grown.places)
        level = sorted(
            (p for p in grown.places if p.depth == deepest), key=lambda p: (-_own(p), p.index)
        )
        kept = {p.index for p in level[: self.width]}
        return [p for p in _worthy(grown, self.floor) if p.index in kept]


def _worthy(grown: Grown, floor: float | None) -> list[Place]:
    left = grown.frontier()
    return left if floor is None else [p for p in left if p.own is None or p.own >= floor]


def _own(place: Place) -> float:
    if place.own is not None:
        return place.own
    return -inf if place.parent >= 0 else 0.0


def _first(places: list[Place], order: object) -> list[Place]:
    return [min(places, key=order)] if places else []  # type: ignore[call-overload]
