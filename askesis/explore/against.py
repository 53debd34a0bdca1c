"""Attempts of the policy beside attempts of an opponent, to be compared with each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import ConfigError
from askesis.explore.sample import attempt_of, check_sampling
from askesis.records import Attempt, Start
from askesis.requests import All, Sampling


@dataclass(frozen=True, kw_only=True)
class Against:
    """`num_attempts` answers of the policy and as many of an opponent, in one group.

    num_attempts: of each, at least 1.
    temperature, top_p, max_tokens: as `SampleAttempts`, for both.
    role: who learns. opponent: whom it is compared with; in Nash-MD a mixture of the policy and its
        reference, or the policy itself as it was on average.
    snapshot: of the opponent ("average", "previous", a kept tag); "" for the role's own.

    The policy's attempts come first. What the opponent said stands in turns of its own role, so
    nothing of it is learnt.
    """

    num_attempts: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    role: str = "policy"
    opponent: str = "opponent"
    snapshot: str = ""

    def __post_init__(self) -> None:
        check_sampling(self)
        if self.role == self.opponent:
            raise ConfigError(
                "Against.opponent must be another role than the one that learns",
                found=repr(self.opponent),
                hint="to compare attempts of one role use SampleAttempts",
            )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        sides = ((self.role, ""), (self.opponent, self.snapshot))
        speakers = [side for side in sides for _ in range(self.num_attempts)]
        said = await All(
            [
                ctx.say(role, start, attempt=i, sampling=sampling, snapshot=snapshot)
                for i, (role, snapshot) in enumerate(speakers)
            ]
        )
        return [attempt_of(ctx, start, i, turn) for i, turn in enumerate(said)]
