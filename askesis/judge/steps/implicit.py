"""Rewards of steps that nobody labelled: the log-ratio of two models, read step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.judge.steps.cut import cut, why_none
from askesis.records import Group, Verdict, VerdictKind
from askesis.requests import All
from askesis.steps import (
    SEPARATORS,
    StepScores,
    no_steps,
    sampled,
    step_verdict,
    turns_up_to,
)


@dataclass(frozen=True, kw_only=True)
class ImplicitSteps:
    """What an outcome reward model that is a log-ratio pays for each step.

        r_k = beta * sum_{t in step k} log [ phi(y_t) / ref(y_t) ]

    reward: phi, the role of the model that learnt outcomes with `ImplicitReward`.
    reference: ref: a snapshot of the same model, "base" or a kept tag.
    beta: scale, above 0; 0.05 as the loss has it (card [133]), 1 in PRIME's returns (card [146]).
    separators: between which characters steps stand; "": each token is a step.
    role: whose steps.

    Meaning log-ratio: the sum over steps is the outcome's reward. Only tokens that the speaker drew
    count. Both models read the tokens as they were said. Uses no truth. Signed "implicit-v1".
    Cost: the tokens, scored twice. Frozen it is misled in the end, and so it is updated in every
    round of PRIME.
    """

    reward: str = "reward"
    reference: str = "base"
    beta: float = 0.05
    separators: str = SEPARATORS
    role: str = "policy"

    def __post_init__(self) -> None:
        must_fit(self, {"beta": (0 < self.beta < float("inf"), "above 0")})

    def on_phase_start(self, ctx: Any) -> None:
        """Raises ConfigError where the engine says no log-probabilities."""
        if "logp" not in ctx.capabilities(self.reward):
            raise ConfigError(
                f"the engine of role {self.reward!r} says no log-probabilities, of which implicit "
                "rewards are made",
                hint=f"choose another with --roles.{self.reward}.engine",
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        reward, reference, beta, role = self.reward, self.reference, self.beta, self.role
        spans = {a.id: cut(ctx, a, self.separators, role) for a in group.attempts}
        places = [
            (a, turn) for a in group.attempts for turn in sorted({t for t, _, _ in spans[a.id]})
        ]
        asked = []
        for attempt, turn in places:
            read = turns_up_to(attempt, turn, 0, lambda tokens: "")
            target = attempt.turns[turn]
            asked.append(ctx.score(reward, attempt.start, read, target))
            asked.append(ctx.score(reward, attempt.start, read, target, snapshot=reference))
        scored = await All(asked)
        ratios = {
            (a.id, turn): np.where(
                sampled(a.turns[turn]), np.float64(scored[2 * i]) - scored[2 * i + 1], 0.0
            )
            for i, (a, turn) in enumerate(places)
        }
        judge, found = "implicit-v1", []
        for attempt in group.attempts:
            steps = spans[attempt.id]
            if not steps:
                why = why_none(attempt)
                found.append(no_steps(judge, attempt, VerdictKind.LOG_RATIO, why))
                continue
            values = [ratios[attempt.id, t][a:b].sum() for t, a, b in steps]
            scores = StepScores(beta * np.array(values), VerdictKind.LOG_RATIO, steps)
            cost = 2 * sum(len(attempt.turns[t].tokens) for t in {t for t, _, _ in steps})
            found.append(step_verdict(judge, attempt, scores, cost=cost))
        return found
