"""Reward against distance from the first policy: the hump, and where its top is. numpy, float64.

What is optimised rises with the distance d; the truth rises, turns and falls. Two published shapes
of the truth, both linear in their coefficients and so fitted by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, nan, sqrt
from typing import Literal, get_args

import numpy as np
from scipy.special import stdtrit

from askesis.formulas.finite import finite
from askesis.formulas.intervals import Estimate

Form = Literal["log", "square"]
FORMS: tuple[str, ...] = get_args(Form)


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted hump. `a`, `b`, `start` with intervals; `peak` is the distance of its top.

    peak.value is NaN where the fit does not turn (b or a not above 0); peak.high is infinite
    where b is not shown to be above 0: the points do not say that there is a top. residual: the
    spread of the points about the curve. num: points.
    """

    form: str
    a: Estimate
    b: Estimate
    start: Estimate
    peak: Estimate
    residual: float
    num: int

    def at(self, distance: float) -> float:
        """The fitted reward at a distance."""
        return self.start.value + hump(distance, self.a.value, self.b.value, self.form)

    @property
    def turns(self) -> bool:
        """Whether the points show a top: both coefficients' intervals are above 0."""
        return self.a.low > 0 and self.b.low > 0


def hump(distance: float, a: float, b: float, form: str = "log") -> float:
    """The gain in reward at a distance from the first policy.

        log:     R(d) = d ( A - B log d )        policy gradients and direct alignment
        square:  R(d) = d ( A - B d )            best of n

    distance: d = sqrt(KL(pi || first policy)), at least 0. a, b: A, B. R(0) = 0. Sources: Gao et
    al. 2023, "Scaling Laws for Reward Model Overoptimization", equations 1 and 2 (best of n and
    reinforcement learning); Rafailov et al. 2024, "Scaling Laws for Reward Model Overoptimization
    in Direct Alignment Algorithms", card [157], which refits the first with win rates.

    >>> hump(1.0, 2.0, 1.0), hump(1.0, 2.0, 1.0, "square"), hump(0.0, 2.0, 1.0)
    (2.0, 1.0, 0.0)
    """
    _check(form)
    if distance < 0:
        raise ValueError(f"a distance is at least 0, not {distance}")
    if distance == 0:
        return 0.0
    return distance * (a - b * (log(distance) if form == "log" else distance))


def peak_distance(a: float, b: float, form: str = "log") -> float:
    """Where the hump's top is; NaN where it has none.

        log:  d* = exp(A / B - 1)        square:  d* = A / (2 B)

    a, b: A, B; without b above 0 the curve does not turn (for "square" without a above 0 either).
    Source: the derivative of `hump`; card [157].

    >>> round(peak_distance(2.0, 1.0), 4), peak_distance(2.0, 1.0, "square")
    (2.7183, 1.0)
    """
    _check(form)
    if not b > 0 or (form == "square" and not a > 0):
        return nan
    return _top(a / b, form)


def fit_law(
    distances: Sequence[float],
    rewards: Sequence[float],
    *,
    form: str = "log",
    start: float | None = None,
    confidence: float = 0.95,
) -> Law:
    """The hump through points, by least squares, with intervals.

        minimise  sum_i ( r_i - R_0 - R(d_i) )^2

    distances: d_i, (n,), at least 0. rewards: r_i, (n,). start: R_0, the reward of the first
    policy; None fits it as well. Intervals are Student's with n minus the number of coefficients
    as degrees of freedom, that of the peak is Fieller's for the ratio A / B. All is NaN or infinite
    where there are too few points. Rounds of one run are not independent, so the intervals are
    narrower than the truth; they are a guide to when there is nothing to see.
    Sources: as `hump`; Fieller 1954, "Some Problems in Interval Estimation".

    >>> d = [0.5, 1.0, 2.0, 4.0, 6.0]
    >>> law = fit_law(d, [0.3 + hump(x, 2.0, 1.0) for x in d])
    >>> [round(e.value, 4) for e in (law.a, law.b, law.start, law.peak)]
    [2.0, 1.0, 0.3, 2.7183]
    """
    _check(form)
    d = finite("distances", distances)
    r = finite("rewards", rewards)
    if d.shape != r.shape or d.ndim != 1:
        raise ValueError(f"distances and rewards are two rows, got {d.shape} and {r.shape}")
    if len(d) and d.min() < 0:
        raise ValueError(f"a distance is at least 0, not {d.min()}")
    bend = np.where(d > 0, d * np.log(np.where(d > 0, d, 1.0)), 0.0) if form == "log" else d * d
    columns = [d, -bend] + ([np.ones_like(d)] if start is None else [])
    design = np.stack(columns, 1)
    aim = r if start is None else r - start
    nothing = Estimate(nan, -inf, inf)
    if len(d) < design.shape[1] or np.linalg.matrix_rank(design) < design.shape[1]:
        known = nothing if start is None else Estimate(start, start, start)
        return Law(form, nothing, nothing, known, Estimate(nan, 0.0, inf), nan, len(d))
    found = np.linalg.lstsq(design, aim, rcond=None)[0]
    free = len(d) - design.shape[1]
    error = float(((aim - design @ found) ** 2).sum())
    variance = error / free if free else inf
    inverse = np.linalg.inv(design.T @ design)
    quantile = float(stdtrit(free, 0.5 + confidence / 2)) if free else inf
    half = [quantile * sqrt(variance * v) if free else inf for v in np.diag(inverse)]
    each = [
        Estimate(float(x), float(x) - h, float(x) + h) for x, h in zip(found, half, strict=True)
    ]
    a, b = each[0], each[1]
    first = each[2] if start is None else Estimate(start, start, start)
    low, high = _fieller(a.value, b.value, quantile**2 * variance * inverse[:2, :2]) if free else (
        -inf, inf)  # fmt: skip
    top = peak_distance(a.value, b.value, form)
    peak = Estimate(top, _top(low, form), _top(high, form))
    return Law(form, a, b, first, peak, sqrt(variance) if free else nan, len(d))


def _top(ratio: float, form: str) -> float:
    """The top of a hump with this A / B."""
    if form == "log":
        return exp(min(ratio - 1, 700.0)) if ratio < inf else inf
    return max(0.0, ratio / 2)


def _fieller(a: float, b: float, spread: np.ndarray) -> tuple[float, float]:
    """Ends of the interval of a / b; spread: t^2 times the covariance of both. Infinite where b
    is not shown to be above 0."""
    square = b * b - spread[1, 1]
    if not (b > 0 and square > 0):
        return -inf, inf
    mixed = a * b - spread[0, 1]
    root = sqrt(max(0.0, mixed * mixed - square * (a * a - spread[0, 0])))
    return float((mixed - root) / square), float((mixed + root) / square)


def _check(form: str) -> None:
    if form not in FORMS:
        raise ValueError(f"form is one of {', '.join(FORMS)}, not {form!r}")
