"""Attempts made to measure: plain starts only, counted outside the budget, failures as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from askesis.errors import ConfigError
from askesis.records import Attempt, Group, Purpose, Start, Turn
from askesis.requests import All, Sampling


@dataclass(frozen=True, slots=True)
class Scored:
    """One measured attempt: score in [0, 1], the answer the verifier read, tokens, cut off.

    steps: how many steps the verifier saw (None: it does not look at steps). value: what a judge
    says of it (None: nobody was asked, or the judge does not know).
    """

    score: float
    answer: str = ""
    num_tokens: int = 0
    cut_off: bool = False
    failed: bool = False
    steps: int | None = None
    value: float | None = None


def scored_attempts(
    ctx: Any,
    starts: Sequence[Start],
    role: str,
    num_attempts: int,
    sampling: Sampling,
    judge: Any = None,
) -> list[list[Scored]]:
    """`num_attempts` verified attempts at each start, in order.

    judge: a judge part that says besides what each is worth; one that fails on a start knows
    nothing there. A start that fails counts as so many failed attempts of score 0. Raises what the
    first one raised where all fail, and ConfigError for a start with privileged text: a figure
    measured with the answer in sight is no figure.
    """
    for start in starts:
        if start.privileged is not None:
            raise ConfigError(
                f"start {start.key} shows privileged text and cannot be measured",
                hint="measure plain tasks; hints are for training",
            )

    async def one(index: int, start: Start) -> tuple[list[Turn], list[Scored]]:
        # `draw` tells apart a task that was drawn twice: its attempts are independent too.
        said = await All(
            [
                ctx.say(role, start, attempt=i, draw=index, sampling=sampling)
                for i in range(num_attempts)
            ]
        )
        checked = await All([ctx.check(start.task, turn.text) for turn in said])
        knows_steps = "steps" in ctx.world_of(start.task).truth
        return said, [
            Scored(
                float(c.score),
                c.answer,
                len(t.tokens),
                t.stop.cut_off,
                steps=len(c.steps) if knows_steps else None,
            )
            for c, t in zip(checked, said, strict=True)
        ]

    outcomes = ctx.run([lambda at=at: one(*at) for at in enumerate(starts)])
    _raise_if_all_failed(outcomes)
    failed = [Scored(0.0, failed=True)] * num_attempts
    scored = [failed if o.error is not None else o.value[1] for o in outcomes]
    if judge is None:
        return scored
    groups = {
        index: _group(ctx, start, index, outcome.value[0])
        for index, (start, outcome) in enumerate(zip(starts, outcomes, strict=True))
        if outcome.error is None
    }
    judged = ctx.run([lambda group=group: judge.judge(ctx, group) for group in groups.values()])
    _raise_if_all_failed(judged)
    for (index, group), outcome in zip(groups.items(), judged, strict=True):
        values = {
            v.about.attempt: v.value
            for v in (() if outcome.error is not None else outcome.value)
            if v.value is not None and not v.about.other and v.about.node < 0
        }
        scored[index] = [
            replace(s, value=values.get(a.id))
            for s, a in zip(scored[index], group.attempts, strict=True)
        ]
    return scored


def _group(ctx: Any, start: Start, index: int, said: Sequence[Turn]) -> Group:
    """What was said as a judge sees it; ids are unique although a task may come twice."""
    first = index * len(said)
    attempts = tuple(
        Attempt(
            ctx.attempt_id(start, first + i),
            start,
            (t,),
            t.stop,
            author=t.speaker,
            purpose=Purpose.MEASURE,
        )
        for i, t in enumerate(said)
    )
    return Group(f"{start.key}+{index}", attempts)


def _raise_if_all_failed(outcomes: Sequence[Any]) -> None:
    errors = [o.error for o in outcomes if o.error is not None]
    if errors and len(errors) == len(outcomes):
        raise errors[0]
