"""A model with a head as a judge of steps: a value head, or a process reward model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.judge.steps.cut import cut, why_none
from askesis.records import Group, Verdict, VerdictKind
from askesis.requests import All
from askesis.steps import SEPARATORS, StepScores, no_steps, step_verdict, turns_up_to

Says = Literal["value", "correctness"]


@dataclass(frozen=True, kw_only=True)
class StepHead:
    """What a head says after each step's last token, as it read them when it learnt.

        s_k = sigmoid( head after step k )

    head: the role whose head is read. Its model must have the vocabulary of who wrote the steps: it
        reads their tokens as they are, as samples of `StepLabels` show them.
    says: "value": of the state after the step, with that before the first one; "correctness": of
        the step. It depends on what the head learnt.
    separators: between which characters steps stand.
    role: whose steps.

    Attempts that failed or are silent are unknown. Uses no truth. Signed "step-head-v1:<head>".
    Read at the end of a step and nowhere else (card [178]).
    """

    head: str = "steps"
    says: Says = "value"
    separators: str = SEPARATORS
    role: str = "policy"

    def __post_init__(self) -> None:
        must_fit(self, {"says": (self.says in get_args(Says), "value or correctness")})

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        head, says, role = self.head, self.says, self.role
        spans = {a.id: cut(ctx, a, self.separators, role) for a in group.attempts}

        def decode(tokens: np.ndarray) -> str:
            return str(ctx.decode(role, tokens))

        places = [
            (a, turn, num)
            for a in group.attempts
            if (found := spans[a.id])
            for turn, num in [found[0][:2]] * (says == "value") + [(t, e) for t, _, e in found]
        ]
        logits = await All(
            [ctx.value(head, a.start, turns_up_to(a, t, n, decode)) for a, t, n in places]
        )
        read: dict[str, list[float]] = {}
        for (attempt, _, _), logit in zip(places, logits, strict=True):
            read.setdefault(attempt.id, []).append(_sigmoid(float(logit)))
        judge, meaning, found_ = f"step-head-v1:{head}", VerdictKind(says), []
        for attempt in group.attempts:
            numbers = read.get(attempt.id, [])
            if not numbers:
                found_.append(no_steps(judge, attempt, meaning, why_none(attempt)))
                continue
            before = numbers.pop(0) if says == "value" else None
            scores = StepScores(np.array(numbers), meaning, spans[attempt.id], before)
            found_.append(step_verdict(judge, attempt, scores))
        return found_


def _sigmoid(logit: float) -> float:
    """Stays a number for NaN, which the contract then refuses by name."""
    return float(1 / (1 + np.exp(-np.clip(logit, -60, 60))))
