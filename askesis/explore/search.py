"""One search for all: a tree whose edges, and whose ways to select, expand, evaluate and back up,
are parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, get_args

from askesis.errors import AskesisError, ConfigError, must_fit
from askesis.explore.moving import must_be_walked
from askesis.records import Group, Start, StopReason
from askesis.requests import All
from askesis.search.back_up import Mean
from askesis.search.evaluate import Verified
from askesis.search.expand import Draws, grow
from askesis.search.grown import Grown
from askesis.search.limits import part_of
from askesis.search.place import Found, Place
from askesis.search.rollouts import Rollouts
from askesis.search.select import UCT
from askesis.search.steps import Steps

Visit = Literal["first", "best", "all", "opened"]
LAZY = {"lazy": True}
METHODS = {
    "edge": "reached",
    "select": "choose",
    "expand": "draws",
    "evaluate": "values",
    "end": "values",
    "back_up": "back_up",
}


@dataclass(frozen=True, kw_only=True)
class Search:
    """A tree from one start; every end that was visited is an attempt, and the group carries it.

    edge: what an edge adds: a step of an answer, a move, a revision.
    select: which places are opened next. expand: how many edges are drawn there, what is merged.
    evaluate: what a place is worth. end: what a place is worth that has ended.
    back_up: what that does to the values above it.
    ahead: a look a few steps ahead from the place that is visited (None: none).
    visit: what an opening counts a visit for. "first": the first child that was never visited, the
        only one that is evaluated. "best": the best child by value, all being evaluated. "all":
        every new child. "opened": the opened place itself, and new children that have ended.
    num_simulations: places opened and ends walked to again, at least 0.
    num_tokens: generated tokens after which no further simulation begins (None: no limit).
    num_judged: the same in calls of the verifier, value head or judge.
    max_depth: edges from the root at which a way is cut, at least 1.
    role: who speaks.

    Parts can be given by name with options: `--explore.select puct?exploration_coef=1.5`. A search
    that cannot go on (no legal child anywhere, everything ended, a number that is none) gives what
    it has found and says why in `Tree.ended`. What is asked is awaited in batches, so many trees
    keep an engine full, and a step extends a prefix that the engine has already read.
    Sources: cards [0], [16], [24], [99] and [178]; docs/search.md has the configuration of each.
    """

    edge: Any = field(default_factory=Steps)
    select: Any = field(default_factory=UCT)
    expand: Any = field(default_factory=Draws)
    evaluate: Any = field(default_factory=Rollouts, metadata=LAZY)
    end: Any = field(default_factory=Verified, metadata=LAZY)
    back_up: Any = field(default_factory=Mean, metadata=LAZY)
    ahead: Any = field(default=None, metadata=LAZY)
    visit: Visit = "first"
    num_simulations: int = 32
    num_tokens: int | None = None
    num_judged: int | None = None
    max_depth: int = field(default=16, metadata=LAZY)
    role: str = "policy"

    def __post_init__(self) -> None:
        for name, method in METHODS.items():
            object.__setattr__(self, name, part_of(getattr(self, name), method))
        if self.ahead is not None:
            object.__setattr__(self, "ahead", part_of(self.ahead, "look"))
        must_fit(
            self,
            {
                "visit": (self.visit in get_args(Visit), " or ".join(get_args(Visit))),
                "num_simulations": (self.num_simulations >= 0, "at least 0"),
                "num_tokens": (self.num_tokens is None or self.num_tokens >= 0, "at least 0"),
                "num_judged": (self.num_judged is None or self.num_judged >= 0, "at least 0"),
                "max_depth": (self.max_depth >= 1, "at least 1"),
            },
        )
        if self.select.by_value and self.visit not in ("all", "best"):
            raise ConfigError(
                f"{type(self.select).__name__} chooses by value and needs one of every child",
                expected="visit all or best",
                found=f"visit {self.visit}",
            )

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where edges are moves and no world of the run has turns."""
        if self.edge.pays:
            must_be_walked(ctx, "Search")

    async def explore(self, ctx: Any, start: Start) -> Group:
        grown = Grown(ctx, start, self)
        grown.add(None, await self.edge.begin(grown))
        try:
            while not self._over(grown):
                await self._simulated(grown)
        except AskesisError:
            raise
        except NoNumber as found:
            grown.ended = str(found)
        except Exception as error:
            if not any(p.complete and p.visits for p in grown.places):
                raise  # nothing was found: as a failed start it is recorded and counted
            grown.ended = f"{type(error).__name__}: {error}"
        if grown.ended not in REGULAR:
            ctx.tell("search_ended", start=start.key, why=grown.ended)
        return grown.group()

    # ------------------------------------------------------------ one simulation

    def _over(self, grown: Grown) -> bool:
        """Whether a budget is used up; says which."""
        for what, limit, used in (
            ("simulations", self.num_simulations, grown.spent.simulations),
            ("tokens", self.num_tokens, grown.spent.tokens),
            ("judge calls", self.num_judged, grown.spent.judged),
        ):
            if limit is not None and used >= limit:
                grown.ended = f"{what} used up" if limit else f"no {what} allowed"
                return True
        return bool(grown.ended)

    async def _simulated(self, grown: Grown) -> None:
        chosen = self.select.choose(grown)[: self.num_simulations - grown.spent.simulations]
        if not chosen:
            ends = [p for p in grown.places if p.stop is not None]
            grown.ended = "everything ended" if ends else "nothing left to open"
            return
        grown.spent.simulations += len(chosen)
        visited = await All([self._opened(grown, place) for place in chosen])
        for found in (f for some in visited for f in some):
            self.back_up.back_up(grown, found.place, found.number)
            grown.close_up(found.place)
        for place in chosen:
            grown.close_up(place)

    async def _opened(self, grown: Grown, place: Place) -> list[Found]:
        """Open a place, or walk to an end again: numbers, and where to back them up from."""
        draws = grown.draws(place)
        if place.stop is not None:
            return await self.worth(grown, [place])
        sampling = self.expand.sampling()
        found, new = await grow(grown, place, draws, sampling, self.expand.merge)
        if not grown.children(place):
            self.dead(place)
            return await self.worth(grown, [place])
        if self.visit == "first":
            if not found:  # further draws that led nowhere new
                found = grown.children(place)
            return await self._looked(
                grown, await self.worth(grown, [next((p for p in found if not p.visits), found[0])])
            )
        if self.visit == "opened":
            ends = [p for p in new if p.stop is not None]
            here = await self._looked(grown, await self.worth(grown, [place]))
            return [*here, *await self.worth(grown, ends)]
        worth = await self.worth(grown, new)
        if self.visit == "all" or not worth:
            return worth
        best = max(worth, key=lambda f: f.number)
        return await self._looked(grown, [best])

    async def _looked(self, grown: Grown, found: list[Found]) -> list[Found]:
        """The numbers again, mended by a look ahead where there is one."""
        if self.ahead is None:
            return found
        mended = []
        for one in found:
            if one.place.stop is None:
                one.place.own = await self.ahead.look(grown, one.place)
                one = Found(one.place, one.place.own)
            mended.append(one)
        return mended

    async def worth(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        """What places are worth: ends by `end`, once each; the others by `evaluate`.

        Raises NoNumber where a part says something that is no finite number.
        """
        known = [p for p in places if p.own is not None and p.stop is not None]
        ends = [p for p in places if p.own is None and p.stop is not None]
        others = [p for p in places if p.stop is None]
        by = [(self.end, ends), (self.evaluate, others)]
        said = await All([part.values(grown, some) for part, some in by if some])
        answers = iter(said)
        found = {id(p): Found(p, float(p.own or 0.0)) for p in known}
        for part, some in by:
            for place, one in zip(some, next(answers) if some else (), strict=True):
                if not isfinite(one.number):
                    kind = type(part).__name__
                    raise NoNumber(f"{kind} said {one.number} of place {place.name}")
                place.own = one.number
                found[id(place)] = one
                if place.stop is None and place.complete and self.edge.over(place):
                    place.stop = place.turns[-1].stop
        return [found[id(p)] for p in places]

    def dead(self, place: Place) -> None:
        """A place that nothing legal leads on from."""
        place.stop, place.complete = StopReason.ILLEGAL, place.depth > 0
        place.own = None

    @property
    def worst(self) -> float:
        """What something is worth that came to no end."""
        return float(getattr(self.end, "wrong", 0.0))


class NoNumber(Exception):
    """A part of a search said something that is no finite number."""


REGULAR = frozenset(
    {
        *("simulations used up", "tokens used up", "judge calls used up"),
        *("everything ended", "nothing left to open"),
    }
)
