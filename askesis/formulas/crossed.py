"""Means over seeds and tasks at once: every seed meets every task.

Seeds and tasks are both samples, of runs that could have been and of tasks that could have been
asked. An interval over seeds alone is about these tasks, one over tasks alone is about these runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, nan, sqrt

import numpy as np
from scipy.special import stdtrit

from askesis.formulas.intervals import Estimate


def crossed_mean(scores: np.ndarray, confidence: float = 0.95) -> Estimate:
    """The mean of a table of seeds by tasks, with an interval over both.

        x_st = m + a_s + b_t + e_st
        MS_S = T var(means of seeds),  MS_T = S var(means of tasks),
        MS_E = sum of (x_st - mean_s - mean_t + mean)^2 / ((S-1)(T-1))
        var(mean) = (MS_S + MS_T - MS_E) / (S T),   and at least max(MS_S, MS_T) / (S T)

    scores: (S, T) float, finite. The degrees of freedom are Satterthwaite's,

        df = (MS_S + MS_T - MS_E)^2 / ( MS_S^2/(S-1) + MS_T^2/(T-1) + MS_E^2/((S-1)(T-1)) )

    between 1 and the S-1 + T-1 there are. With one seed or one task the interval is infinite: what
    another one would have given cannot be known from one.
    Source: random effects of two crossed factors, e.g. Searle, Casella, McCulloch 1992, *Variance
    Components*, section 4.3; Satterthwaite 1946.

    >>> found = crossed_mean(np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))
    >>> round(found.value, 4), round(found.low, 4), round(found.high, 4)
    (0.5556, -0.7471, 1.8583)
    """
    x = np.asarray(scores, float)
    if x.ndim != 2 or not x.size:
        return Estimate(nan, nan, nan)
    num_seeds, num_tasks = x.shape
    mean = float(x.mean())
    if num_seeds < 2 or num_tasks < 2:
        return Estimate(mean, -inf, inf)
    by_seed, by_task = x.mean(1), x.mean(0)
    residual = x - by_seed[:, None] - by_task[None, :] + mean
    of_seeds = num_tasks * float(by_seed.var(ddof=1))
    of_tasks = num_seeds * float(by_task.var(ddof=1))
    of_rest = float((residual**2).sum()) / ((num_seeds - 1) * (num_tasks - 1))
    total = max(of_seeds + of_tasks - of_rest, of_seeds, of_tasks)
    if total <= 0:
        return Estimate(mean, mean, mean)
    spread = of_seeds**2 / (num_seeds - 1) + of_tasks**2 / (num_tasks - 1)
    spread += of_rest**2 / ((num_seeds - 1) * (num_tasks - 1))
    free = min(max(total**2 / spread, 1.0), num_seeds + num_tasks - 2.0)
    half = float(stdtrit(free, 0.5 + confidence / 2)) * sqrt(total / (num_seeds * num_tasks))
    return Estimate(mean, mean - half, mean + half)


def crossed_difference(first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Estimate:
    """How much larger `second` is than `first`, where row s of both met the same tasks.

    first, second: (S, T). Tasks are paired; seeds are paired where the two shared what a seed
    decides, and otherwise the pairing costs nothing. Raises ValueError for unequal shapes.

    >>> a = np.zeros((3, 4)); b = np.array([[0.2] * 4, [0.4] * 4, [0.6] * 4])
    >>> found = crossed_difference(a, b)
    >>> round(found.value, 3), round(found.low, 3)
    (0.4, -0.097)
    """
    if first.shape != second.shape:
        raise ValueError(f"pairs need equal shapes, got {first.shape} and {second.shape}")
    return crossed_mean(np.asarray(second, float) - np.asarray(first, float), confidence)


def probability_of_improvement(
    first: Sequence[float],
    second: Sequence[float],
    rng: np.random.Generator,
    num_draws: int = 2000,
    confidence: float = 0.95,
) -> Estimate:
    """How probable it is that a run of `second` ends higher than a run of `first`.

        P = mean over i, j of  [ second_j > first_i ] + 1/2 [ second_j = first_i ]

    first, second: one figure a seed. The interval is a percentile bootstrap that draws seeds of
    each anew; with few seeds it is rough (five seeds separated entirely give 1 without width).
    Source: Agarwal et al. 2021, "Deep RL at the Edge of the Statistical Precipice", section 4.3.

    >>> probability_of_improvement([1, 2], [2, 3], np.random.default_rng(0)).value
    0.875
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if not len(a) or not len(b):
        return Estimate(nan, nan, nan)
    wins = (b[None, :] > a[:, None]) + 0.5 * (b[None, :] == a[:, None])
    rows = rng.integers(len(a), size=(num_draws, len(a)))
    columns = rng.integers(len(b), size=(num_draws, len(b)))
    draws = np.array([wins[np.ix_(i, j)].mean() for i, j in zip(rows, columns, strict=True)])
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(float(wins.mean()), float(low), float(high))


def performance_profile(
    runs: Mapping[str, Sequence[float]],
    thresholds: Sequence[float],
    rng: np.random.Generator,
    num_draws: int = 2000,
    confidence: float = 0.95,
) -> list[Estimate]:
    """The share of runs that ended above each threshold, every world counting alike.

        F(t) = mean over worlds of mean over seeds of [ x > t ]

    runs: world -> one figure a seed. thresholds: ascending. The band draws seeds anew within each
    world (stratified bootstrap). One estimate a threshold.
    Source: Agarwal et al. 2021, section 4.2, after the performance profiles of Dolan and More 2002.

    >>> found = performance_profile({"w": [0.1, 0.3]}, [0.0, 0.2], np.random.default_rng(0))
    >>> [round(e.value, 2) for e in found]
    [1.0, 0.5]
    """
    marks = np.asarray(thresholds, float)
    above = {w: (np.asarray(x, float)[:, None] > marks[None, :]) for w, x in runs.items() if len(x)}
    if not above:
        return [Estimate(nan, nan, nan) for _ in marks]
    value = np.mean([a.mean(0) for a in above.values()], axis=0)
    draws = np.zeros((num_draws, len(marks)))
    for a in above.values():
        chosen = rng.integers(len(a), size=(num_draws, len(a)))
        draws += a[chosen].mean(1) / len(above)
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    found = zip(value, low, high, strict=True)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in found]
