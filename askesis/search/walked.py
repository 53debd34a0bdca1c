"""Walked worlds: where a walk begins, what a move came to, and an edge that is a move."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from askesis.errors import must_fit
from askesis.records import Start, StopReason, Turn
from askesis.requests import All, Sampling, Transition
from askesis.search.grown import Grown
from askesis.search.place import Place
from askesis.search.said import prior_of

Illegal = Literal["end", "observe", "drop"]


async def begun(ctx: Any, start: Start, role: str) -> tuple[Any, list[Turn]]:
    """The world's state at a start, and the first observation where it has not been told yet.

    A start with a state begins there. One with a prefix and no state begins where the moves of
    `role` in the prefix lead, which are played again.
    """
    world = ctx.world_of(start.task)
    state = start.state
    if state is None:
        state = world.initial(start.task)
        for turn in start.prefix:
            if turn.role == role:
                state = (await ctx.step(start.task, state, turn.text)).state
    if start.prefix and start.prefix[-1].role == "world":
        return state, []
    seen = world.observe(start.task, state)
    return state, [Turn("world", seen)] if seen else []


def played(said: Turn, moved: Transition) -> Turn:
    """A move with what the world answered to it."""
    return replace(
        said,
        rewards=dict(moved.rewards),
        done=moved.done,
        truncated=moved.truncated,
        legal=moved.legal,
    )


def ended(moved: Transition, illegal: str) -> StopReason | None:
    """Why a walk is over after a move; None where it goes on."""
    if moved.done:
        return StopReason.DONE
    if moved.truncated:
        return StopReason.TRUNCATED
    return StopReason.ILLEGAL if not moved.legal and illegal == "end" else None


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Each edge is a move in a world of turns, and what the world answers to it.

    max_tokens: new tokens one move may have (None: the world's own allowance).
    illegal: what an illegal move does. "end": the walk is over there. "observe": the world says
        what it says and the walk goes on. "drop": it is no edge, as if it had not been drawn; a
        place with no legal move among those drawn is a dead end.
    """

    max_tokens: int | None = None
    illegal: Illegal = "observe"

    pays = True

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
                "illegal": (self.illegal in get_args(Illegal), " or ".join(get_args(Illegal))),
            },
        )

    async def begin(self, grown: Grown) -> Place:
        """Where the walk begins, with the first observation as the root's own edge."""
        state, seen = await begun(grown.ctx, grown.start, grown.search.role)
        turns = tuple(seen)
        return Place(0, edge=turns, turns=turns, state=state, key=self._key(grown, state))

    async def say(
        self,
        grown: Grown,
        place: Place,
        draws: Sequence[int],
        sampling: Sampling,
        probe: bool = False,
    ) -> list[tuple[Turn, ...]]:
        """One move a draw."""
        allowed = replace(sampling, max_tokens=self.max_tokens)
        said = await grown.say(place, place.turns, draws, allowed, probe)
        return [(turn,) for turn in said]

    def words(self, said: tuple[Turn, ...]) -> str:
        """What tells an edge from its siblings: the move."""
        return said[0].text

    async def reached(self, grown: Grown, place: Place, said: tuple[Turn, ...]) -> Place | None:
        """The place behind a move; None for an illegal one that is dropped."""
        (turn,) = said
        found = Place(
            "",
            depth=place.depth + 1,
            edge=said,
            turns=(*place.turns, turn),
            state=place.state,
            key=place.key + turn.text,
            paid=place.paid,
            num_tokens=place.num_tokens + len(turn.tokens),
            prior=prior_of(said),
            stop=StopReason.CONTEXT,
            complete=True,
        )
        if turn.stop is StopReason.CONTEXT:
            return found
        moved = await grown.ctx.step(grown.start.task, place.state, turn.text)
        if self.illegal == "drop" and not moved.legal:
            return None
        found.stop = ended(moved, self.illegal)
        edge = [played(turn, moved)]
        if found.stop is None:
            edge.append(Turn("world", moved.observation))
        found.edge = tuple(edge)
        found.turns = (*place.turns, *edge)
        found.state, found.key = moved.state, self._key(grown, moved.state)
        found.paid += float(moved.rewards.get(grown.search.role, 0.0))
        found.complete = found.stop is not None
        return found

    async def finish(
        self, grown: Grown, place: Place, draws: Sequence[int], sampling: Sampling
    ) -> list[Place]:
        """Walks from a place to their ends, once a draw; as places that are kept nowhere."""
        return await All([self._walk(grown, place, draw, sampling) for draw in draws])

    async def _walk(self, grown: Grown, place: Place, draw: int, sampling: Sampling) -> Place:
        at = place
        while at.stop is None and at.depth < grown.search.max_depth:
            (said,) = await self.say(grown, at, (draw,), sampling, probe=True)
            found = await self.reached(grown, at, said)
            if found is None:
                return replace(at, stop=StopReason.ILLEGAL)
            found.name = f"{place.name}~{found.depth}"
            at = found
        return at if at.stop is not None else replace(at, stop=StopReason.TRUNCATED)

    def _key(self, grown: Grown, state: Any) -> str:
        """Equal for equal positions, where the world tells which are; else for equal states."""
        world = grown.ctx.world_of(grown.start.task)
        position = getattr(world, "position", None)
        if position is not None:
            return str(position(grown.start.task, state))
        return json.dumps(state, sort_keys=True, default=repr)
