"""Failed attempts repaired by a reflector that reads them and what the environment said."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from askesis.errors import must_fit
from askesis.explore.sample import attempt_of, check_sampling
from askesis.records import Attempt, Start
from askesis.requests import All, Checked, Sampling
from askesis.text.feedback import WRONG, written_feedback

Feedback = Literal["outcome", "why", "step"]


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Plain attempts first; each that failed is then read by a reflector, who tries anew.

    num_attempts: plain attempts at each task, at least 1.
    num_repairs: new attempts at each failed one, at least 1; 0 repairs nothing, and makes
        num_attempts more plain ones the control at equal attempts.
    max_repaired: failed attempts of one task that are repaired, in order, at least 1 (None: all);
        failed attempts with the same text count once.
    feedback: what the reflector is told. "outcome": that it is wrong. "why": the world's own line,
        unless the reference answer stands in it; then that it is wrong. "step": which step is the
        first wrong one, where the world sees steps.
    temperature, top_p, max_tokens: as `SampleAttempts`, for both.
    threshold: a verified score of at least this is right, in (0, 1].
    role: who attempts. reflector: who repairs; may be the same.

    The failed text and the feedback are the start's privileged text, which selectors strip.
    Repaired attempts have a start tag that begins with "repair" and name the failed attempt as
    their parent. The reference answer is never shown. Source: Re-ReST, card [212].
    """

    num_attempts: int = 4
    num_repairs: int = 1
    max_repaired: int | None = field(default=None, metadata={"lazy": True})
    feedback: Feedback = field(default="why", metadata={"lazy": True})
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    threshold: float = 1.0
    role: str = "policy"
    reflector: str = field(default="reflector", metadata={"lazy": True})

    def __post_init__(self) -> None:
        check_sampling(self)
        limits = {
            "num_repairs": (self.num_repairs >= 0, "at least 0"),
            "max_repaired": (
                self.max_repaired is None or self.max_repaired >= 1,
                "at least 1, or none",
            ),
            "feedback": (self.feedback in get_args(Feedback), "outcome, why or step"),
            "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
        }
        must_fit(self, limits)

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        threshold, num_repairs = self.threshold, self.num_repairs
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        said = await All(
            [
                ctx.say(self.role, start, attempt=i, sampling=sampling)
                for i in range(self.num_attempts)
            ]
        )
        plain = [attempt_of(ctx, start, i, turn) for i, turn in enumerate(said)]
        if not num_repairs:
            return plain
        checked = await All([ctx.check(a.task, a.text) for a in plain])
        failed: dict[str, tuple[Attempt, Checked]] = {}
        for attempt, found in zip(plain, checked, strict=True):
            if found.score < threshold:
                failed.setdefault(attempt.text, (attempt, found))
        chosen = list(failed.values())[: self.max_repaired]
        repaired = await All([self._repaired(ctx, *pair, sampling) for pair in chosen])
        return plain + [attempt for attempts in repaired for attempt in attempts]

    async def _repaired(
        self, ctx: Any, failed: Attempt, checked: Checked, sampling: Sampling
    ) -> list[Attempt]:
        number = failed.id.rpartition("#")[2]
        told = what_was_wrong(checked, failed.task.answer, self.feedback)
        start = replace(failed.start, tag=f"repair{number}", privileged=read_again(failed, told))
        said = await All(
            [
                ctx.say(self.reflector, start, attempt=i, sampling=sampling)
                for i in range(self.num_repairs)
            ]
        )
        return [attempt_of(ctx, start, i, turn, (failed.id,)) for i, turn in enumerate(said)]


def read_again(failed: Attempt, told: str) -> str:
    """What the reflector reads beside the task: the failed attempt and what was said of it."""
    return f"{failed.text}\n{told}"


def what_was_wrong(checked: Checked, answer: str | None, feedback: Feedback) -> str:
    """The environment's feedback on a failed attempt, without the reference answer in it."""
    if feedback == "step":
        return written_feedback(False, checked.steps)
    if feedback == "outcome" or not checked.why:
        return WRONG
    tells = answer is not None and re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", checked.why)
    return WRONG if tells else checked.why
