"""Attempts that a world's demonstrator writes: what supervised learning starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import WorldError
from askesis.records import Attempt, Purpose, Start, StopReason, TokenOrigin, Turn


@dataclass(frozen=True, kw_only=True)
class Demonstrate:
    """One demonstration per start, as an attempt that nobody sampled.

    habit: the habit of writing that is asked of the demonstrator (plain, verify, backtrack,
        sub_goal, filler; a world's page lists its own, and how they combine).
    wrong: ask for demonstrations that end wrong, for worlds that can.
    role: whose turn it is written as; also whose renderer tokenises it.

    Where the world has no demonstrator its reference answer is used. Tokens are marked GIVEN,
    log-probabilities are unknown (NaN), the author is "demonstrator". Raises WorldError where
    there is neither, and TruthError in a run that was declared to use no truth.
    """

    habit: str = "plain"
    wrong: bool = False
    role: str = "policy"

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        world = ctx.world_of(start.task)
        rng = ctx.generator("demonstrate", start.key)
        options = {"wrong": True} if self.wrong else {}
        text = world.demonstrate(start.task, rng, self.habit, **options)
        if text is None and not self.wrong:
            text = start.task.answer
        if text is None:
            raise WorldError(
                f"world {world.id!r} has no wrong demonstrations"
                if self.wrong
                else f"world {world.id!r} has neither a demonstrator nor reference answers",
                hint="choose a recipe that learns from its own attempts, such as rft",
            )
        return [given_answer(ctx, start, self.role, text, "demonstrator")]


def given_answer(ctx: Any, start: Start, role: str, text: str, author: str) -> Attempt:
    """A text that somebody else wrote, as one finished attempt of `role` at a start."""
    tokens = np.append(ctx.encode(role, text), ctx.end_token(role)).astype(np.int32)
    unknown = np.full(len(tokens), np.nan, np.float32)
    turn = Turn(
        role,
        text,
        context=ctx.render(role, start),
        tokens=tokens,
        origin=np.full(len(tokens), TokenOrigin.GIVEN, np.uint8),
        logp_sampling=unknown,
        logp_model=unknown,
    )
    return Attempt(
        ctx.attempt_id(start, 0),
        start,
        (turn,),
        StopReason.ENDED,
        author=author,
        purpose=Purpose.DEMONSTRATION,
    )
