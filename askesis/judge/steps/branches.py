"""A step is good as long as somebody went on from it and came out right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.judge.several import Around
from askesis.judge.steps.cut import cut, why_none
from askesis.judge.verifier import Verifier
from askesis.records import Attempt, Group, StopReason, Verdict, VerdictKind
from askesis.search.branches import drafts_of, kept_steps
from askesis.steps import SEPARATORS, Span, StepScores, no_steps, step_verdict
from askesis.text.steps import goes_on

CORRECT = VerdictKind.CORRECTNESS


@dataclass(frozen=True, kw_only=True)
class BranchLabels(Around):
    """Correctness of a draft's steps by the branches that were said behind them (`Branches`).

        l_i = 1[ a branch from behind some step j >= i is right ],  l_S = 1[ the draft is right ]

    inner: who says whether drafts and branches are right.
    right: a value of at least this is right.
    used: a branch counts only where it goes on with the result of the step it begins behind
        (`askesis.text.steps.goes_on`). Else a lucky one, which begins again or says the answer by
        chance, would make a wrong step good; the more branches, the oftener. Off in worlds whose
        steps do not name each other's results (addition: a digit and a carry); there, every wrong
        draft would look lost from its first step on.
    separators: between which characters steps stand. role: whose steps.

    So a good step makes all before it good; every step of a right draft is. Wrong drafts without
    branches are unknown, and so is what is no draft. It is near the value under the best policy,
    where an outcome model is near that of the average one. The inner judge's verdicts come first.
    Costs nothing: branches are attempts. Signed "branches-v1". Source: the labels of the stepwise
    outcome model of card [172].
    """

    inner: Any = field(default_factory=Verifier)
    right: float = 1.0
    used: bool = field(default=True, metadata={"lazy": True})
    separators: str = SEPARATORS
    role: str = "policy"

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        said = list(await self.inner.judge(ctx, group))
        right = {
            v.about.attempt: float(v.value) >= self.right
            for v in said
            if v.value is not None and not v.about.other and v.about.node < 0
        }
        for draft, branches in drafts_of(group.attempts):
            spans = cut(ctx, draft, self.separators, self.role)
            if not spans or draft.id not in right:
                why = why_none(draft) if not spans else "its outcome is unknown"
            elif right[draft.id]:
                scores = StepScores(np.ones(len(spans)), CORRECT, spans)
                said.append(step_verdict("branches-v1", draft, scores))
                continue
            elif len(spans) > 1 and not branches:
                why = "it was not branched"
            else:
                said.append(self._wrong(ctx, draft, spans, branches, right))
                continue
            said.append(no_steps("branches-v1", draft, CORRECT, why))
        return said

    def _wrong(
        self,
        ctx: Any,
        draft: Attempt,
        spans: tuple[Span, ...],
        branches: list[Attempt],
        right: dict[str, bool],
    ) -> Verdict:
        good = np.zeros(len(spans))
        for branch in branches:
            kept = kept_steps(branch)
            if not right.get(branch.id, False) or branch.stop is StopReason.FAILED:
                continue
            if not self.used or self._goes_on(ctx, draft, spans, branch, kept):
                good[:kept] = 1.0
        scores = StepScores(good, CORRECT, spans)
        why = f"{len(branches)} branches"
        return step_verdict("branches-v1", draft, scores, rationale=why)

    def _goes_on(
        self, ctx: Any, draft: Attempt, spans: tuple[Span, ...], branch: Attempt, kept: int
    ) -> bool:
        turn, first, end = spans[kept - 1]
        step = str(ctx.decode(self.role, draft.turns[turn].tokens[first:end]))
        rest = str(ctx.decode(self.role, branch.turns[-1].tokens[end:]))
        return goes_on(step, rest)
