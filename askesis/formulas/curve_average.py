"""Where a learning curve is going: all families at once, each believed as far as it has earned.

The figure at x is a curve of some family (`askesis.formulas.curves`) plus a drift, seen with noise:

    y_i = level + change * g(x_i / X; shape) + w(x_i) + e_i
    level: flat prior      change ~ N(change_mean * scale, (change_spread * scale)^2)
    w: Wiener process, Var w(X) = drift^2     e_i ~ N(0, error_i^2 + noise^2)

Family, shape, noise and drift lie on a grid with a prior; given them everything is Gaussian and
exact. So the forecast is a mixture of normal distributions, without an optimiser that could miss
and without random numbers. Its width holds measurement noise (e), what no curve explains (w),
the parameters (level, change, shape) and the choice of the family.

The weights are marginal likelihoods. By the chain rule these are products of the densities that
each component gave to every point before seeing it, from the points before: a leave-future-out
score. AICc was not taken because it does not exist where points are as few as parameters, which
is where a forecast is wanted most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, pi, sqrt

import numpy as np
from scipy.special import ndtr, ndtri

from askesis.formulas.curve_components import (
    PLAIN_PRIOR,
    Components,
    CurvePrior,
    curve_components,
)
from askesis.formulas.curves import Array, clean_points
from askesis.formulas.intervals import Estimate

_KEPT_SHARE = 0.999  # of the weight; the lightest components are left out


@dataclass(frozen=True)
class Averaged:
    """The mixture at chosen places `at`. `bounds`: values outside are impossible.

    weights: (num,), sum 1. family: (num,) names. mean, variance, gain_mean, gain_variance:
    (num, num_at) as in `Components`. noise_variance: (num,) of a new measurement, its own error
    included.
    """

    at: Array
    weights: Array
    family: tuple[str, ...]
    mean: Array
    variance: Array
    gain_mean: Array
    gain_variance: Array
    noise_variance: Array
    bounds: tuple[float, float] = (-inf, inf)
    family_weights: Mapping[str, float] = field(default_factory=dict)

    def expected(self) -> Array:
        """(num_at,) the expected value of the curve, bounds respected."""
        low, high = self.bounds
        return self.weights @ _clipped_mean(self.mean, np.sqrt(self.variance), low, high)

    def quantiles(self, shares: Sequence[float], measured: bool = False) -> Array:
        """(num_shares, num_at) of the curve, or of a new measurement of it."""
        extra = self.noise_variance[:, None] if measured else 0.0
        found = _mixture_quantiles(self.weights, self.mean, np.sqrt(self.variance + extra), shares)
        return np.clip(found, *self.bounds)

    def interval(self, confidence: float = 0.95, measured: bool = False) -> list[Estimate]:
        """For each place the median with a central interval, of the curve or of a measurement."""
        tails = [0.5 - confidence / 2, 0.5, 0.5 + confidence / 2]
        low, middle, high = self.quantiles(tails, measured)
        return [Estimate(float(m), float(a), float(b)) for a, m, b in zip(low, middle, high)]  # noqa: B905

    def gain(self, place: int, confidence: float = 0.95) -> Estimate:
        """How much the curve rises from `since` to at[place]: mean with a central interval."""
        tails = [0.5 - confidence / 2, 0.5 + confidence / 2]
        mean, spread = self.gain_mean[:, [place]], np.sqrt(self.gain_variance[:, [place]])
        low, high = _mixture_quantiles(self.weights, mean, spread, tails)[:, 0]
        value = float(self.weights @ mean[:, 0])
        return Estimate(value, min(value, float(low)), max(value, float(high)))

    def chance_of_gain(self, place: int, at_least: float) -> float:
        """Probability that the curve rises by at least so much from `since` to at[place]."""
        spread = np.sqrt(np.maximum(self.gain_variance[:, place], 1e-18))
        return float(self.weights @ ndtr((self.gain_mean[:, place] - at_least) / spread))


def average_curves(
    x: Sequence[float] | Array,
    y: Sequence[float] | Array,
    errors: Sequence[float] | Array | None,
    at: Sequence[float] | Array,
    *,
    scale: float = 1.0,
    since: float | None = None,
    bounds: tuple[float, float] = (-inf, inf),
    prior: CurvePrior = PLAIN_PRIOR,
) -> Averaged:
    """The weighted curves through some points, at other places.

    x, y, errors: (num,) as in `clean_points`, at least two points that can be used. at: (num_at,),
    at least 0. scale: the size that changes of y can have; 1 for shares of tasks. since: where
    gains begin (default: the last x). Raises ValueError for fewer than two points.
    Source: Bayesian model averaging (Hoeting et al. 1999) over curve families, as for learning
    curves in Domhan et al. 2015, but with level and change integrated in closed form.

    >>> found = average_curves([1, 2, 3, 4], [0.3, 0.3, 0.3, 0.3], [0.01] * 4, [8.0])
    >>> bool(abs(found.expected()[0] - 0.3) < 0.005), max(found.family_weights.values()) > 0.5
    (True, True)
    """
    xs, ys, es = clean_points(x, y, errors)
    made = curve_components(xs, ys, es, at, scale=scale, since=since, prior=prior)
    typical = float(np.nanmedian(es)) if np.isfinite(es).any() else 0.0
    return combine(made, np.asarray(at, float), prior, bounds, typical)


def combine(
    made: Components,
    at: Array,
    prior: CurvePrior,
    bounds: tuple[float, float] = (-inf, inf),
    measurement_error: float = 0.0,
) -> Averaged:
    """Components weighted by a prior and what they foresaw; the lightest are left out.

    A curve that would leave the bounds by the farthest place asked for is impossible: components
    are believed in proportion to the chance that they stay inside. measurement_error: standard
    error of the measurements to come.

    >>> made = curve_components([1, 2, 3], [0.1, 0.2, 0.3], [0.01] * 3, [4.0])
    >>> found = combine(made, np.array([4.0]), PLAIN_PRIOR)
    >>> round(float(found.weights.sum()), 6), 0.3 < float(found.expected()[0]) < 0.41
    (1.0, True)
    """
    weights = np.exp(made.log_weights(prior)) * _inside(made, at, bounds)
    weights /= weights.sum()
    names = tuple(prior.family)
    totals = np.bincount(made.family, weights, minlength=len(names))
    order = np.argsort(-weights, kind="stable")
    kept = order[: int(np.searchsorted(np.cumsum(weights[order]), _KEPT_SHARE)) + 1]
    left = weights[kept] / weights[kept].sum()
    return Averaged(
        at=at,
        weights=left,
        family=tuple(names[i] for i in made.family[kept]),
        mean=made.mean[kept],
        variance=made.variance[kept],
        gain_mean=made.gain_mean[kept],
        gain_variance=made.gain_variance[kept],
        noise_variance=made.noise_variance[kept] + measurement_error**2,
        bounds=bounds,
        family_weights={n: float(t) for n, t in zip(names, totals, strict=True)},
    )


def _inside(made: Components, at: Array, bounds: tuple[float, float]) -> Array:
    """(num,) chance that a component's curve is within bounds at the farthest place."""
    low, high = bounds
    far = int(np.argmax(at))
    mean, spread = made.mean[:, far], np.sqrt(np.maximum(made.variance[:, far], 1e-18))
    return np.maximum(ndtr((high - mean) / spread) - ndtr((low - mean) / spread), 1e-12)


def _clipped_mean(mean: Array, spread: Array, low: float, high: float) -> Array:
    """E[min(max(z, low), high)] of normal z, elementwise."""

    def ramp(edge: float) -> Array:  # E[max(z - edge, 0)]
        s = np.maximum(spread, 1e-12)
        t = (mean - edge) / s
        return s * (t * ndtr(t) + np.exp(-0.5 * t * t) / sqrt(2 * pi))

    found = mean if low == -inf else low + ramp(low)
    return found if high == inf else found - ramp(high)


def _mixture_quantiles(
    weights: Array, mean: Array, spread: Array, shares: Sequence[float]
) -> Array:
    """(num_shares, num_at) by Newton's steps that fall back to halving the bracket.

    Ends when all probabilities are right to 1e-6, after 60 steps at most (halvings alone then give
    18 digits).
    """
    s = np.maximum(spread, 1e-12)
    low = np.broadcast_to((mean - 9 * s).min(0), (len(shares), mean.shape[1])).copy()
    high = np.broadcast_to((mean + 9 * s).max(0), low.shape).copy()
    wanted = np.asarray(shares, float)[:, None]
    centre = weights @ mean
    around = np.sqrt(weights @ (s**2 + (mean - centre) ** 2))
    found = np.clip(centre + ndtri(wanted) * around, low, high)
    for _ in range(60):
        z = (found[:, None, :] - mean) / s  # (num_shares, num, num_at)
        off = np.einsum("k,skm->sm", weights, ndtr(z)) - wanted
        if np.abs(off).max() < 1e-6:
            break
        density = np.einsum("k,skm->sm", weights, np.exp(-0.5 * z * z) / s) / sqrt(2 * pi)
        low, high = np.where(off < 0, found, low), np.where(off < 0, high, found)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = found - off / density
        found = np.where((step > low) & (step < high), step, 0.5 * (low + high))
    return found
