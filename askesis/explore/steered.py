"""Attempts at temperatures that the round hands over: what a controller tries and then chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from askesis.explore.sample import SampleAttempts, attempt_of
from askesis.records import Attempt, Purpose, Start
from askesis.requests import All, Sampling


@dataclass(frozen=True, kw_only=True)
class SteeredAttempts(SampleAttempts):
    """`SampleAttempts` at the temperatures that the round gives as the input `temperatures`.

    num_attempts: attempts at each start *and temperature*, at least 1.
    temperature: where the round gives none. A turn says at which temperature it was drawn.
    top_k, top_p, min_p, max_tokens: as `SampleAttempts`. role: who speaks.

    With the input `probing` what is said counts as tried out (`Purpose.PROBE`), in the run's tokens
    and in the attempts themselves. Notes the temperature where it is one.
    """

    num_attempts: int = 8
    temperature: float = field(default=1.0, metadata={"lazy": True})

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        temperatures: Sequence[float] = ctx.inputs.get("temperatures") or (self.temperature,)
        purpose = Purpose.PROBE if ctx.inputs.get("probing") else ctx.purpose
        if len(temperatures) == 1:
            ctx.note("temperature", temperatures[0])
        drawn = [
            Sampling(temperature, self.top_k, self.top_p, self.min_p, self.max_tokens)
            for temperature in temperatures
            for _ in range(self.num_attempts)
        ]
        asked = [ctx.say(self.role, start, attempt=i, sampling=s) for i, s in enumerate(drawn)]
        said = await All([replace(request, purpose=purpose) for request in asked])
        made = [attempt_of(ctx, start, i, turn) for i, turn in enumerate(said)]
        return [replace(attempt, purpose=purpose) for attempt in made]
