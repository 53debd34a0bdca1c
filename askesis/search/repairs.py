"""Drafts of one role, and what another one makes of an answer and of what is said of it: the search
of card [75]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal, get_args

from askesis.errors import must_fit
from askesis.records import NO_LOGP, StopReason, Turn
from askesis.requests import All, Sampling
from askesis.search.branches import repair_start
from askesis.search.expand import Draws
from askesis.search.grown import Grown
from askesis.search.place import Place
from askesis.search.said import prior_of
from askesis.text.feedback import WRONG, written_feedback

Feedback = Literal["outcome", "step"]
LAZY = {"lazy": True}  # matters only where something failed
CRITIC = "critic"  # whose turn stands before a repair in its edge


@dataclass(frozen=True, kw_only=True)
class Repairs:
    """The first edge is a draft of the searching role, each further one a refiner's repair of the
    answer above it.

    refiner: who repairs; it must have the vocabulary of who drafts. It reads the task, the answer
        and what is said of it, and nothing that came before.
    feedback: what is said: "outcome", that it is wrong; "step", which step is the first wrong one,
        in worlds that see steps. Both read the truth.
    max_tokens: new tokens one answer may have (None: the world's own allowance).

    Every place but the root is a whole answer to the task, written as if the searching role had
    said it at once, and so an attempt. Before a repair stands, in its edge, the feedback it
    followed, as a turn of the role "critic". Card [75].
    """

    refiner: str = field(default="refiner", metadata=LAZY)
    feedback: Feedback = field(default="step", metadata=LAZY)
    max_tokens: int | None = None

    pays = False

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "refiner": (bool(self.refiner), "the name of a role"),
                "feedback": (self.feedback in get_args(Feedback), "outcome or step"),
                "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
            },
        )

    async def begin(self, grown: Grown) -> Place:
        """Nothing answered yet."""
        return Place(0)

    async def say(
        self,
        grown: Grown,
        place: Place,
        draws: Sequence[int],
        sampling: Sampling,
        probe: bool = False,
    ) -> list[tuple[Turn, ...]]:
        """Drafts at the root, repairs elsewhere."""
        allowed = replace(sampling, max_tokens=self.max_tokens)
        if not place.turns:
            return [(turn,) for turn in await grown.say(place, (), draws, allowed, probe)]
        told = await self._told(grown, place.turns[-1].text)
        read = repair_start(grown.start, place.index, "local", place.turns[-1].text, told)
        ask = grown.ctx.say
        said = await All(
            [
                ask(self.refiner, read, attempt=place.name, draw=draw, sampling=allowed)
                for draw in draws
            ]
        )
        grown.spent.tokens += sum(len(turn.tokens) for turn in said)
        role = grown.search.role
        context, none = grown.ctx.render(role, grown.start), NO_LOGP  # not drawn after this
        return [
            (
                Turn(CRITIC, told),
                replace(turn, role=role, context=context, logp_sampling=none, logp_model=none),
            )
            for turn in said
        ]

    async def _told(self, grown: Grown, answer: str) -> str:
        if self.feedback == "outcome":
            return WRONG
        grown.spent.judged += 1
        checked = await grown.ctx.check(grown.start.task, answer)
        return written_feedback(False, checked.steps)

    def words(self, said: tuple[Turn, ...]) -> str:
        """What tells an edge from its siblings: the answer."""
        return said[-1].text

    async def reached(self, grown: Grown, place: Place, said: tuple[Turn, ...]) -> Place | None:
        """The place of an answer; one that failed is none."""
        last = said[-1]
        if last.stop is StopReason.FAILED:
            return None
        return Place(
            "",
            depth=place.depth + 1,
            edge=said,
            turns=(last,),
            key="".join(last.text.split()),
            num_tokens=place.num_tokens + len(last.tokens),
            prior=prior_of([last]),
            complete=True,
        )

    async def finish(
        self, grown: Grown, place: Place, draws: Sequence[int], sampling: Sampling
    ) -> list[Place]:
        """The answer as it stands; from the root a draft a draw."""
        if place.turns:
            return [place]
        said = await self.say(grown, place, draws, sampling, probe=True)
        found = await All([self.reached(grown, place, turns) for turns in said])
        return [p for p in found if p is not None]

    def over(self, place: Place) -> bool:
        """Never: `RepairBeam` says when to stop."""
        return False


@dataclass(frozen=True, kw_only=True)
class DraftsAndRepairs(Draws):
    """So many drafts at the root, and `num` repairs of every answer that is opened.

    first: drafts, at least 1; 5 in card [75], which repairs at 3 a place. repair_temperature: of
    the latter, at least 0. temperature, top_p, merge: as in `Draws`.
    """

    num: int = 3
    first: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        must_fit(self, {"first": (self.first >= 1, "at least 1")})

    @property
    def most(self) -> int:
        """Draws that a place can have at most."""
        return max(self.first, self.num)

    def draws(self, grown: Grown, place: Place) -> Sequence[int]:
        """The draws a place is still to be opened with."""
        first, num = self.first, self.num
        return () if place.opened else range(num if place.depth else first)


@dataclass(frozen=True, kw_only=True)
class RepairBeam:
    """Of the drafts one that failed, at random; then level by level the best few repairs of it,
    until one is good enough.

    width: answers of a level that are repaired further, at least 1; 2 in card [75].
    until: a level whose best value is above this is the last, in [0, 1); 0.5 there. A draft whose
        value is not above it has failed.
    max_repairs: levels of repairs, at least 0; 3 there. 0 repairs nothing.

    One draft of a tree is repaired, so that no task has more than one pair.
    """

    width: int = 2
    until: float = 0.5
    max_repairs: int = 3

    whole_levels = True
    by_value = True

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "width": (self.width >= 1, "at least 1"),
                "until": (0 <= self.until < 1, "in [0, 1)"),
                "max_repairs": (self.max_repairs >= 0, "at least 0"),
            },
        )

    def choose(self, grown: Grown) -> list[Place]:
        """The root; the failing draft; then the best of each level; none when it is over."""
        width, until, most = self.width, self.until, self.max_repairs
        root = grown.places[0]
        if not root.opened:
            return [root]
        drafts = grown.children(root)
        opened = [p for p in drafts if p.opened]
        if not opened:
            failed = [p for p in drafts if p.own is not None and p.own <= until]
            if not failed or not most:
                return []
            rng = grown.ctx.generator("failed", grown.start.key)
            return [failed[int(rng.integers(len(failed)))]]
        level = opened
        while inside := [c for p in level for c in grown.children(p)]:
            if max(_own(p) for p in inside) > until or inside[0].depth > most:
                return []
            level, before = [p for p in inside if p.opened], inside
            if not level:
                return sorted(before, key=lambda p: (-_own(p), p.index))[:width]
        return []


def _own(place: Place) -> float:
    return -inf if place.own is None else place.own
