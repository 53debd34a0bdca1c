"""What committed rounds noted, as series that alarms look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

HALF_WIDTH = 1.96  # standard errors in half of a 95 % interval
ENDS = ("/low", "/high")
MAD = 1.4826  # median absolute deviation to standard deviation, under a normal distribution
MIN_FOR_JITTER = 5  # points before the jitter of a series is believed
HUGE = 1e100  # whatever is larger is no measurement; its square would be infinite
MEMORY = 256  # newest points of a metric that are looked at, so that long runs stay cheap


@dataclass(frozen=True, slots=True)
class Series:
    """One metric over the rounds in which it is known: three arrays of one length.

    rounds: from 0, rising. values: finite. errors: the standard error of each value; NaN where
    nothing is known of it.
    """

    rounds: np.ndarray
    values: np.ndarray
    errors: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


class History:
    """Rounds in order, as metrics by key. Alarms read it and never change it.

    A key that is missing, not finite or absurd (HUGE) in a round is not known in that round. Of
    every metric the newest MEMORY points are kept.
    """

    def __init__(self, rows: Sequence[tuple[int, str, Mapping[str, float]]] = ()) -> None:
        self.phase, self.last_round, self.num_rounds = "", -1, 0
        self._phase_began = 0
        self._points: dict[str, list[tuple[int, float, float]]] = {}
        for row in rows:
            self.add(*row)

    def add(self, round: int, phase: str, metrics: Mapping[str, float]) -> None:
        """Append a round; a name that differs from the last one begins a phase."""
        if phase != self.phase or not self.num_rounds:
            self.phase, self._phase_began = phase, round
        self.last_round, self.num_rounds = round, self.num_rounds + 1
        for key, value in metrics.items():
            if abs(value) < HUGE and not key.endswith(ENDS):
                error = standard_error(value, metrics.get(f"{key}/low"), metrics.get(f"{key}/high"))
                points = self._points.setdefault(key, [])
                points.append((round, float(value), error))
                if len(points) == 2 * MEMORY:
                    del points[:MEMORY]

    def series(self, key: str, *, all_phases: bool = False) -> Series:
        """A metric in the present phase, or since the run began. Empty where nothing noted it."""
        points = self._points.get(key, [])[-MEMORY:]
        made = np.asarray(points, float).reshape(len(points), 3)
        if not all_phases:
            made = made[np.searchsorted(made[:, 0], self._phase_began) :]
        return Series(made[:, 0].astype(int), made[:, 1], made[:, 2])

    def first_of(self, keys: Sequence[str]) -> str:
        """The first of some patterns that the present phase noted; "" where none is."""
        for pattern in keys:
            for key in self.matching((pattern,)):
                if self._points[key][-1][0] >= self._phase_began:
                    return key
        return ""

    def matching(self, patterns: Sequence[str]) -> list[str]:
        """Every key that was ever noted and fits a pattern; `*` stands for anything."""
        plain = [p for p in patterns if "*" not in p and p in self._points]
        wild = [p for p in patterns if "*" in p]
        found = [k for k in self._points if any(fnmatchcase(k, p) for p in wild)] if wild else []
        return list(dict.fromkeys([*plain, *found]))

    def now(self, key: str) -> float | None:
        """A metric in the last round; None where that round did not note it."""
        points = self._points.get(key)
        return points[-1][1] if points and points[-1][0] == self.last_round else None


def standard_error(value: float, low: float | None, high: float | None) -> float:
    """What a 95 % interval says of its value; NaN where there is no interval.

    The wider side counts: an interval that ends at 0 or 1 was cut off there.
    """
    if low is None or high is None:
        return math.nan
    half = max(float(high) - value, value - float(low))
    return half / HALF_WIDTH if 0 <= half < HUGE else math.nan


def spread(values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The standard deviation of each point around the curve it lies on.

    The larger of what its interval says and of how much points lie off the line between their
    neighbours (median absolute second difference: neither a steady change nor one jump counts as
    noise): training jitters by more than measuring does. Points without an interval count like
    the others; NaN where nothing is known.
    """
    known = np.isfinite(errors)
    if not known.all():
        errors = np.where(known, errors, np.median(errors[known]) if known.any() else np.nan)
    if len(values) < MIN_FOR_JITTER:
        return errors
    bends = np.sort(np.abs(values[2:] - 2 * values[1:-1] + values[:-2]))
    half = len(bends) // 2
    jitter = MAD * float(bends[half] + bends[-half - 1]) / 2 / math.sqrt(6)
    return np.fmax(errors, jitter)
