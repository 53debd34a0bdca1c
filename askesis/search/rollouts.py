"""Values of places by what comes of them: roll-outs to the end, and a look a few steps ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from askesis.errors import must_fit
from askesis.requests import All
from askesis.search.expand import grow
from askesis.search.grown import Grown
from askesis.search.place import Found, Place


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """The mean worth of the ends that a place leads to.

    num: roll-outs a place, at least 1. 4 in card [16].
    least: where given, a place at depth d has num // (d + 1), and no fewer than this, from 1 to
        num: the further on, the surer; 20 and 5 in card [151].
    temperature: of what they say (None: the expansion's).
    keep: whether what a roll-out passes becomes part of the tree, edge by edge, and its end an
        attempt; then the number is backed up from that end, and `num` is 1.

    What an end is worth is `Search.end`'s to say. Tokens count as any others; those of roll-outs
    that are not kept are counted as probes.
    """

    num: int = 1
    temperature: float | None = None
    keep: bool = False
    least: int | None = None

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "num": (
                    self.num >= 1 and (self.num == 1 or not self.keep),
                    "at least 1; 1 to keep",
                ),
                "least": (
                    self.least is None or 1 <= self.least <= self.num,
                    "from 1 to num, or none",
                ),
                "temperature": (
                    self.temperature is None or 0 <= self.temperature < float("inf"),
                    "at least 0",
                ),
            },
        )

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        one = self._kept if self.keep else self._mean
        return await All([one(grown, place) for place in places])

    async def _mean(self, grown: Grown, place: Place) -> Found:
        search = grown.search
        sampling = search.expand.sampling()
        if self.temperature is not None:
            sampling = replace(sampling, temperature=self.temperature)
        first = search.expand.most + place.visits * self.num
        num = self.num if self.least is None else max(self.num // (place.depth + 1), self.least)
        draws = range(first, first + num)
        ends = await search.edge.finish(grown, place, draws, sampling)
        if not ends:
            return Found(place, search.worst)
        worth = await search.end.values(grown, ends)
        return Found(place, sum(w.number for w in worth) / len(worth))

    async def _kept(self, grown: Grown, place: Place) -> Found:
        search = grown.search
        sampling = search.expand.sampling()
        if self.temperature is not None:
            sampling = replace(sampling, temperature=self.temperature)
        at = place
        while at.stop is None:
            draw = search.expand.most + at.visits
            opened = at.opened, at.num_drawn
            found, _ = await grow(grown, at, (draw,), sampling, search.expand.merge)
            at.opened, at.num_drawn = opened
            if not found:
                search.dead(at)
                break
            at = found[0]
        (end,) = await search.worth(grown, [at])
        return end


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """A look ahead from one place: step by step with the best of a few, in passing.

        V <- (1 - blend) V + blend * max over the places that were seen

    num_steps: at least 1. num: draws a step, at least 1. blend: in [0, 1], alpha of card [0], which
    looks one greedy step ahead with 0.5. temperature: of those draws; 0 in card [0]. What is seen
    is kept nowhere.
    """

    num_steps: int = 1
    num: int = 1
    blend: float = 0.5
    temperature: float = 0.0

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "num_steps": (self.num_steps >= 1, "at least 1"),
                "num": (self.num >= 1, "at least 1"),
                "blend": (0 <= self.blend <= 1, "in [0, 1]"),
                "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
            },
        )

    async def look(self, grown: Grown, place: Place) -> float:
        """The place's own value, mended by what follows it."""
        search, best, at = grown.search, -float("inf"), place
        assert place.own is not None
        sampling = replace(search.expand.sampling(), temperature=self.temperature)
        first = search.expand.most
        for number in range(self.num_steps):
            if at.stop is not None:
                break
            draws = range(first, first + self.num)
            said = await search.edge.say(grown, at, draws, sampling, probe=True)
            reached = await All([search.edge.reached(grown, at, turns) for turns in said])
            seen = [p for p in reached if p is not None]
            if not seen:
                break
            for i, one in enumerate(seen):
                one.name = f"{place.name}>{number}.{i}"
            worth = await search.worth(grown, seen)
            at = max(zip(worth, seen, strict=True), key=lambda pair: pair[0].number)[1]
            best = max(best, *(w.number for w in worth))
        if best == -float("inf"):
            return place.own
        return (1 - self.blend) * place.own + self.blend * best
