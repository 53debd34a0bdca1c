"""Pairs of answers that somebody compared: where preference learning from data begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError, WorldError
from askesis.records import Attempt, Purpose, Start, StopReason, TokenOrigin, Turn


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """The two answers of an annotated pair, as attempts that nobody sampled.

    num_votes: annotators asked about the pair, at least 1, where the world can ask any number.
    role: whose turn the answers are written as; also whose renderer tokenises them.

    Each attempt carries the share of votes for it as its reward under the role "annotator", which
    the judge `Return` turns into a verdict; what a file says has all votes. Tokens are marked
    GIVEN, the author is "annotated". Raises WorldError where the world has no preferences.
    """

    num_votes: int = 1
    role: str = "policy"

    def __post_init__(self) -> None:
        if self.num_votes < 1:
            raise ConfigError(
                "Annotated.num_votes is too small", expected="at least 1", found=str(self.num_votes)
            )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        world = ctx.world_of(start.task)
        if "preference" not in world.truth or not hasattr(world, "annotated_pair"):
            raise WorldError(
                f"world {world.id!r} has no preferences between answers",
                hint="--world preferences, or pairs:FILE for a file of yours",
            )
        rng = ctx.generator("annotated", start.key)
        better, worse, share = world.annotated_pair(start.task, rng, self.num_votes)
        context = ctx.render(self.role, start)
        return [
            self._attempt(ctx, start, i, context, text, votes)
            for i, (text, votes) in enumerate(((better, share), (worse, 1 - share)))
        ]

    def _attempt(
        self, ctx: Any, start: Start, index: int, context: np.ndarray, text: str, votes: float
    ) -> Attempt:
        tokens = np.append(ctx.encode(self.role, text), ctx.end_token(self.role)).astype(np.int32)
        unknown = np.full(len(tokens), np.nan, np.float32)
        turn = Turn(
            self.role,
            text,
            context=context,
            tokens=tokens,
            origin=np.full(len(tokens), TokenOrigin.GIVEN, np.uint8),
            logp_sampling=unknown,
            logp_model=unknown,
        )
        return Attempt(
            ctx.attempt_id(start, index),
            start,
            (turn,),
            StopReason.ENDED,
            author="annotated",
            purpose=Purpose.DEMONSTRATION,
            rewards={"annotator": votes},
        )
