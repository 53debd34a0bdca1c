"""The plainest explorer: several independent attempts at each start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import ConfigError
from askesis.records import Attempt, Start, Turn
from askesis.requests import All, Sampling


@dataclass(frozen=True, kw_only=True)
class SampleAttempts:
    """`num_attempts` answers of one turn each.

    num_attempts: attempts at each start, at least 1; 8 gives most groups something to compare.
    temperature: at least 0; 0 is greedy and makes all attempts alike; 1 is the model itself.
    top_k: only the k likeliest tokens (0: all). top_p: only the likeliest tokens that make up
        this share, in (0, 1]. min_p: only tokens with at least this share of the likeliest one's
        probability, in [0, 1).
    max_tokens: new tokens an attempt may have (None: the world's own allowance).
    role: who speaks.
    """

    num_attempts: int = 8
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    max_tokens: int | None = None
    role: str = "policy"

    def __post_init__(self) -> None:
        check_sampling(self)

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        sampling = Sampling(self.temperature, self.top_k, self.top_p, self.min_p, self.max_tokens)
        said = await All(
            [
                ctx.say(self.role, start, attempt=i, sampling=sampling)
                for i in range(self.num_attempts)
            ]
        )
        return [attempt_of(ctx, start, i, turn) for i, turn in enumerate(said)]


def attempt_of(
    ctx: Any, start: Start, index: int, turn: Turn, parents: tuple[str, ...] = ()
) -> Attempt:
    """One turn as a finished attempt, stopped where the turn stopped."""
    return Attempt(
        ctx.attempt_id(start, index),
        start,
        (turn,),
        turn.stop,
        author=turn.speaker,
        parents=parents,
    )


def check_sampling(part: Any) -> None:
    """Raises ConfigError for sampling options of a part that no sampler can serve."""
    name = type(part).__name__
    limits: dict[str, tuple[bool, str]] = {
        "num_attempts": (getattr(part, "num_attempts", 1) >= 1, "at least 1"),
        "temperature": (0 <= part.temperature < float("inf"), "at least 0"),
        "top_p": (0 < getattr(part, "top_p", 1.0) <= 1, "in (0, 1]"),
        "top_k": (getattr(part, "top_k", 0) >= 0, "at least 0"),
        "min_p": (0 <= getattr(part, "min_p", 0.0) < 1, "in [0, 1)"),
        "max_tokens": (part.max_tokens is None or part.max_tokens >= 1, "at least 1, or none"),
    }
    for field_name, (fits, expected) in limits.items():
        if not fits:
            raise ConfigError(
                f"{name}.{field_name} is out of range",
                expected=expected,
                found=repr(getattr(part, field_name)),
            )
