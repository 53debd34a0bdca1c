"""The sequential estimator of a learning curve's end: one power law a prefix, until they settle.

Kept beside `askesis.formulas.curve_average` as the published method to be compared with: it gives
a point and a rule to stop by, no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from askesis.formulas.curves import Array, clean_points

MIN_POINTS = 3  # a power law has three parameters
_STEEPEST = 5.0  # bound of b


@dataclass(frozen=True, slots=True)
class Level:
    """The law fitted to the points up to x: y = c - a * x^-b.

    asymptote: c. is_regular: the law rises and flattens (a > 0, b > 0). fitted: the law at x.
    """

    x: float
    asymptote: float
    a: float
    b: float
    is_regular: bool

    @property
    def fitted(self) -> float:
        return float(self.at([self.x])[0])

    def at(self, x: Sequence[float] | Array) -> Array:
        """The law at x > 0."""
        return self.asymptote - self.a * np.asarray(x, float) ** -self.b


@dataclass(frozen=True, slots=True)
class LearningTrace:
    """The laws of all prefixes of at least three points.

    working_level: position of the first law from which laws are regular; prediction_level: of the
    first one from there on whose asymptote is possible. None where there is none yet.
    """

    levels: tuple[Level, ...]
    working_level: int | None
    prediction_level: int | None

    def settled(self, threshold: float) -> int | None:
        """Position of the first law, from the prediction level on, that expects less than
        `threshold` between its present value and its asymptote; None where none does."""
        if self.prediction_level is None:
            return None
        for i in range(self.prediction_level, len(self.levels)):
            if self.levels[i].asymptote - self.levels[i].fitted < threshold:
                return i
        return None


def learning_trace(
    x: Sequence[float] | Array, y: Sequence[float] | Array, *, highest: float = 1.0
) -> LearningTrace:
    """Fit c - a * x^-b to every prefix, each after the prediction level anchored to the one before.

        min over c, a, b of  sum_{j <= i} (y_j - c + a x_j^-b)^2  [ + (c - c_{i-1})^2 ]

    x: what was spent, above 0 (points at 0 are left out: the law has no value there). y: the
    measured figure. highest: the largest asymptote that is possible. The anchor, an observation
    at infinity that repeats the previous asymptote, damps irregular points. It begins once two laws
    in a row were regular and the last asymptote is possible; anchored to an impossible one, laws
    would never come back. Raises ValueError for fewer than three points with x > 0.
    Source: Vilares, Darriba and Ribadas 2017, "Modeling of learning curves with applications to
    POS tagging", as card [155] recalls it; "two in a row" and where the anchor
    begins are our reading, and b is searched alone (c and a follow by regression).

    >>> x = np.arange(1.0, 9.0)
    >>> found = learning_trace(x, 0.9 - 0.5 / x)
    >>> found.working_level, found.prediction_level, round(found.levels[-1].asymptote, 3)
    (0, 0, 0.9)
    """
    xs, ys, _ = clean_points(x, y)
    xs, ys = xs[xs > 0], ys[xs > 0]
    if len(xs) < MIN_POINTS:
        raise ValueError(f"a power law needs {MIN_POINTS} points above x = 0, got {len(xs)}")
    unit = xs[0]
    levels: list[Level] = []
    working: int | None = None
    prediction: int | None = None
    for num in range(MIN_POINTS, len(xs) + 1):
        anchor = levels[-1].asymptote if prediction is not None else None
        levels.append(_fit(xs[:num] / unit, ys[:num], anchor, unit))
        i = len(levels) - 1
        if working is None and i >= 1 and levels[i].is_regular and levels[i - 1].is_regular:
            working = i - 1
        if working is not None and prediction is None:
            later = range(working, len(levels))
            prediction = next((j for j in later if levels[j].asymptote <= highest), None)
    return LearningTrace(tuple(levels), working, prediction)


def _fit(u: Array, y: Array, anchor: float | None, unit: float) -> Level:
    """c and a follow from b by linear regression, so that b alone is searched."""
    from scipy.optimize import minimize_scalar

    target = y if anchor is None else np.append(y, anchor)

    def linear(b: float) -> tuple[Array, float]:
        h = np.column_stack([np.ones_like(u), -(u**-b)])
        if anchor is not None:
            h = np.vstack([h, [1.0, 0.0]])
        found = np.linalg.lstsq(h, target, rcond=None)[0]
        return found, float(((h @ found - target) ** 2).sum())

    grid = np.geomspace(0.02, _STEEPEST, 12)
    losses = [linear(b)[1] for b in grid]
    i = int(np.argmin(losses))
    span = (grid[max(0, i - 1)], grid[min(len(grid) - 1, i + 1)])
    b = float(minimize_scalar(lambda v: linear(v)[1], bounds=span, method="bounded").x)
    c, a = (float(v) for v in linear(b)[0])
    return Level(float(u[-1] * unit), c, a * unit**b, b, a > 0)
