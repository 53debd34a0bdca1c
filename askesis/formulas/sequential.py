"""Tests that may look several times: bounds that keep the error, and what they can find.

A test that looks at 5 % after every quarter of its data errs in 13 % of cases where nothing
differs. Group-sequential bounds spend the 5 % over the looks instead, most of it at the last one,
so that little power is lost (1 % in the smallest difference found) and large differences are seen
early. Looks are equally spaced; a look is a z statistic, or a t statistic at the same level.
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt

import numpy as np
from scipy.special import ndtr, ndtri

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


def spent_error(fraction: float, error: float) -> float:
    """How much of a one-sided error may be spent when a share of the data is in.

        f(t) = 2 - 2 Phi( z_{1 - error/2} / sqrt(t) )

    fraction: t, in (0, 1]. error: one-sided, in (0, 1); f(1) = error. Almost nothing is spent
    early. Source: Lan and DeMets 1983, "Discrete Sequential Boundaries for Clinical Trials", the
    function that resembles O'Brien and Fleming's bounds.

    >>> round(spent_error(0.5, 0.025), 6), round(spent_error(1.0, 0.025), 6)
    (0.001525, 0.025)
    """
    return float(2 * ndtr(ndtri(error / 2) / sqrt(fraction)))  # from the tail: no cancellation


@lru_cache(maxsize=64)
def look_bounds(num_looks: int, confidence: float = 0.95) -> tuple[float, ...]:
    """The z bound of every look, two-sided and symmetric.

        P( |Z_1| < b_1, ..., |Z_{k-1}| < b_{k-1}, Z_k >= b_k ) = f(k/K) - f((k-1)/K)

    num_looks: K, at least 1, equally spaced. confidence: two-sided, of the whole procedure: where
    nothing differs, both bounds together are crossed at any look with probability 1 - confidence.
    Source: Lan and DeMets 1983; the recursion of Armitage, McPherson and Rowe 1969, "Repeated
    Significance Tests on Accumulating Data".

    >>> [round(b, 3) for b in look_bounds(4)]
    [4.333, 2.963, 2.359, 2.014]
    """
    if num_looks < 1 or not 0 < confidence < 1:
        raise ValueError(f"looks are at least 1 and confidence in (0, 1), not {num_looks}, "
                         f"{confidence}")  # fmt: skip
    from scipy.optimize import brentq

    error = (1 - confidence) / 2
    bounds: list[float] = []
    before = 0.0
    places = density = np.zeros(0)
    for look in range(1, num_looks + 1):
        now = spent_error(look / num_looks, error)
        share, before = now - before, now
        if look == 1:
            bound = float(-ndtri(share))
        else:
            scale = sqrt(look / num_looks)
            bound = float(
                brentq(
                    lambda b, s=scale, p=places, d=density, w=share: (
                        _crossed(  # type: ignore[misc]
                            p, d, b * s, 1 / num_looks, 0.0
                        )
                        - w
                    ),
                    0.0,
                    12.0,
                    xtol=1e-10,
                )
            )
        bounds.append(bound)
        places, density = _continue(places, density, bound * sqrt(look / num_looks), num_looks, 0.0)
    return tuple(bounds)


def look_confidences(num_looks: int, confidence: float = 0.95) -> tuple[float, ...]:
    """The two-sided level of the interval to compute at each look, for t as well as z.

        c_k = 2 Phi(b_k) - 1

    Intervals at these levels hold at all looks together with probability `confidence` (repeated
    confidence intervals). Using the levels with Student's quantiles is the usual approximation for
    unknown variances. Source: Jennison and Turnbull 2000, "Group Sequential Methods", sections 4.4
    and 9.1.

    >>> [round(c, 4) for c in look_confidences(2)]
    [0.9969, 0.951]
    """
    return tuple(float(2 * ndtr(b) - 1) for b in look_bounds(num_looks, confidence))


def crossing_probability(bounds: tuple[float, ...], drift: float) -> float:
    """The probability that the upper bounds are crossed at some look, and no lower one before.

        Z_k ~ N( theta sqrt(k/K), 1 ), increments independent

    bounds: b_1..b_K as from `look_bounds`. drift: theta, the true difference in standard errors
    of the whole sample; negative ones are rarely found above. Source: the recursion of Armitage,
    McPherson and Rowe 1969.

    >>> round(crossing_probability((1.959964,), 2.8016), 3)
    0.8
    """
    num = len(bounds)
    total = 0.0
    places = density = np.zeros(0)
    for look, bound in enumerate(bounds, 1):
        edge = bound * sqrt(look / num)
        if look == 1:
            total += float(ndtr(drift * sqrt(1 / num) - bound))
        else:
            total += _crossed(places, density, edge, 1 / num, drift)
        places, density = _continue(places, density, edge, num, drift)
    return total


@lru_cache(maxsize=64)
def detectable_drift(num_looks: int = 1, confidence: float = 0.95, power: float = 0.8) -> float:
    """The smallest true difference, in standard errors, that is found with this power.

    For one look it is z_{1-a/2} + z_{power} but for the other side's 1e-6; more looks cost little.

    >>> round(detectable_drift(1), 3), round(detectable_drift(4), 3)
    (2.802, 2.829)
    """
    from scipy.optimize import brentq

    bounds = look_bounds(num_looks, confidence)
    return float(brentq(lambda t: crossing_probability(bounds, t) - power, 0.0, 20.0))


def detectable_decline(
    num_tasks: int,
    num_attempts: int = 1,
    *,
    accuracy: float = 0.5,
    spread: float = 0.0,
    num_looks: int = 1,
    confidence: float = 0.95,
    power: float = 0.8,
) -> float:
    """The smallest true decline that a paired comparison of two policies finds with this power.

        delta = theta * sqrt( ( s^2 + 2 p (1 - p) / m ) / n )

    num_tasks: n. num_attempts: m, of each policy at each task. accuracy: p, in [0, 1]; 1/2 is the
    hardest, and tasks of unequal difficulty are easier than tasks that are all alike. spread: s,
    the standard deviation over tasks of the true differences, 0 if the decline is the same
    everywhere. theta as in `detectable_drift`. Attempts of the two are taken as independent; noise
    that they share makes the test better than this. It is for planning: a decision's own standard
    error says what that decision could see. Source: Miller 2024, "Adding Error Bars to Evals",
    section 5, with the drift of a group-sequential test.

    >>> round(detectable_decline(128, 4), 4), round(detectable_decline(128, 4, num_looks=4), 4)
    (0.0875, 0.0884)
    """
    if num_tasks < 1 or num_attempts < 1 or not 0 <= accuracy <= 1 or spread < 0:
        raise ValueError("tasks and attempts are at least 1, accuracy in [0, 1], spread at least 0")
    variance = spread**2 + 2 * accuracy * (1 - accuracy) / num_attempts
    return detectable_drift(num_looks, confidence, power) * sqrt(variance / num_tasks)


def _crossed(
    places: np.ndarray, density: np.ndarray, edge: float, step: float, drift: float
) -> float:
    """P(the sum is above `edge` after one more step), from where it was inside until now."""
    return float(density @ ndtr((places + drift * step - edge) / sqrt(step)))


def _continue(
    places: np.ndarray, density: np.ndarray, edge: float, num_looks: int, drift: float
) -> tuple[np.ndarray, np.ndarray]:
    """Places inside (-edge, edge) and the probability mass at each, after one more step."""
    step = 1 / num_looks
    at = edge * _NODES
    if len(places):
        gap = (at[:, None] - places[None, :] - drift * step) ** 2 / (2 * step)
        mass = np.exp(-gap) @ density
    else:
        mass = np.exp(-((at - drift * step) ** 2) / (2 * step))
    return at, mass * edge * _WEIGHTS / sqrt(2 * np.pi * step)
