"""Demonstrations of walked worlds: what a walker reads and says, move by move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import WorldError
from askesis.explore.moving import given_move, must_be_walked, total
from askesis.records import Attempt, Purpose, Start, StopReason, Turn
from askesis.search.walked import begun, played


@dataclass(frozen=True, kw_only=True)
class DemonstrateWalk:
    """One walk per start by the world's demonstrator, as an attempt that nobody sampled.

    role: whose moves they are; also whose renderer tokenises them.

    Needs a world with turns and a `demonstrate_walk`. Tokens are marked GIVEN, log-probabilities
    are unknown (NaN), the author is "demonstrator", rewards are what the world pays.
    """

    role: str = "policy"

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world of the run has turns."""
        must_be_walked(ctx, "DemonstrateWalk")

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        world = ctx.world_of(start.task)
        rng = ctx.generator("demonstrate", start.key)
        actions = world.demonstrate_walk(start.task, rng) if _can(world) else None
        if actions is None:
            raise WorldError(
                f"world {world.id!r} demonstrates no walks",
                hint="give the world a `demonstrate_walk`, or take a model that can walk already",
            )
        state, turns = await begun(ctx, start, self.role)
        for action in actions:
            said = given_move(ctx, self.role, start, turns, action)
            moved = await ctx.step(start.task, state, action)
            state = moved.state
            turns.append(played(said, moved))
            if not moved.done:
                turns.append(Turn("world", moved.observation))
        return [
            Attempt(
                ctx.attempt_id(start, 0),
                start,
                tuple(turns),
                StopReason.DONE,
                author="demonstrator",
                purpose=Purpose.DEMONSTRATION,
                rewards=total(turns),
            )
        ]


def _can(world: Any) -> bool:
    return hasattr(world, "demonstrate_walk")
