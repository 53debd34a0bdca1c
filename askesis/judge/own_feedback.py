"""A critic's word on an answer, read as accepted or not: a judge that needs no truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from askesis.errors import must_fit
from askesis.records import About, Attempt, Group, StopReason, Turn, Verdict, VerdictKind
from askesis.requests import All
from askesis.text.feedback import says_right


@dataclass(frozen=True, kw_only=True)
class OwnFeedback:
    """1 where the critic calls an attempt's last answer right, 0 where it calls it wrong.

    temperature: of the critic, at least 0. max_tokens: it may use (None: the world's allowance).
    critic: who judges; may be the model that answered. role: whose last answer is judged.

    The critic reads the task and that answer alone, as in the exchanges it was taught with
    (`askesis.text.feedback` says what it may answer); anything else it says is unknown. Attempts
    that failed or never answered get 0 unasked. Verdicts are signed "own-feedback-v1" and cost what
    the critic said. Source: SELF, card [3].
    """

    temperature: float = field(default=0.0, metadata={"lazy": True})
    max_tokens: int | None = field(default=32, metadata={"lazy": True})
    critic: str = field(default="critic", metadata={"lazy": True})
    role: str = "policy"

    def __post_init__(self) -> None:
        limits = {
            "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
            "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1, or none"),
        }
        must_fit(self, limits)

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        role = self.role
        return await All(
            [self._one(ctx, attempt, role, i) for i, attempt in enumerate(group.attempts)]
        )

    async def _one(self, ctx: Any, attempt: Attempt, role: str, index: int) -> Verdict:
        said = [t for t in attempt.turns if t.role == role and t.text]
        if attempt.stop is StopReason.FAILED or not said:
            return _verdict(attempt, 0.0, attempt.error or "nothing was said", 0)
        start = replace(attempt.start, prefix=(), privileged=None, tag="")
        told: Turn = await ctx.say(
            self.critic,
            start,
            [said[-1]],
            attempt=index,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )
        accepted = says_right(told.text)
        value = None if accepted is None else float(accepted)
        return _verdict(attempt, value, told.text, len(told.tokens))


def _verdict(attempt: Attempt, value: float | None, why: str, cost: int) -> Verdict:
    about = About(attempt.id)
    return Verdict("own-feedback-v1", about, VerdictKind.OUTCOME, value, rationale=why, cost=cost)
