"""What a place is worth by a judge of attempts: an outcome or process reward model that leads a
search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from askesis.context import Verdicts
from askesis.errors import must_fit
from askesis.records import Attempt, Group, StopReason
from askesis.search.grown import Grown
from askesis.search.place import Found, Place


@dataclass(frozen=True, kw_only=True)
class ByJudge:
    """What a judge of attempts says of what was said so far, as if the attempt ended there.

    judge: any judge that needs no truth, above all one of steps made an outcome (`Aggregated`). It
        sees the places of one call as one group.
    unknown: what a place is worth that the judge does not know, such as the root, where nothing was
        said; a finite number.

    Sources: tree-of-thought and best-of-n by a process reward model, cards [0] and [133].
    """

    judge: Any
    unknown: float = 0.0

    def __post_init__(self) -> None:
        limits = {
            "judge": (hasattr(self.judge, "judge"), "a judge"),
            "unknown": (abs(self.unknown) < float("inf"), "a finite number"),
        }
        must_fit(self, limits)

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        grown.spent.judged += len(places)
        start, purpose = grown.start, grown.ctx.purpose
        said = tuple(
            Attempt(
                f"{grown.ctx.attempt_id(start, i)}~{place.name}",
                start,
                place.turns,
                place.stop or StopReason.OPEN,
                purpose=purpose,
            )
            for i, place in enumerate(places)
        )
        verdicts = Verdicts(await self.judge.judge(grown.ctx, Group(start.key, said)))
        numbers = [verdicts.value(attempt, self.unknown) for attempt in said]
        return [Found(p, float(n or 0.0)) for p, n in zip(places, numbers, strict=True)]
