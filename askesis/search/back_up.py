"""What a number found at a place does to the values on its way from the root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from askesis.errors import must_fit
from askesis.search.grown import Grown
from askesis.search.place import Place

Along = Literal["min", "product", "mean"]


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A place's value is the mean of all numbers that passed it: V = W / N."""

    def back_up(self, grown: Grown, place: Place, number: float) -> None:
        for at in grown.above(place):
            at.visits += 1
            at.total += number
            at.value = at.total / at.visits


@dataclass(frozen=True, kw_only=True)
class Most:
    """A place's value is the highest number that passed it: V = max."""

    def back_up(self, grown: Grown, place: Place, number: float) -> None:
        for at in grown.above(place):
            at.visits += 1
            at.value = number if at.value is None else max(at.value, number)


@dataclass(frozen=True, kw_only=True)
class AlongPath:
    """The mean, as in `Mean`, of what the whole way to a place is worth and not of its end alone.

    how: "min" of the own values on the way, as the weakest step of a process reward model;
        "product", or "mean". The root does not count; places without a value of their own neither.
    """

    how: Along = "min"

    def __post_init__(self) -> None:
        must_fit(self, {"how": (self.how in get_args(Along), "min, product or mean")})

    def back_up(self, grown: Grown, place: Place, number: float) -> None:
        above = [p for p in grown.above(place) if p is not place and p.parent >= 0]
        way = [p.own for p in above if p.own is not None]
        whole = [number, *way]
        if self.how == "min":
            number = min(whole)
        elif self.how == "mean":
            number = sum(whole) / len(whole)
        else:
            for other in way:
                number *= other
        Mean().back_up(grown, place, number)


@dataclass(frozen=True, kw_only=True)
class OfChildren:
    """A place's value is the mean of its children's by their visits, V = sum N_c V_c / sum N_c; one
    whose children were never visited keeps its own. Card [0].

    keep: how much of its present value a place keeps whenever a number passes, in [0, 1):

            V <- keep V + (1 - keep) sum N_c V_c / sum N_c

        With 0.5 a right end below does not make a beginning worth 1 (card [151]).

    The first number for a place is its own value; walking to it again counts a visit and changes
    nothing, so an end weighs as often as it is walked to.
    """

    keep: float = 0.0

    def __post_init__(self) -> None:
        must_fit(self, {"keep": (0 <= self.keep < 1, "in [0, 1)")})

    def back_up(self, grown: Grown, place: Place, number: float) -> None:
        place.value = number if place.value is None else place.value
        for at in grown.above(place):
            at.visits += 1
            passed = [c for c in grown.children(at) if c.visits]
            num = sum(c.visits for c in passed)
            if num:
                mean = sum(c.visits * (c.value or 0.0) for c in passed) / num
                at.value = (
                    mean if at.value is None else self.keep * at.value + (1 - self.keep) * mean
                )
