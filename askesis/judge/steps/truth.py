"""The world's own truth about steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import WorldError
from askesis.judge.steps.cut import cut, must_be_one_turn, why_none
from askesis.records import Group, Verdict, VerdictKind
from askesis.requests import All
from askesis.steps import SEPARATORS, StepScores, aligned, no_steps, step_verdict


@dataclass(frozen=True, kw_only=True)
class StepTruth:
    """Which steps are right, by the world that knows: meaning correctness, 0 or 1.

    separators: between which characters steps stand.
    role: whose steps.

    A step is wrong where any of the world's own steps that end in it is wrong; one in which none
    ends (a remark) is right. Needs a world with step truth. Answers of one turn. Signed
    "step-truth:<world id>".
    """

    separators: str = SEPARATORS
    role: str = "policy"

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world knows about steps."""
        if not any("steps" in getattr(w, "truth", ()) for w in ctx.worlds.values()):
            raise WorldError(
                "StepTruth asks for the truth about steps, which no world here knows",
                hint="--world chain_arithmetic or --world countdown",
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        separators, role = self.separators, self.role
        spans = {a.id: cut(ctx, a, separators, role) for a in group.attempts}

        def decode(tokens: np.ndarray) -> str:
            return str(ctx.decode(role, tokens))

        read = [a for a in group.attempts if spans[a.id]]
        checked = await All([ctx.check(a.task, a.text) for a in read])
        truth = {a.id: c for a, c in zip(read, checked, strict=True)}
        found = []
        for attempt in group.attempts:
            judge, steps = f"step-truth:{attempt.task.family}", spans[attempt.id]
            if not steps:
                why = why_none(attempt)
                found.append(no_steps(judge, attempt, VerdictKind.CORRECTNESS, why))
                continue
            must_be_one_turn(attempt, steps, "StepTruth")
            told = truth[attempt.id]
            values = aligned(attempt, steps, told.steps, told.spans, decode)
            scores = StepScores(values, VerdictKind.CORRECTNESS, steps)
            found.append(step_verdict(judge, attempt, scores))
        return found
