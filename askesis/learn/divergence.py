"""When to stop: updates that are refused one after another, or a loss that has exploded."""

from __future__ import annotations

from collections import deque
from statistics import fmean
from typing import Any

from askesis.errors import ModelError

REFUSED = 5  # updates in a row that were not finite; a single one is an accident
GROWTH = 100.0  # how often 1 + |first loss| a loss may be; the worst honest ones are far below
LATELY = 4  # updates whose mean loss is looked at


class LearningDiverged(ModelError):
    """Learning runs away: what the model says now is worthless, if it says anything.

    Raised in the middle of a round, so the round is never committed; a run closes a segment with
    the weights it had before (`askesis.run`). model: whose learning it was. learning_rate: one to
    try instead, None where the learner does not know.
    """

    def __init__(
        self,
        model: str,
        found: str,
        learning_rate: float | None = None,
        *,
        kept: str = "what was committed before it has the last good weights",
        hint: str = "",
    ) -> None:
        self.model, self.learning_rate = model, learning_rate
        lower = "RATE, a lower one" if learning_rate is None else f"{learning_rate:.2g} or less"
        super().__init__(
            f"the learning of model {model!r} diverged in this round, which is not kept; {kept}",
            found=found,
            hint=hint or f"Fork from there with --learn.{model}.learning-rate {lower}",
        )


class Watch:
    """Looks at every update of one call of a learner and raises LearningDiverged."""

    def __init__(self, model: str, learning_rate: float) -> None:
        self.model, self.learning_rate = model, learning_rate
        self.refused = 0
        self.first: float | None = None
        self.losses: deque[float] = deque(maxlen=LATELY)

    def look(self, report: Any) -> None:
        """Raises LearningDiverged where this update's StepReport shows it."""
        if report.refused:
            self.refused += 1
            if self.refused >= REFUSED:
                self._stop(f"{self.refused} updates in a row whose {report.refused} is not finite")
            return
        self.refused = 0
        self.first = report.loss if self.first is None else self.first
        self.losses.append(report.loss)
        limit = self.first + GROWTH * (1 + abs(self.first))
        if len(self.losses) == LATELY and fmean(self.losses) > limit:
            self._stop(f"a loss that went from {self.first:.3g} to {fmean(self.losses):.3g}")

    def _stop(self, found: str) -> None:
        raise LearningDiverged(self.model, found, self.learning_rate / 3)
