"""Attempts made to measure: plain starts only, counted outside the budget, failures as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from askesis.errors import ConfigError
from askesis.records import Start
from askesis.requests import All, Sampling


@dataclass(frozen=True, slots=True)
class Scored:
    """One measured attempt: score in [0, 1], the answer the verifier read, tokens, cut off."""

    score: float
    answer: str = ""
    num_tokens: int = 0
    cut_off: bool = False
    failed: bool = False


def scored_attempts(
    ctx: Any, starts: Sequence[Start], role: str, num_attempts: int, sampling: Sampling
) -> list[list[Scored]]:
    """`num_attempts` verified attempts at each start, in order.

    A start that fails counts as so many failed attempts of score 0. Raises what the first one
    raised where all fail, and ConfigError for a start with privileged text: a figure measured
    with the answer in sight is no figure.
    """
    for start in starts:
        if start.privileged is not None:
            raise ConfigError(
                f"start {start.key} shows privileged text and cannot be measured",
                hint="measure plain tasks; hints are for training",
            )

    async def one(index: int, start: Start) -> list[Scored]:
        # `draw` tells apart a task that was drawn twice: its attempts are independent too.
        said = await All(
            [
                ctx.say(role, start, attempt=i, draw=index, sampling=sampling)
                for i in range(num_attempts)
            ]
        )
        checked = await All([ctx.check(start.task, turn.text) for turn in said])
        return [
            Scored(float(c.score), c.answer, len(t.tokens), t.stop.cut_off)
            for c, t in zip(checked, said, strict=True)
        ]

    outcomes = ctx.run([lambda at=at: one(*at) for at in enumerate(starts)])
    errors = [o.error for o in outcomes if o.error is not None]
    if errors and len(errors) == len(outcomes):
        raise errors[0]
    failed = [Scored(0.0, failed=True)] * num_attempts
    return [failed if o.error is not None else o.value for o in outcomes]
