"""Means over neighbouring rounds and how far apart two of them are, in standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from askesis.measure.alarms.history import Series, spread

FLOOR = 1e-3  # no mean of fractions is known better than this
SIZES = (1, 2, 4, 8)  # a jump is seen in one measurement, a slow change in the mean of many


@dataclass(frozen=True, slots=True)
class Changes:
    """How far the newest window is from each earlier one of its size that does not overlap it.

    Four arrays of one length, over all sizes: difference and standard error, the mean it was, and
    the round in which the earlier window ends.
    """

    differences: np.ndarray
    errors: np.ndarray
    before: np.ndarray
    rounds: np.ndarray


def changes(series: Series, sizes: Sequence[int]) -> Changes:
    """All comparisons of a series with its past. Empty with fewer points than two windows."""
    found: list[tuple[np.ndarray, ...]] = [(np.empty(0),) * 4]
    for size in sizes:
        if len(series) < 2 * size:
            continue
        means, errors = windows(series, size)
        before = means[:-size]
        spread = np.hypot(errors[-1], errors[:-size])
        found.append((means[-1] - before, spread, before, series.rounds[size - 1 : -size]))
    return Changes(*(np.concatenate(column) for column in zip(*found, strict=True)))


def windows(series: Series, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The means of every `size` neighbouring points and their standard errors, oldest first.

    Both are empty with fewer points. An error is NaN where nothing is known of it.
    """
    if len(series) < size:
        return np.empty(0), np.empty(0)
    deviations = spread(series.values, series.errors)
    ones = np.ones(size) / size
    means = np.convolve(series.values, ones, "valid")
    variances = np.convolve(deviations**2, ones, "valid") / size
    return means, np.maximum(np.sqrt(variances), FLOOR)


def together(proxy: Series, truth: Series) -> tuple[Series, Series]:
    """Both at the rounds in which the truth was measured, the first one left out if nothing of
    the proxy is known by then. The proxy is the mean over the rounds since the last measurement.
    """
    ends = np.searchsorted(proxy.rounds, truth.rounds, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    kept = ends > starts
    starts, ends = starts[kept], ends[kept]
    sizes = ends - starts
    sums = np.concatenate([[0.0], np.cumsum(proxy.values)])
    squares = np.concatenate([[0.0], np.cumsum(spread(proxy.values, proxy.errors) ** 2)])
    means = (sums[ends] - sums[starts]) / sizes
    errors = np.sqrt(squares[ends] - squares[starts]) / sizes
    rounds = truth.rounds[kept]
    return (
        Series(rounds, means, errors),
        Series(rounds, truth.values[kept], truth.errors[kept]),
    )
