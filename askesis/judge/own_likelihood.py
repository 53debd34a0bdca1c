"""What a model itself thinks of an answer: how likely it is to say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.records import About, Attempt, Group, StopReason, Turn, Verdict, VerdictKind
from askesis.requests import All


@dataclass(frozen=True, kw_only=True)
class OwnLikelihood:
    """An attempt's log-probability under a model, as its value: at most 0, in nats.

        r(x, y) = log pi(y | x),   or its mean over tokens

    snapshot: of the model that is asked: "base", "previous", a kept tag; "" is as it is now.
    mean: over tokens instead of the sum. The sum favours short answers where they are of different
        lengths; the mean favours long ones that repeat themselves.
    role: who is asked.

    An attempt of several turns is worth what all its speakers' turns are. What the same weights
    said themselves is not asked again. Failed and silent attempts are unknown. Uses no truth.
    Signed "own-likelihood-v1". Source: Huang et al. 2024, the self-reward of sharpening, card [18].
    """

    snapshot: str = ""
    mean: bool = False
    role: str = "policy"

    def on_phase_start(self, ctx: Any) -> None:
        """Raises ConfigError where the role's engine says no log-probabilities."""
        if "logp" not in ctx.capabilities(self.role):
            raise ConfigError(
                f"the engine of role {self.role!r} says no log-probabilities, which OwnLikelihood "
                "is about",
                hint=f"choose another with --roles.{self.role}.engine, or the judge "
                "judge.self_consistency",
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        snapshot, mean, role = self.snapshot, self.mean, self.role
        return list(await All([self._one(ctx, a, role, snapshot, mean) for a in group.attempts]))

    async def _one(
        self, ctx: Any, attempt: Attempt, role: str, snapshot: str, mean: bool
    ) -> Verdict:
        spoken = [(i, t) for i, t in enumerate(attempt.turns) if t.role != "world"]
        logp, cost = np.zeros(0), 0
        if attempt.stop is not StopReason.FAILED:
            known = [(i, t) for i, t in spoken if _is_own(ctx, t, snapshot)]
            asked = [(i, t) for i, t in spoken if not _is_own(ctx, t, snapshot)]
            scores = await All(
                [
                    ctx.score(role, attempt.start, attempt.turns[:i], t, snapshot=snapshot)
                    for i, t in asked
                ]
            )
            logp = np.concatenate([*(t.logp_model for _, t in known), *scores, np.zeros(0)])
            cost = sum(len(s) for s in scores)
        value = float(logp.mean() if mean else logp.sum()) if len(logp) else None
        why = f"{len(logp)} tokens" if len(logp) else "nothing was said"
        return Verdict(
            "own-likelihood-v1",
            About(attempt.id),
            VerdictKind.OUTCOME,
            value,
            rationale=why,
            cost=cost,
        )


def _is_own(ctx: Any, turn: Turn, snapshot: str) -> bool:
    """Whether the asked weights said this turn, and said how likely it was."""
    model = turn.speaker.partition("@")[0]
    if model not in ctx.models or len(turn.logp_model) != len(turn.tokens) or not len(turn.tokens):
        return False
    is_known = not np.isnan(turn.logp_model).any()
    return bool(is_known and turn.speaker == ctx.shelf.find(model, snapshot))
