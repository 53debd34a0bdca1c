"""Where wrong attempts were lost, as a judge of steps that asks for few completions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, StopReason, Verdict, VerdictKind
from askesis.requests import All
from askesis.search.first_error import lost_at
from askesis.steps import SEPARATORS, StepScores, no_steps, step_verdict, steps_of

How = Literal["halves", "linear"]


@dataclass(frozen=True, kw_only=True)
class FirstError:
    """Correctness of steps: 1 before the first from which no completion comes out right, 0 at it.

    how: "halves": about log2(steps) prefixes are completed; "linear": every one up to it.
    num_rollouts: completions a prefix, at least 1. temperature: of completions, at least 0.
    right: an attempt whose verified score is at least this is right; all its steps are 1, without a
        completion.
    hopeless: whether attempts are searched of groups in which none is right. Where nothing comes
        out right from the start either, the first step is blamed for it; so by default they are
        unknown.
    separators: between which characters steps stand. role: whose steps.

    It finds the point of no return: a wrong step that the completer can mend is 1. Behind the first
    error steps have no label. Cost is in tokens of completions; `draws` are the prefixes' values
    that were asked for. Uses the world's verifier. Signed "first-error:<how>". Source: card [135].
    """

    how: How = "halves"
    num_rollouts: int = 8
    temperature: float = 1.0
    right: float = 1.0
    hopeless: bool = field(default=False, metadata={"lazy": True})
    separators: str = SEPARATORS
    role: str = "policy"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "how": (self.how in get_args(How), "halves or linear"),
                "num_rollouts": (self.num_rollouts >= 1, "at least 1"),
                "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
            },
        )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        said = [a for a in group.attempts if a.text and a.stop is not StopReason.FAILED]
        checked = await All([ctx.check(a.task, a.text) for a in said])
        right = {a.id for a, c in zip(said, checked, strict=True) if c.score >= self.right}
        is_known = bool(right) or self.hopeless
        return await All([self._one(ctx, a, a.id in right, is_known) for a in group.attempts])

    async def _one(self, ctx: Any, attempt: Attempt, is_right: bool, is_known: bool) -> Verdict:
        how, role, separators = self.how, self.role, self.separators
        num, temperature = self.num_rollouts, self.temperature
        name, kind = f"first-error:{how}", VerdictKind.CORRECTNESS
        if attempt.stop is StopReason.FAILED or not attempt.text:
            return no_steps(name, attempt, kind, "nothing was said")
        if is_right:
            spans = steps_of(attempt, lambda tokens: ctx.decode(role, tokens), separators, role)
            return step_verdict(name, attempt, StepScores(np.ones(len(spans)), kind, spans))
        if not is_known:
            return no_steps(name, attempt, kind, "no attempt at this task is right")
        lost, spans, cost = await lost_at(
            ctx,
            attempt,
            num_rollouts=num,
            linear=how == "linear",
            temperature=temperature,
            separators=separators,
            role=role,
        )
        if lost.step is None:
            return no_steps(name, attempt, kind, "it has no steps")
        values = np.ones(lost.step + 1)
        values[-1] = 0.0
        draws = [lost.values[n] for n in sorted(lost.values)]
        scores = StepScores(values, kind, spans[: lost.step + 1])
        return step_verdict(name, attempt, scores, draws=draws, cost=cost)
