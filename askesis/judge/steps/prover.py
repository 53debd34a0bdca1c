"""How much a step helps a prover: its advantage under a policy other than the one that learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from askesis.errors import must_fit
from askesis.formulas.step_rewards import best_of_value, progress
from askesis.judge.several import Around
from askesis.judge.steps.rollouts import RolloutValues
from askesis.records import Group, Verdict, VerdictKind
from askesis.steps import StepScores, scores_of, step_verdict


@dataclass(frozen=True, kw_only=True)
class ProverAdvantage(Around):
    """The change of another judge's values at each step, for a prover that takes the best of k.

        A_k = Q_mu(k) - Q_mu(k - 1),    Q_mu = 1 - (1 - Q)^best_of

    inner: a judge of steps of meaning value, in [0, 1], that knows what was to be expected before
        the first step: `RolloutValues`, or a `StepHead` that learnt them.
    best_of: k, at least 1; 4 in the paper. With 1 and the learning policy's own values the reward
        tells nothing that the outcome does not; with large k all values are near 1, and nothing
        tells steps apart either.

    The inner judge's verdicts come first, each followed later by one of meaning advantage, signed
    "prover-v1". Source: Setlur et al. 2024, "Rewarding Progress" (PAV), card [129].
    """

    inner: Any = field(default_factory=RolloutValues)
    best_of: int = 4

    def __post_init__(self) -> None:
        must_fit(self, {"best_of": (self.best_of >= 1, "at least 1")})

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        best_of = self.best_of
        said = list(await self.inner.judge(ctx, group))
        known = {a.id: a for a in group.attempts}
        for verdict in list(said):
            if verdict.kind is not VerdictKind.VALUE or verdict.about.attempt not in known:
                continue
            scores = scores_of(verdict)
            if scores is None or scores.before is None:
                continue
            before = float(best_of_value(scores.before, best_of))
            values = progress(best_of_value(scores.values, best_of), before)
            found = StepScores(values, VerdictKind.ADVANTAGE, scores.spans)
            why = f"from {before:.3g} by the best of {best_of} of {verdict.judge}"
            attempt = known[verdict.about.attempt]
            said.append(step_verdict("prover-v1", attempt, found, rationale=why))
        return said
