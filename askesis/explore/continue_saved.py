"""Attempts that go on from beginnings which led the right way before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import WorldError
from askesis.explore.demonstrate import Demonstrate
from askesis.explore.sample import attempt_of, check_sampling
from askesis.records import Attempt, Start, StopReason, TokenOrigin, Turn
from askesis.requests import All, Sampling
from askesis.search.said import joined


@dataclass(frozen=True, kw_only=True)
class ContinueSaved:
    """`num_attempts` answers a start, each from a beginning drawn from what is kept of its task.

    num_attempts: answers at each start, at least 0; 1 in the paper. 0 only shows the reference.
    temperature, top_p, max_tokens: as `SampleAttempts`, of what is added; 0.8 in the paper.
    from_kept: whether attempts may go on from kept beginnings; without, all begin at the beginning.
    habit: of the demonstrator who writes the reference solution, as `Demonstrate`.
    role: who speaks.

    `ctx.inputs["kept"]` maps task ids to what is kept of them, as `SolutionPool` keeps it: each is
    (text, is_right, given, source). The empty beginning is always among those drawn from. Where
    nothing is kept of a task yet, its reference solution is in the group, first. Tokens of the
    beginning are marked FORCED. Needs a demonstrator and, to go on, a world that knows states.
    Source: card [248].
    """

    num_attempts: int = 1
    temperature: float = field(default=0.8, metadata={"lazy": True})
    top_p: float = field(default=1.0, metadata={"lazy": True})
    max_tokens: int | None = field(default=None, metadata={"lazy": True})
    from_kept: bool = field(default=True, metadata={"lazy": True})
    habit: str = "plain"
    role: str = "policy"

    def __post_init__(self) -> None:
        if self.num_attempts:  # none at all is allowed here
            check_sampling(self)

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world of the run has what it takes."""
        if self.from_kept and not any("states" in world.truth for world in ctx.worlds.values()):
            raise WorldError(
                "ContinueSaved needs to know how far an answer goes",
                found=", ".join(world.id for world in ctx.worlds.values()),
                hint="--world countdown or --world maze; `askesis worlds` shows which know states",
            )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        kept = ctx.inputs.get("kept", {}).get(start.task.id, ())
        shown = []
        if not kept:
            shown = await Demonstrate(habit=self.habit, role=self.role).explore(ctx, start)
        places = range(len(shown), len(shown) + self.num_attempts)
        own = await All([self._one(ctx, start, i, kept) for i in places])
        return [*shown, *own]

    async def _one(self, ctx: Any, start: Start, index: int, kept: Any) -> Attempt:
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        begun = ""
        if self.from_kept:
            beginnings = ["", *(text for text, is_right, *_ in kept if not is_right)]
            rng = ctx.generator("beginning", start.key, index)
            begun = beginnings[int(rng.integers(len(beginnings)))]
        if not begun:
            said = await ctx.say(self.role, start, attempt=index, sampling=sampling)
            return attempt_of(ctx, start, index, said)
        first = given_beginning(ctx, self.role, start, begun)
        said = await ctx.say(self.role, start, (first,), attempt=index, sampling=sampling)
        return attempt_of(ctx, start, index, joined((first, said)))


def given_beginning(ctx: Any, role: str, start: Start, text: str) -> Turn:
    """The beginning of a turn of `role`, still open, with its tokens forced."""
    tokens = ctx.encode(role, text).astype(np.int32)
    unknown = np.full(len(tokens), np.nan, np.float32)
    return Turn(
        role,
        text,
        context=ctx.render(role, start),
        tokens=tokens,
        origin=np.full(len(tokens), TokenOrigin.FORCED, np.uint8),
        logp_sampling=unknown,
        logp_model=unknown,
        stop=StopReason.OPEN,
    )
