"""What the explorers of walked worlds share: where a walk begins, and what a move came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.errors import WorldError
from askesis.records import Start, StopReason, TokenOrigin, Turn
from askesis.requests import Transition


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


def given_move(ctx: Any, role: str, start: Start, turns: Sequence[Turn], action: str) -> Turn:
    """A move that somebody else wrote, as `role` would have said it after `turns`."""
    tokens = np.append(ctx.encode(role, action), ctx.end_token(role)).astype(np.int32)
    unknown = np.full(len(tokens), np.nan, np.float32)
    return Turn(
        role,
        action,
        context=ctx.render(role, start, turns),
        tokens=tokens,
        origin=np.full(len(tokens), TokenOrigin.GIVEN, np.uint8),
        logp_sampling=unknown,
        logp_model=unknown,
    )


def total(turns: Sequence[Turn]) -> dict[str, float]:
    """Rewards summed by name."""
    found: dict[str, float] = {}
    for turn in turns:
        for name, reward in turn.rewards.items():
            found[name] = found.get(name, 0.0) + reward
    return found


def must_be_walked(ctx: Any, part: str) -> None:
    """Raises WorldError where no world of the run can be walked, before round 0."""
    if not any("turns" in world.truth for world in ctx.worlds.values()):
        names = ", ".join(world.id for world in ctx.worlds.values())
        raise WorldError(
            f"{part} walks move by move, and no world of this run has turns",
            found=names,
            hint="--world maze or --world countdown; `askesis worlds` shows which have turns",
        )
