"""Shapes of learning curves: several families, each fitted by weighted least squares with bounds.

Every family is a level, a change and a shape,

    y(x) = level + change * g(x; shape),        x >= 0 spent so far, y a measured figure

so that level and change follow from the shape by linear regression and only the shape is searched.
`askesis.formulas.curve_average` weighs the families against each other; this file knows one curve
at a time. Numbers whose names end in a capital X are in units of the largest x observed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

Array = np.ndarray
LARGEST = 1e100  # what is larger is no measurement, and its square would overflow


@dataclass(frozen=True, slots=True)
class Shape:
    """One parameter of a shape: where it is looked for first, and within which bounds.

    grid and bounds: in units of the largest x observed if `is_distance`, else plain numbers.
    """

    name: str
    grid: tuple[float, ...]
    bounds: tuple[float, float]
    is_distance: bool


@dataclass(frozen=True, slots=True)
class Family:
    """A family of curves.

    basis: g(u, *shape), elementwise, u >= 0, finite; g = 0 at u = 0. has_ceiling: g runs to 1, so
    that level + change is what y tends to. is_flat: there is no change at all.
    """

    name: str
    equation: str
    shapes: tuple[Shape, ...]
    basis: Callable[..., Array]
    has_ceiling: bool = False
    is_flat: bool = False

    @property
    def num_parameters(self) -> int:
        return 1 if self.is_flat else 2 + len(self.shapes)

    def grid(self) -> list[tuple[float, ...]]:
        """Every combination of the shapes' first values."""
        return list(itertools.product(*(shape.grid for shape in self.shapes)))


def _logarithm(u: Array, s: float) -> Array:
    return np.log1p(u / s) / np.log1p(1.0 / s)


def _exponential(u: Array, s: float) -> Array:
    return -np.expm1(-u / s)


def _power(u: Array, s: float, b: float) -> Array:
    return -np.expm1(-b * np.log1p(u / s))


def _hill(u: Array, m: float, n: float) -> Array:
    with np.errstate(divide="ignore"):  # u = 0 gives 1 / (1 + inf) = 0
        return 1.0 / (1.0 + np.exp(np.minimum(700.0, n * (np.log(m) - np.log(u)))))


def _hump(u: Array, s: float) -> Array:
    return u / s * np.exp(1.0 - u / s)


_S = "s"
FAMILIES: Mapping[str, Family] = {
    f.name: f
    for f in (
        Family("constant", "y = level", (), lambda u: np.zeros_like(u), is_flat=True),
        Family("line", "y = level + change * x / X", (), lambda u: u),
        Family(
            "logarithm",
            "y = level + change * log(1 + x/s) / log(1 + X/s)",
            (Shape(_S, (0.01, 0.05, 0.2, 1.0), (0.001, 10.0), True),),
            _logarithm,
        ),
        Family(
            "exponential",
            "y = level + change * (1 - exp(-x/s))",
            (Shape(_S, (0.06, 0.12, 0.2, 0.35, 0.6, 1.0, 1.8, 3.5), (0.01, 20.0), True),),
            _exponential,
            has_ceiling=True,
        ),
        Family(
            "power",
            "y = level + change * (1 - (1 + x/s)^-b)",
            (
                Shape(_S, (0.02, 0.1, 0.5), (0.002, 10.0), True),
                Shape("b", (0.25, 0.5, 1.0, 2.0), (0.05, 5.0), False),
            ),
            _power,
            has_ceiling=True,
        ),
        Family(
            "hill",
            "y = level + change * x^n / (m^n + x^n)",
            (
                Shape("m", (0.15, 0.3, 0.6, 1.0, 1.6, 2.5), (0.02, 20.0), True),
                Shape("n", (2.0, 4.0), (1.0, 12.0), False),
            ),
            _hill,
            has_ceiling=True,
        ),
        Family(
            "hump",
            "y = level + change * (x/s) * exp(1 - x/s)",
            (Shape(_S, (0.2, 0.35, 0.6, 1.0, 1.5), (0.02, 20.0), True),),
            _hump,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class CurveFit:
    """The best curve of one family. `shape` by name, distances in the units of x.

    x_unit: X, the largest x observed. standard_errors: of level, change and the shape in that
    order, NaN where the points do not determine them. chi_square: weighted sum of squares.
    """

    family: str
    level: float
    change: float
    shape: Mapping[str, float]
    x_unit: float
    standard_errors: tuple[float, ...]
    chi_square: float
    num_points: int

    @property
    def ceiling(self) -> float:
        """What y tends to; NaN where the family has no limit."""
        return self.level + self.change if FAMILIES[self.family].has_ceiling else nan

    def at(self, x: Sequence[float] | Array) -> Array:
        """The curve at x (num,) -> (num,)."""
        family = FAMILIES[self.family]
        u = np.asarray(x, float) / self.x_unit
        given = [
            self.shape[s.name] / (self.x_unit if s.is_distance else 1.0) for s in family.shapes
        ]
        return self.level + self.change * family.basis(u, *given)


def clean_points(
    x: Sequence[float] | Array,
    y: Sequence[float] | Array,
    errors: Sequence[float] | Array | None = None,
) -> tuple[Array, Array, Array]:
    """The points that can be used, by rising x; errors that are not known become NaN.

    x: at least 0. errors: standard errors of y, at least 0. Points where x or y is not finite, or
    beyond 1e100, are left out. Raises ValueError for lengths that differ and negative x.

    >>> clean_points([2, 1, 3], [0.2, 0.1, float("nan")])
    (array([1., 2.]), array([0.1, 0.2]), array([nan, nan]))
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    es = np.full(xs.shape, nan) if errors is None else np.array(errors, float)
    if not xs.shape == ys.shape == es.shape or xs.ndim != 1:
        raise ValueError(f"x, y and errors need one length, got {xs.shape}, {ys.shape}, {es.shape}")
    es[~((es >= 0) & (es < LARGEST))] = nan
    usable = (np.abs(xs) < LARGEST) & (np.abs(ys) < LARGEST)
    xs, ys, es = xs[usable], ys[usable], es[usable]
    if (xs < 0).any():
        raise ValueError(f"x counts what was spent and cannot be negative, found {xs.min()}")
    order = np.argsort(xs, kind="stable")
    return xs[order], ys[order], es[order]


def fit_curve(
    family: str,
    x: Sequence[float] | Array,
    y: Sequence[float] | Array,
    errors: Sequence[float] | Array | None = None,
) -> CurveFit:
    """The curve of a family nearest to the points, by weighted least squares.

        min over level, change, shape of  sum_i ( (y_i - y(x_i)) / e_i )^2

    x, y, errors: (num,); errors e_i are standard errors of y. Without them all points weigh the
    same and the errors of the parameters are scaled by the residuals. The shape is looked for on
    the family's grid, then refined within its bounds (trust-region reflective, scipy). Raises
    ValueError where there are fewer points than parameters.
    Source: weighted least squares; the families are those of learning-curve studies such as Viering
    and Loog 2021, "The Shape of Learning Curves", table 1, shifted so that x = 0 is allowed.

    >>> fit = fit_curve("exponential", [0, 1, 2, 4, 8], [0.1, 0.2264, 0.2729, 0.2963, 0.2999])
    >>> round(fit.ceiling, 3), round(fit.shape["s"], 2)
    (0.3, 1.0)
    """
    made = FAMILIES[family]
    xs, ys, es = clean_points(x, y, errors)
    if len(xs) < made.num_parameters:
        raise ValueError(f"{family} needs {made.num_parameters} points, got {len(xs)}")
    known = bool(np.isfinite(es).all() and (es > 0).all())
    weights = 1.0 / es if known else np.ones(len(xs))
    unit = float(xs[-1]) or 1.0
    u = xs / unit

    def linear(shape: Sequence[float]) -> tuple[Array, Array]:
        """Level and change for a shape, and the weighted residuals."""
        columns = [np.ones_like(u)] + ([] if made.is_flat else [made.basis(u, *shape)])
        h = np.stack(columns, 1) * weights[:, None]
        found = np.linalg.lstsq(h, ys * weights, rcond=None)[0]
        return found, h @ found - ys * weights

    best = min(made.grid(), key=lambda shape: float((linear(shape)[1] ** 2).sum()))
    if made.shapes:
        from scipy.optimize import least_squares

        low, high = np.log([s.bounds for s in made.shapes]).T
        refined = least_squares(
            lambda p: linear(np.exp(p))[1], np.log(best), bounds=(low, high), xtol=1e-12, ftol=1e-12
        )
        best = tuple(np.exp(refined.x))
    values, residuals = linear(best)
    level, change = float(values[0]), 0.0 if made.is_flat else float(values[1])
    chi_square = float((residuals**2).sum())
    spread = _parameter_errors(made, u, weights, change, best)
    if not known:
        free = len(xs) - made.num_parameters
        spread = spread * (np.sqrt(chi_square / free) if free else nan)
    scales = [1.0] * min(2, made.num_parameters)
    scales += [unit if s.is_distance else 1.0 for s in made.shapes]
    shape = {
        s.name: float(v) * (unit if s.is_distance else 1.0)
        for s, v in zip(made.shapes, best, strict=True)
    }
    errors_of = tuple(float(e * s) for e, s in zip(spread, scales, strict=True))
    return CurveFit(family, level, change, shape, unit, errors_of, chi_square, len(xs))


def _parameter_errors(
    family: Family, u: Array, weights: Array, change: float, shape: Sequence[float]
) -> Array:
    """Square roots of the diagonal of (J' W J)^-1; NaN where it is singular."""
    columns = [np.ones_like(u)]
    if not family.is_flat:
        columns.append(family.basis(u, *shape))
    for i, value in enumerate(shape):
        step = 1e-5 * value
        up, down = ([*shape[:i], value + d, *shape[i + 1 :]] for d in (step, -step))
        columns.append(change * (family.basis(u, *up) - family.basis(u, *down)) / (2 * step))
    jacobian = np.stack(columns, 1) * weights[:, None]
    _, singular, rows = np.linalg.svd(jacobian, full_matrices=False)
    if singular[-1] <= 1e-10 * singular[0]:
        return np.full(len(columns), nan)
    return np.sqrt(((rows.T / singular) ** 2).sum(1))
