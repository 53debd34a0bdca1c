"""The forecast of a run that is going on, renewed now and then, for displays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from askesis.errors import AskesisError
from askesis.lab.forecast import MIN_POINTS, forecast_words
from askesis.lab.measured_curve import USUAL, CurveRecorder, recorder_of

_GROWTH = 1.25  # a new forecast when there are so many times the points: about 30 in 1,000 rounds


class CurveFollower:
    """Listens like a watcher of runs. `words` is the newest forecast, "" while there is none.

    A forecast takes some hundredths of a second and is made at 3, 4, 5, 7, 9, 12, ... measured
    rounds, so that following costs nothing to speak of and does not depend on any clock.
    """

    def __init__(self) -> None:
        self.words = ""
        self._recorder = CurveRecorder()
        self._phase = ""
        self._due = MIN_POINTS
        self._tokens = self._attempts = 0.0

    def began(self, run: Any) -> None:
        """Take up a run; one that is resumed brings its earlier rounds."""
        store = getattr(run, "store", None)
        if store is not None:
            from askesis.lab.overview import overview

            found = overview(store.path, store)
            self._recorder = recorder_of(found)
            self._phase = found.lines[-1].phase if found.lines else ""
        self._tokens, self._attempts = _spent(run)

    def ended(self, run: Any, phase: Any, metrics: Mapping[str, float]) -> str:
        """A round ended; returns the words of a new forecast, "" where none is due."""
        if phase.name != self._phase:
            self._enter(run, phase)
        tokens, attempts = _spent(run)
        kept = {k: v for k, v in metrics.items() if any(name in k for name in USUAL)}
        self._recorder.hear(tokens - self._tokens, attempts - self._attempts, kept)
        self._tokens, self._attempts = tokens, attempts
        if max(self._recorder.num_points().values(), default=0) < self._due:
            return ""
        try:
            self.words = forecast_words(self._recorder)
        except (AskesisError, ValueError, ArithmeticError):  # a display never stops a run
            self.words = ""
        self._due = max(self._due + 1, int(self._due * _GROWTH + 0.5))
        return self.words

    def _enter(self, run: Any, phase: Any) -> None:
        limit = run.plan.budget.tokens
        left = None if limit is None else max(0.0, limit - self._tokens)
        self._recorder = CurveRecorder(run.position.total - 1, phase.until.rounds, left)
        self._phase, self._due, self.words = phase.name, MIN_POINTS, ""


def _spent(run: Any) -> tuple[float, float]:
    return run.meter.budget_tokens, run.meter.counts.get("attempts", 0.0)
