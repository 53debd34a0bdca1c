"""How much better an attempt is than what is expected at its start."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from askesis.judge.verifier import Verifier
from askesis.records import Group, StopReason, Verdict, VerdictKind
from askesis.requests import All


@dataclass(frozen=True, kw_only=True)
class Advantage:
    """Another judge's value less what a critic expects before anything is said.

        A = r - sigmoid( head after the start )

    inner: the other judge, whose values are in [0, 1].
    critic: the role whose head is read; it learns with `askesis.select.labels.StartLabels`.

    Verdicts of the inner judge come first, each followed later by one of kind "advantage", signed
    with the critic. Where the inner judge does not know, neither does this one. Source: Baheti et
    al. 2024, A-LoL, card [82].
    """

    inner: Any = field(default_factory=Verifier)
    critic: str = "critic"

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        said = list(await self.inner.judge(ctx, group))
        critic = self.critic
        whole = {v.about.attempt: v for v in said if not v.about.other and v.about.node < 0}
        read = [a for a in group.attempts if a.stop is not StopReason.FAILED and a.id in whole]
        logits = await All([ctx.value(critic, a.start) for a in read])
        for attempt, logit in zip(read, logits, strict=True):
            verdict = whole[attempt.id]
            if verdict.value is not None:
                expected = 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))
                said.append(
                    replace(
                        verdict,
                        judge=critic,
                        kind=VerdictKind.ADVANTAGE,
                        value=verdict.value - expected,
                        rationale=f"{verdict.value:.3g} where {expected:.3g} was expected",
                    )
                )
        return said
