"""Whether a judge puts the right ones above the wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan, sqrt

import numpy as np
from scipy.special import stdtrit

from askesis.formulas.intervals import Estimate, clustered_mean, wilson


def auroc(values: Sequence[float], right: Sequence[bool]) -> float:
    """Probability that a right attempt is valued above a wrong one, ties half.

        A = (1 / (m n)) * sum_{i right, j wrong} [ v_i > v_j ] + 0.5 [ v_i = v_j ]

    values: v, any real numbers, not NaN. right: same length, m of them true and n false. In
    [0, 1], 0.5 knows nothing; NaN where m or n is 0. Source: Hanley and McNeil 1982; equals
    `sklearn.metrics.roc_auc_score`.

    >>> auroc([0.9, 0.4, 0.4, 0.1], [True, True, False, False])
    0.875
    """
    above, _ = _placements(*_sides(values, right))
    return float(above.mean()) if len(above) else nan


def clustered_auroc(
    values: Sequence[Sequence[float]], right: Sequence[Sequence[bool]], confidence: float = 0.95
) -> Estimate:
    """AUROC over all pairs, with an interval that takes clusters (tasks) as the units.

        V10_i = mean_j psi(v_i, v_j),   V01_j = mean_i psi(v_i, v_j)        (placements)
        var = f(I10)/m^2 * sum_c X_c^2 + f(I01)/n^2 * sum_c Y_c^2 + 2 f(I)/(mn) * sum_c X_c Y_c
        X_c = sum of (V10 - A) over right ones of c,  Y_c of (V01 - A) over its wrong ones,
        f(I) = I / (I - 1)

    values, right: one sequence per cluster. I clusters, I10 of them with right, I01 with wrong
    attempts. The interval is A -+ t_{I-1} se, cut to [0, 1]; where right and wrong are wholly
    apart it has no width and Wilson's for min(m, n) cases is given. Without right or wrong ones
    the value is NaN, the interval [0, 1]. Source: Obuchowski 1997, "Nonparametric Analysis of
    Clustered ROC Curve Data"; with clusters of one it is DeLong et al. 1988.

    >>> found = clustered_auroc([[0.9, 0.1], [0.8, 0.3], [0.2, 0.6]] * 4, [[True, False]] * 12)
    >>> round(found.value, 3), round(found.low, 3), found.high
    (0.778, 0.502, 1.0)
    """
    flat = [v for cluster in values for v in cluster]
    truth = np.array([bool(r) for cluster in right for r in cluster], bool)
    owner = np.repeat(np.arange(len(values)), [len(c) for c in values])
    good, bad = _sides(flat, truth)
    m, n = len(good), len(bad)
    if not m or not n:
        return Estimate(nan, 0.0, 1.0)
    above, below = _placements(good, bad)
    value = float(above.mean())
    num = len(values)
    x = np.bincount(owner[truth], weights=above - value, minlength=num)
    y = np.bincount(owner[~truth], weights=below - value, minlength=num)
    counts = [len(set(o.tolist())) for o in (owner[truth], owner[~truth], owner)]
    if value in (0.0, 1.0):
        found = wilson(round(value * min(m, n)), min(m, n), confidence)
        return Estimate(value, min(found.low, value), max(found.high, value))
    if min(counts) < 2:
        return Estimate(value, 0.0, 1.0)
    f10, f01, f = (i / (i - 1) for i in counts)
    variance = f10 * (x @ x) / m**2 + f01 * (y @ y) / n**2 + 2 * f * (x @ y) / (m * n)
    half = float(stdtrit(counts[2] - 1, 0.5 + confidence / 2)) * sqrt(max(0.0, float(variance)))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def ranking_accuracy(
    values: Sequence[Sequence[float]], right: Sequence[Sequence[bool]], confidence: float = 0.95
) -> Estimate:
    """Share of (right, wrong) pairs of the *same task* that a judge orders rightly, ties half.

        r = mean over tasks with both kinds of  AUROC_i

    values, right: one sequence per task; tasks that are all right or all wrong have no pair and
    are left out. This is what best-of-k and preference pairs need; AUROC over all attempts also
    counts telling easy tasks from hard ones. Tasks are the units of the interval; NaN without any
    pair. Source: pairwise accuracy of reward models, e.g. card [156].

    >>> ranking_accuracy([[3.0, 1.0], [0.2, 0.9], [5.0, 5.0]], [[1, 0], [1, 0], [1, 1]]).value
    0.5
    """
    per_task = [auroc(v, r) for v, r in zip(values, right, strict=True)]
    return clustered_mean([[a] for a in per_task if not np.isnan(a)], confidence)


def ranking_gap(inside: Estimate, outside: Estimate) -> Estimate:
    """What a judge loses from the distribution it knows to another one.

        g = r_in - r_out,   half widths added in squares, each side its own

    inside, outside: `ranking_accuracy` (or `clustered_auroc`) on two sets of different tasks. A
    difference of independent estimates; above 0 the judge is worse outside. Source: the MOVER
    interval of Zou and Donner 2008 for a difference.

    >>> found = ranking_gap(Estimate(0.9, 0.86, 0.93), Estimate(0.7, 0.66, 0.74))
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.2, 0.143, 0.25)
    """
    value = inside.value - outside.value
    low = value - sqrt((inside.value - inside.low) ** 2 + (outside.high - outside.value) ** 2)
    high = value + sqrt((inside.high - inside.value) ** 2 + (outside.value - outside.low) ** 2)
    return Estimate(value, low, high)


def _sides(
    values: Sequence[float], right: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    v, r = np.asarray(values, float), np.asarray(right, bool)
    if v.shape != r.shape or v.ndim != 1:
        raise ValueError(f"one value per attempt, got {v.shape} and {r.shape}")
    if np.isnan(v).any():
        raise ValueError("a value is NaN")
    return v[r], v[~r]


def _placements(good: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each right one the share of wrong ones below it, for each wrong one the share of right
    ones above it, ties half; both empty where a side is."""
    if not len(good) or not len(bad):
        return np.zeros(0), np.zeros(0)
    ordered = np.sort(bad)
    above = np.searchsorted(ordered, good, "left") + np.searchsorted(ordered, good, "right")
    ordered = np.sort(good)
    below = np.searchsorted(ordered, bad, "left") + np.searchsorted(ordered, bad, "right")
    return above / (2 * len(bad)), 1 - below / (2 * len(good))
