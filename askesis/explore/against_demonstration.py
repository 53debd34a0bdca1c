"""The model's own answers beside a demonstration: what self-play on supervised data compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.explore.demonstrate import Demonstrate
from askesis.explore.sample import attempt_of, check_sampling
from askesis.records import Attempt, Start
from askesis.requests import All, Sampling


@dataclass(frozen=True, kw_only=True)
class AgainstDemonstration:
    """One demonstration and `num_attempts` answers of the model, in one group.

    num_attempts: the model's own answers, at least 1.
    temperature, top_p, max_tokens: as `SampleAttempts`, of the model's answers.
    habit: of the demonstrator, as `Demonstrate`.
    role: who learns; also whose turn the demonstration is written as.
    snapshot: of the opponent, who says the model's answers; "" is the model as it is now, which the
        learner has as its reference under the name "previous".

    The demonstration comes first. Source: Chen et al. 2024, SPIN, card [28].
    """

    num_attempts: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    habit: str = "plain"
    role: str = "policy"
    snapshot: str = ""

    def __post_init__(self) -> None:
        check_sampling(self)

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        shown = await Demonstrate(habit=self.habit, role=self.role).explore(ctx, start)
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        places = range(len(shown), len(shown) + self.num_attempts)
        said = await All(
            [
                ctx.say(self.role, start, attempt=i, sampling=sampling, snapshot=self.snapshot)
                for i in places
            ]
        )
        own = [attempt_of(ctx, start, i, turn) for i, turn in zip(places, said, strict=True)]
        return [*shown, *own]
