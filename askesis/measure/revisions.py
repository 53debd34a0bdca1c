"""What self-correction can do now: fresh *decide* tasks, answered and answered again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from askesis.errors import must_fit
from askesis.measure.attempts import own_turns
from askesis.measure.correction import Corrected, correction_figures
from askesis.protocols import Metrics
from askesis.records import Start, StopReason, TaskRole
from askesis.requests import All


@dataclass(frozen=True, kw_only=True)
class Revisions:
    """Accuracy turn by turn, and what correction costs, on freshly drawn *decide* tasks.

    explore: the explorer that answers and answers again (`SelfCorrect`), as it shall be used: with
        more turns than it was trained for, with a window. Without the oracle that stops at a right
        answer, unless figures with an oracle are wanted.
    num_tasks: tasks per measurement, at least 2.
    difficulty: in [0, 1], or None for the world's own spread.
    threshold: a score of at least this is right, in (0, 1].
    world, role: on which world, and whose turns are answers.

    The figures are `Correction`'s with "fresh/" in front. Those are of the round's own attempts,
    which a recipe may have stopped, picked or drawn from the middle; these are not. Attempts at a
    task vote at equal tokens, so the explorer should make as many as a whole attempt costs first
    answers. Attempts count outside the run's budget.
    """

    explore: Any
    num_tasks: int = 64
    difficulty: float | None = None
    threshold: float = 1.0
    world: str = "main"
    role: str = "policy"

    def __post_init__(self) -> None:
        limits = {
            "explore": (hasattr(self.explore, "explore"), "an explorer"),
            "num_tasks": (self.num_tasks >= 2, "at least 2"),
            "difficulty": (
                self.difficulty is None or 0 <= self.difficulty <= 1,
                "in [0, 1], or none",
            ),
            "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
        }
        must_fit(self, limits)

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. TruthError in a run without truth."""
        tasks = ctx.draw(
            TaskRole.DECIDE, self.num_tasks, world=self.world, difficulty=self.difficulty
        )
        starts = [Start(task, copy=i) for i, task in enumerate(tasks)]  # a task may come twice
        made = revised(ctx, self.explore, starts, self.role, self.threshold)
        return {f"fresh/{key}": value for key, value in correction_figures(made).items()}


def revised(
    ctx: Any, explorer: Any, starts: Sequence[Start], role: str, threshold: float
) -> list[list[Corrected]]:
    """Attempts of an explorer at each start, verified turn by turn; starts that fail are left out.
    Raises what the first one raised where all fail."""

    async def one(start: Start) -> list[Corrected]:
        made = []
        for attempt in await explorer.explore(ctx, start):
            said = own_turns(attempt, role)
            if attempt.stop is StopReason.FAILED or not said or attempt.start.prefix:
                continue
            found = await All([ctx.check(attempt.task, turn.text) for turn in said])
            made.append(
                Corrected(
                    tuple(c.score >= threshold for c in found),
                    tuple(c.answer for c in found),
                    len(said[0].tokens),
                    attempt.num_tokens,
                )
            )
        return made

    outcomes = ctx.run([lambda start=start: one(start) for start in starts])
    errors = [o.error for o in outcomes if o.error is not None]
    if errors and len(errors) == len(outcomes):
        raise errors[0]
    return [o.value for o in outcomes if o.error is None and o.value]
