"""What the explorers of walked worlds share, besides `askesis.search.walked`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from askesis.errors import WorldError
from askesis.records import Start, TokenOrigin, Turn


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
