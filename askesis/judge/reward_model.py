"""A model with a head as a judge: a reward model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.records import About, Group, StopReason, Verdict, VerdictKind
from askesis.requests import All


@dataclass(frozen=True, kw_only=True)
class RewardModel:
    """The value head's number after a whole attempt.

    role: whose head is read; it reads the attempt's start and turns as its renderer shows them, as
        samples made with `reader` of the same role were read when it learnt.

    The number has no unit and no zero: only differences within a task mean something. Attempts that
    failed are unknown. Signed with the role.
    """

    role: str = "reward"

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        role = self.role
        read = [a for a in group.attempts if a.stop is not StopReason.FAILED and a.turns]
        scores = await All([ctx.value(role, a.start, a.turns) for a in read])
        return [
            Verdict(role, About(a.id), VerdictKind.OUTCOME, float(score))
            for a, score in zip(read, scores, strict=True)
        ]
