"""The world's own verifier as a judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import AskesisError
from askesis.records import About, Attempt, Group, StopReason, Verdict, VerdictKind
from askesis.requests import All


@dataclass(frozen=True, slots=True)
class _Raised:
    """An exception as a value: as itself it would end all of a group's checks."""

    error: Exception


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Scores every attempt's last words with the world it came from: an outcome in [0, 1].

    An attempt that failed or said nothing gets 0 without asking. One that was cut off is judged
    by what is there. Where the world raises on one answer, that verdict is unknown and says why;
    where it raises on all answers of a group, the world is at fault and the error goes up.
    Verdicts are signed "verifier:<world id>", the world's id carrying its version.
    """

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        found = await All([self._one(ctx, attempt) for attempt in group.attempts])
        raised = [f.error for f in found if isinstance(f, _Raised)]
        if raised and len(raised) == len(found):
            raise raised[0]
        return [
            _verdict(ctx, attempt, None, f"{type(value.error).__name__}: {value.error}")
            if isinstance(value, _Raised)
            else value
            for attempt, value in zip(group.attempts, found, strict=True)
        ]

    async def _one(self, ctx: Any, attempt: Attempt) -> Verdict | _Raised:
        """A verdict, or what was raised as a value, so that siblings go on."""
        if attempt.stop is StopReason.FAILED:
            return _verdict(ctx, attempt, 0.0, attempt.error or "the attempt failed")
        if not attempt.text:
            return _verdict(ctx, attempt, 0.0, "nothing was said")
        try:
            checked = await ctx.check(attempt.task, attempt.text)
        except AskesisError:
            raise  # a mistake of the configuration, such as truth where none may be used
        except Exception as error:
            return _Raised(error)
        return _verdict(ctx, attempt, float(checked.score), checked.why)


def _verdict(ctx: Any, attempt: Attempt, value: float | None, why: str) -> Verdict:
    judge = f"verifier:{attempt.task.family}"
    return Verdict(judge, About(attempt.id), VerdictKind.OUTCOME, value, rationale=why)
