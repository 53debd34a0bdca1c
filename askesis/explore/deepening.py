"""Attempts that are told to look again, seldom and ever more seldom: iterative deepening."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.explore.sample import attempt_of, check_sampling
from askesis.records import Attempt, Start, StopReason, TokenOrigin, Turn
from askesis.requests import All, Sampling
from askesis.search.said import joined, still_open

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class Deepening:
    """Answers of one turn in which a trigger is put whenever a budget of tokens is used up.

        B_{i+1} = growth * B_i

    num_attempts: at each start, at least 1.
    first_tokens: B_0, new tokens before the first trigger, at least 1.
    growth: gamma, at least 1; 1 puts triggers at even distances.
    trigger: what is put into the answer. The speaker reads it as its own words and did not say it
        (its tokens are FORCED), so nobody learns to say it.
    end_checks: how often an answer that has ended is opened again by a trigger, at least 0; with
        first_tokens beyond the allowance the only triggers there are.
    whole_steps: a trigger waits until the step is finished (the world's `step_end`, or a line end).
    temperature, top_p: of every token. max_tokens: new tokens of the whole answer, triggers
        included (None: the world's allowance).
    role: who speaks.

    At most log_growth(L / B_0) triggers by budget in an answer of L tokens. Helps only those who
    have learnt what to do behind a trigger. Source: card [20]; the paper's budgets and words are
    not known here.
    """

    num_attempts: int = 8
    first_tokens: int = 32
    growth: float = field(default=2.0, metadata=LAZY)
    trigger: str = field(default="#wait\n", metadata=LAZY)
    end_checks: int = 0
    whole_steps: bool = field(default=True, metadata=LAZY)
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    role: str = "policy"

    def __post_init__(self) -> None:
        check_sampling(self)
        must_fit(
            self,
            {
                "first_tokens": (self.first_tokens >= 1, "at least 1"),
                "growth": (1 <= self.growth < float("inf"), "at least 1"),
                "trigger": (bool(self.trigger), "some text"),
                "end_checks": (self.end_checks >= 0, "at least 0"),
            },
        )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        turns = await All([self._one(ctx, start, i) for i in range(self.num_attempts)])
        return [attempt_of(ctx, start, i, turn) for i, turn in enumerate(turns)]

    async def _one(self, ctx: Any, start: Start, index: int) -> Turn:
        """One answer, with its triggers."""
        most = self.max_tokens or int(ctx.world_of(start.task).max_answer_tokens)
        sampling = Sampling(self.temperature, 0, self.top_p)
        pieces: list[Turn] = []
        budget, checks = float(self.first_tokens), self.end_checks
        while True:
            left = most - _num(pieces)
            room = min(left, max(1, round(budget)))
            pieces.append(await self._said(ctx, start, index, pieces, sampling, room))
            last = pieces[-1]
            if last.stop is StopReason.LENGTH and room < left:
                budget *= self.growth
                if self.whole_steps and not last.text.endswith(_step_end(ctx, start)):
                    short = replace(sampling, stop=(_step_end(ctx, start),))
                    room = most - _num(pieces)
                    pieces.append(await self._said(ctx, start, index, pieces, short, room))
                    last = pieces[-1]
            if last.stop is StopReason.ENDED and checks:
                checks -= 1
                pieces[-1] = _reopened(last)
            elif last.stop in (StopReason.ENDED, StopReason.CONTEXT):
                return joined(pieces)
            trigger = self._trigger(ctx, start, pieces)
            if _num(pieces) + len(trigger.tokens) >= most:
                return replace(joined(pieces), stop=StopReason.LENGTH)
            pieces.append(trigger)

    async def _said(
        self, ctx: Any, start: Start, index: int, pieces: list[Turn], sampling: Sampling, room: int
    ) -> Turn:
        """So many more tokens of the answer."""
        before = (still_open(joined(pieces)),) if pieces else ()
        said: Turn = await ctx.say(
            self.role,
            start,
            before,
            attempt=index,
            draw=len(pieces),
            sampling=replace(sampling, max_tokens=room),
        )
        return said

    def _trigger(self, ctx: Any, start: Start, pieces: list[Turn]) -> Turn:
        """The trigger on a line of its own, as tokens that were put there."""
        so_far = joined(pieces)
        is_new_line = not so_far.text or so_far.text.endswith("\n")
        text = self.trigger if is_new_line else "\n" + self.trigger
        tokens = ctx.encode(self.role, text).astype(np.int32)
        unknown = np.full(len(tokens), np.nan, np.float32)
        return replace(
            so_far,
            text=text,
            context=np.concatenate([so_far.context, so_far.tokens]).astype(np.int32),
            tokens=tokens,
            origin=np.full(len(tokens), TokenOrigin.FORCED, np.uint8),
            logp_sampling=unknown,
            logp_model=unknown,
            stop=StopReason.OPEN,
        )


def _num(pieces: list[Turn]) -> int:
    return sum(len(p.tokens) for p in pieces)


def _reopened(turn: Turn) -> Turn:
    """An ended piece without its end token."""
    return replace(
        turn,
        tokens=turn.tokens[:-1],
        origin=None if turn.origin is None else turn.origin[:-1],
        logp_sampling=turn.logp_sampling[:-1],
        logp_model=turn.logp_model[:-1],
        stop=StopReason.OPEN,
    )


def _step_end(ctx: Any, start: Start) -> str:
    return str(getattr(ctx.world_of(start.task), "step_end", "\n"))
