"""Intervals for figures that are no plain mean of tasks; tasks (clusters) are what is independent.

A rate such as "wrong attempts that passed, of all wrong attempts" has a random denominator, and a
curve's area is no mean at all. The first gets the linearised interval of survey statistics, the
second a bootstrap that draws whole clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, nan, sqrt

import numpy as np
from scipy.special import stdtrit

from askesis.formulas.intervals import Estimate, t_interval, wilson


def mean_of_clusters(
    clusters: Sequence[Sequence[float]],
    confidence: float = 0.95,
    low: float = -inf,
    high: float = inf,
) -> Estimate:
    """The mean of cluster means, for quantities of any range (lengths, nats, counts).

        m_i = mean of cluster i,   mean of m_i  -+  t_{n-1} * s(m) / sqrt(n),   cut to [low, high]

    clusters: one sequence of numbers per task; empty ones are left out. low, high: what is possible
    at all. For scores in [0, 1] take `intervals.clustered_mean`, which keeps a width where all
    tasks agree. Source: as there.

    >>> found = mean_of_clusters([[2.0, 4.0], [5.0]], low=0.0)
    >>> found.value, found.low, round(found.high, 2)
    (4.0, 0.0, 16.71)
    """
    found = t_interval([float(np.mean(c)) for c in clusters if len(c)], confidence)
    return Estimate(found.value, max(low, found.low), min(high, found.high))


def ratio_of_sums(
    numerators: Sequence[float],
    denominators: Sequence[float],
    confidence: float = 0.95,
    low: float = 0.0,
    high: float = 1.0,
) -> Estimate:
    """A ratio whose denominator is random too, over independent clusters.

        R = sum_i y_i / sum_i x_i,   se = sqrt( n/(n-1) * sum_i (y_i - R x_i)^2 ) / sum_i x_i
        interval  R  -+  t_{n-1} * se,   cut to [low, high]

    numerators: y_i, denominators: x_i >= 0, one each per cluster; clusters with x_i = 0 say nothing
    and are left out of n. Without any left the value is NaN and the interval [low, high]. Where
    nothing varies a share (R = 0 or R = 1) gets Wilson's interval for n clusters instead of no
    width at all. Source: the ratio estimator, Cochran 1977, "Sampling Techniques", chapter 6.

    >>> found = ratio_of_sums([1, 0, 2], [2, 2, 4])
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.375, 0.0, 0.991)
    """
    y, x = np.asarray(numerators, float), np.asarray(denominators, float)
    if y.shape != x.shape or y.ndim != 1:
        raise ValueError(f"one numerator per denominator, got {y.shape} and {x.shape}")
    if (x < 0).any():
        raise ValueError("a denominator cannot be negative")
    y, x = y[x > 0], x[x > 0]
    n = len(x)
    if n == 0:
        return Estimate(nan, low, high)
    value = float(y.sum() / x.sum())
    residuals = y - value * x
    if n == 1 or not residuals.any():
        if (low, high) == (0.0, 1.0) and value in (0.0, 1.0):
            found = wilson(round(value * n), n, confidence)
            return Estimate(value, min(found.low, value), max(found.high, value))
        return Estimate(value, low, high) if n == 1 else Estimate(value, value, value)
    se = sqrt(n / (n - 1) * float((residuals**2).sum())) / float(x.sum())
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * se
    return Estimate(value, max(low, value - half), min(high, value + half))


def bootstrap_over_clusters(
    statistic: Callable[[np.ndarray], float],
    clusters: Sequence[Sequence[int]],
    rng: np.random.Generator,
    num_draws: int = 200,
    confidence: float = 0.95,
) -> Estimate:
    """Percentile bootstrap of any statistic, drawing whole clusters with replacement.

        theta* = statistic(rows of n clusters drawn with replacement),   quantiles of theta*

    statistic: from row indices, int (R,), to a number; where it gives NaN (a draw without any
    right attempt, say) the draw is left out. clusters: row indices of each cluster. The interval
    always holds the value itself. A statistic that is biased upwards in small samples (a
    calibration error) stays so here. Too narrow below about 20 clusters; with one it is infinite.
    Source: Efron and Tibshirani 1993; resampling clusters as in Field and Welsh 2007.

    >>> x = np.array([0.0, 1.0, 1.0, 4.0])
    >>> found = bootstrap_over_clusters(
    ...     lambda rows: float(np.median(x[rows])), [[0], [1], [2], [3]], np.random.default_rng(0))
    >>> found.value, found.low, found.high
    (1.0, 0.0, 4.0)
    """
    parts = [np.asarray(c, np.int64) for c in clusters if len(c)]
    if not parts:
        return Estimate(nan, nan, nan)
    value = float(statistic(np.concatenate(parts)))
    if len(parts) == 1 or np.isnan(value):
        return Estimate(value, -inf, inf)
    picks = rng.integers(len(parts), size=(num_draws, len(parts)))
    drawn = np.array([statistic(np.concatenate([parts[i] for i in pick])) for pick in picks])
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Estimate(value, -inf, inf)
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(value, min(value, float(low)), max(value, float(high)))
