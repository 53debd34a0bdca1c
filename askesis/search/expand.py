"""How many edges are drawn at a place, and which of them are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Literal, get_args

from askesis.errors import must_fit
from askesis.records import StopReason
from askesis.requests import All, Sampling
from askesis.search.grown import Grown
from askesis.search.place import Place

Merge = Literal["none", "text", "state", "tree"]


@dataclass(frozen=True, kw_only=True)
class Draws:
    """So many edges a place, drawn at a temperature.

    num: at least 1; 3 in cards [0] and [24], 5 in card [178].
    temperature: at least 0. top_p: in (0, 1].
    merge: which edges are one. "none": no two. "text": those of one place that say the same.
        "state": and those that lead to the same state; one that leads back to a state on its own
        way is a cycle and no edge. "tree": and one that leads to a state anywhere in the tree is
        no edge either, so that no state is searched twice.
    """

    num: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    merge: Merge = "text"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "num": (self.num >= 1, "at least 1"),
                "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
                "top_p": (0 < self.top_p <= 1, "in (0, 1]"),
                "merge": (self.merge in get_args(Merge), " or ".join(get_args(Merge))),
            },
        )

    @property
    def most(self) -> int:
        """Draws that a place can have at most; the numbers behind it are free for roll-outs."""
        return self.num

    def draws(self, grown: Grown, place: Place) -> Sequence[int]:
        """The draws a place is still to be opened with."""
        return () if place.opened else range(self.num)

    def sampling(self) -> Sampling:
        return Sampling(self.temperature, 0, self.top_p)


@dataclass(frozen=True, kw_only=True)
class ImportantDraws(Draws):
    """More edges where what follows differs more, looked at again whenever the place is passed.

        I(s) = max_i | v(s, o_i) - v(s) |       num(s) = max(least, min(floor(alpha I(s)) + 1, num))

    least: c_min, edges of every place, at least 1. num: c_max. alpha: at least 0, edges for a
    difference of one; values of the children and of the place as they are backed up by now.
    temperature, top_p, merge: as in `Draws`.
    Source: eta-MCTS, card [16].
    """

    num: int = 10
    least: int = 2
    alpha: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        must_fit(
            self,
            {
                "least": (1 <= self.least <= self.num, "at least 1 and at most num"),
                "alpha": (0 <= self.alpha < float("inf"), "at least 0"),
            },
        )

    def draws(self, grown: Grown, place: Place) -> Sequence[int]:
        """Those that its importance asks for and that it has not had yet."""
        if not place.opened:
            return range(self.least)
        here = _known(place)
        spread = max((abs(_known(c) - here) for c in grown.children(place)), default=0.0)
        return range(
            place.num_drawn, max(self.least, min(floor(self.alpha * spread) + 1, self.num))
        )


async def grow(
    grown: Grown, place: Place, draws: Sequence[int], sampling: Sampling, merge: Merge
) -> tuple[list[Place], list[Place]]:
    """Draw edges at a place: the children they lead to, each once, and which of those are new.

    Edges that lead nowhere new are counted and left out.
    """
    edge = grown.search.edge
    said = await edge.say(grown, place, draws, sampling)
    place.opened, place.num_drawn = True, max(place.num_drawn, 1 + max(draws))
    known = {} if merge == "none" else {edge.words(c.edge): c for c in grown.children(place)}
    drawn: dict[str, int] = {}  # of each text: the first draw that said it
    for i, turns in enumerate(said):
        text = f"{i}" if merge == "none" else edge.words(turns)
        drawn.setdefault(text, i)
    fresh = [i for text, i in drawn.items() if text not in known]
    reached = await All([edge.reached(grown, place, said[i]) for i in fresh])
    led = dict(zip(fresh, reached, strict=True))
    found: dict[int, Place] = {}
    new: list[Place] = []
    for i, turns in enumerate(said):
        text = f"{i}" if merge == "none" else edge.words(turns)
        child = known.get(text)
        if child is not None:
            child.num_draws += 1
        elif drawn[text] == i:
            child = _placed(grown, place, led[i], merge)
            if child is not None:
                known[text] = child
                if child.num_draws == 1:
                    new.append(child)
        else:  # the first draw of this text led nowhere
            grown.num_dropped += 1
        if child is not None:
            found.setdefault(child.index, child)
    return list(found.values()), new


def _placed(grown: Grown, parent: Place, child: Place | None, merge: Merge) -> Place | None:
    """A child in the tree: itself, the sibling it is the same as, or None."""
    if child is None:
        grown.num_dropped += 1
        return None
    if merge in ("state", "tree"):
        for sibling in grown.children(parent):
            if sibling.key == child.key:
                sibling.num_draws += 1
                return sibling
        is_cycle = any(above.key == child.key for above in grown.above(parent))
        if is_cycle or (merge == "tree" and child.key in grown.seen):
            grown.num_dropped += 1
            return None
    if child.stop is None and child.depth >= grown.search.max_depth:
        child.stop = child.turns[-1].stop if child.complete else StopReason.TRUNCATED
        child.complete = True
    return grown.add(parent, child)


def _known(place: Place) -> float:
    if place.value is not None:
        return place.value
    return place.own or 0.0
