"""Curves of every family on a grid of shapes, with noise and drift, each exact and Gaussian.

The model is told in `askesis.formulas.curve_average`, which weighs what is made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.special import logsumexp

from askesis.formulas.curves import FAMILIES, Array, clean_points

MAX_POINTS = 64  # more are averaged in groups of neighbours first


@dataclass(frozen=True)
class CurvePrior:
    """What is believed before the first point. Weights need not add up to 1.

    family: weight by name; families that are not named are not used. noise: standard deviation of
    what scatters a point beyond its own error, in units of `scale`, with its weight. drift: the
    same for what pulls the curve away from its family for good, over the observed stretch.
    change_mean, change_spread: mean and standard deviation of a curve's change, in units of
    `scale`; a mean above 0 expects figures to rise.
    """

    family: Mapping[str, float]
    noise: Mapping[float, float]
    drift: Mapping[float, float]
    change_mean: float = 0.0
    change_spread: float = 0.4


# Believes nothing in particular; for figures of which nobody knows whether they rise.
PLAIN_PRIOR = CurvePrior(
    family={
        "constant": 2.0, "line": 1.0, "logarithm": 1.0, "exponential": 2.0, "power": 2.0,
        "hill": 1.0, "hump": 0.5,
    },
    noise={0.001: 1.0, 0.01: 1.0, 0.02: 1.0, 0.04: 0.5, 0.08: 0.5, 0.15: 0.25},
    drift={0.0: 1.0, 0.01: 1.0, 0.03: 1.0, 0.06: 0.5, 0.12: 0.25},
)  # fmt: skip


@dataclass(frozen=True)
class Components:
    """Every component of the mixture: what it says and how well it foresaw the points.

    log_evidence: (num,) log marginal likelihood. family, noise, drift: (num,) positions in the
    prior's mappings. num_shapes: (num,) how many shapes share the family's weight. mean, variance:
    (num, num_at) of the curve with its drift, without noise. gain_mean, gain_variance:
    (num, num_at) of the curve minus itself at `since`. noise_variance: (num,).
    """

    log_evidence: Array
    family: Array
    noise: Array
    drift: Array
    num_shapes: Array
    mean: Array
    variance: Array
    gain_mean: Array
    gain_variance: Array
    noise_variance: Array

    def log_weights(self, prior: CurvePrior) -> Array:
        """(num,) normalised log posterior weights."""
        parts = [
            np.log(_shares(weights))[place]
            for weights, place in (
                (prior.family, self.family), (prior.noise, self.noise), (prior.drift, self.drift),
            )
        ]  # fmt: skip
        found = self.log_evidence + sum(parts) - np.log(self.num_shapes)
        return found - logsumexp(found)


def curve_components(
    x: Sequence[float] | Array,
    y: Sequence[float] | Array,
    errors: Sequence[float] | Array | None,
    at: Sequence[float] | Array,
    *,
    scale: float = 1.0,
    since: float | None = None,
    prior: CurvePrior = PLAIN_PRIOR,
) -> Components:
    """All components before they are weighted; the arguments are those of `average_curves`.

    Of `prior` only the grids and `change_spread` are used, so that other weights can be tried
    without computing anything again.

    >>> made = curve_components([1, 2, 3], [0.1, 0.2, 0.3], None, [4.0, 5.0])
    >>> made.mean.shape[1], bool(np.isfinite(made.log_evidence).all())
    (2, True)
    """
    xs, ys, es = clean_points(x, y, errors)
    if len(xs) < 2:
        raise ValueError(f"a curve needs two points that can be used, got {len(xs)}")
    if not scale > 0:
        raise ValueError(f"scale is the size of changes and must be above 0, got {scale}")
    begin = float(xs[-1] if since is None else since)
    xs, ys, es = thinned(xs, ys, es, MAX_POINTS)
    middle = float(ys.mean())
    ys, es = (ys - middle) / scale, np.nan_to_num(es) / scale
    unit = float(xs[-1]) or 1.0
    u, places = xs / unit, np.append(np.asarray(at, float), begin) / unit
    owner, num_shapes, basis, basis_at = [], [], [], []
    for number, name in enumerate(prior.family):
        grid = FAMILIES[name].grid()
        for shape in grid:
            owner.append(number)
            num_shapes.append(len(grid))
            basis.append(FAMILIES[name].basis(u, *shape))
            basis_at.append(FAMILIES[name].basis(places, *shape))
    flat = np.array([FAMILIES[list(prior.family)[i]].is_flat for i in owner])
    phi, phi_at = np.stack(basis, 1), np.stack(basis_at, 1)
    ridge = np.where(flat, 1.0, prior.change_spread**-2)
    parts = []
    for i, noise in enumerate(prior.noise):
        for j, drift in enumerate(prior.drift):
            solved = _solve(
                u, ys, es**2 + noise**2, drift**2, phi, places, phi_at, ridge, prior.change_mean
            )
            size = len(owner)
            parts.append((*solved, np.full(size, i), np.full(size, j), np.full(size, noise**2)))
    evidence, mean, var, gain, gain_var, i_noise, i_drift, noise_var = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    repeats = len(parts)
    return Components(
        log_evidence=evidence,
        family=np.tile(owner, repeats),
        noise=i_noise.astype(int),
        drift=i_drift.astype(int),
        num_shapes=np.tile(num_shapes, repeats),
        mean=mean * scale + middle,
        variance=var * scale**2,
        gain_mean=gain * scale,
        gain_variance=gain_var * scale**2,
        noise_variance=noise_var * scale**2,
    )


def thinned(x: Array, y: Array, errors: Array, most: int) -> tuple[Array, Array, Array]:
    """At most so many points: neighbours are replaced by their means.

    x, y, errors: (num,) by rising x. The error of a mean of m points is sqrt(sum e^2) / m.

    >>> thinned(np.arange(4.0), np.arange(4.0), np.full(4, 0.2), 2)[:2]
    (array([0.5, 2.5]), array([0.5, 2.5]))
    """
    if len(x) <= most:
        return x, y, errors
    groups = np.array_split(np.arange(len(x)), most)
    means = [(x[g].mean(), y[g].mean(), sqrt((errors[g] ** 2).sum()) / len(g)) for g in groups]
    a, b, c = (np.array(column) for column in zip(*means, strict=True))
    return a, b, c


def _solve(
    u: Array, y: Array, variance: Array, drift: float, phi: Array, places: Array, phi_at: Array,
    ridge: Array, change_mean: float,
) -> tuple[Array, ...]:  # fmt: skip
    """Evidence and predictions of all shapes for one noise and one drift.

    u, y, variance: (num,). phi: (num, num_shapes). places: (num_at + 1,), the last is where gains
    begin. phi_at: (num_at + 1, num_shapes). ridge: (num_shapes,) prior precision of the change.
    change_mean: its prior mean.
    Returns log_evidence (num_shapes,), mean, variance, gain and its variance (num_shapes, num_at).
    """
    covariance = np.diag(variance) + drift * np.minimum.outer(u, u)
    chol = np.linalg.cholesky(covariance)
    left = np.linalg.solve(chol, np.column_stack([np.ones_like(u), y, phi]))
    one, w, h = left[:, 0], left[:, 1], left[:, 2:]
    # Precision of (level, change), 2 x 2 for every shape, and its inverse.
    aa, ab, bb = one @ one, one @ h, (h * h).sum(0) + ridge
    determinant = aa * bb - ab**2
    inv_aa, inv_ab, inv_bb = bb / determinant, -ab / determinant, aa / determinant
    hw, hh = h.T @ w, (h * h).sum(0)  # below, the points less what the prior's mean explains
    ra, rb = one @ w - change_mean * ab, hw - change_mean * hh
    level, more = inv_aa * ra + inv_ab * rb, inv_ab * ra + inv_bb * rb
    change = change_mean + more
    whole = w @ w - 2 * change_mean * hw + change_mean**2 * hh
    evidence = (
        -np.log(np.diag(chol)).sum()
        - 0.5 * np.log(determinant)
        + 0.5 * np.log(ridge)
        - 0.5 * (whole - ra * level - rb * more)
    )
    seen = np.linalg.solve(chol, drift * np.minimum.outer(u, places))  # (num, num_at + 1)
    ga, gb = 1.0 - one @ seen, phi_at - seen.T @ h  # what the drift does not already explain
    mean = ga[:, None] * level + gb * change + (seen.T @ w)[:, None]
    own = drift * np.minimum.outer(places, places) - seen.T @ seen

    def spread(a: Array, b: Array, rest: Array) -> Array:
        return np.maximum(a**2 * inv_aa + 2 * a * b * inv_ab + b**2 * inv_bb + rest, 0.0)

    var = spread(ga[:, None], gb, np.diag(own)[:, None])
    rest = np.diag(own) + own[-1, -1] - 2 * own[-1]
    gain_var = spread((ga - ga[-1])[:, None], gb - gb[-1], rest[:, None])
    gain = mean - mean[-1]
    return evidence, mean[:-1].T, var[:-1].T, gain[:-1].T, gain_var[:-1].T


def _shares(weights: Mapping[Any, float]) -> Array:
    found = np.array(list(weights.values()), float)
    return np.maximum(found, 1e-300) / found.sum()
