"""What the environment paid, as a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.records import About, Group, StopReason, Verdict, VerdictKind


@dataclass(frozen=True, kw_only=True)
class Return:
    """The sum of rewards an attempt's explorer wrote down for one role.

    role: whose rewards. Failed attempts get 0; attempts that carry no reward for the role are
    unknown. Signed "return".
    """

    role: str = "policy"

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        found = []
        for attempt in group.attempts:
            value = attempt.rewards.get(self.role)
            if value is None and attempt.stop is StopReason.FAILED:
                value = 0.0
            about = About(attempt.id, role=self.role)
            found.append(Verdict("return", about, VerdictKind.OUTCOME, value))
        return found
