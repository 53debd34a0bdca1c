"""What judges of steps share: which attempts they look at, and where the steps are."""

from __future__ import annotations

from typing import Any

from askesis.errors import ConfigError
from askesis.records import Attempt, StopReason
from askesis.steps import Span, steps_of


def cut(ctx: Any, attempt: Attempt, separators: str, role: str) -> tuple[Span, ...]:
    """The steps of what `role` said; () where the attempt failed or nothing was said."""
    if attempt.stop is StopReason.FAILED:
        return ()
    return steps_of(attempt, lambda tokens: str(ctx.decode(role, tokens)), separators, role)


def why_none(attempt: Attempt) -> str:
    """Why an attempt has no steps."""
    if attempt.stop is StopReason.FAILED:
        return attempt.error or "the attempt failed"
    return "nothing was said"


def must_be_one_turn(attempt: Attempt, spans: tuple[Span, ...], kind: str) -> None:
    """Raises ConfigError where steps are in several turns, between which others speak."""
    if len({turn for turn, _, _ in spans}) > 1:
        raise ConfigError(
            f"{kind} goes on from the middle of an answer, which must be one turn",
            found=f"attempt {attempt.id} with several",
            hint="judge walks and dialogues with judge.steps.siblings or judge.steps.head",
        )
