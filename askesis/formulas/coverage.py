"""How much of the right answers a model's own likelihood covers (card [18]: sharpening).

A model can only sharpen towards what it already says now and then. `logp` are natural
log-probabilities of a right answer to each task (or of all right answers known, together), each
at most 0; `-inf` is an answer that the model cannot say.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log

import numpy as np
from scipy.special import logsumexp


def log_coverage(logp: Sequence[float]) -> float:
    """The logarithm of the coverage coefficient; 0 is full coverage, +inf is none.

        C_cov = E_x[ 1 / pi(y*(x) | x) ],     here log C_cov

    logp: one a task. It is the mean number of draws until the answer is found, and is ruled by
    the worst tasks: look at `covered_fraction` too. NaN without tasks.
    Source: Huang et al. 2024, "Self-Improvement in Language Models: The Sharpening Mechanism",
    definition 3.1.

    >>> round(log_coverage([log(1/2), log(1/4)]), 4) == round(log(3), 4)
    True
    """
    found = _checked(logp)
    return float(logsumexp(-found) - log(len(found))) if len(found) else float("nan")


def covered_fraction(logp: Sequence[float], num_draws: float) -> float:
    """Mean over tasks of the probability that so many draws hold the answer.

        mean_x[ 1 - (1 - pi(y*(x) | x))^N ]

    logp: one a task. num_draws: N, at least 0. In [0, 1]; NaN without tasks. It needs no sampling,
    so it also sees answers too rare to be drawn. Source: elementary; the coverage that "Large
    Language Monkeys" (Brown et al. 2024) measures by sampling.

    >>> covered_fraction([log(1/2), -inf], 2)
    0.375
    """
    found = np.exp(_checked(logp))
    if not len(found):
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = np.exp(num_draws * np.log1p(-found)) if num_draws else np.ones(len(found))
    return float(np.mean(1 - missed))


def sharpened_fraction(logp: Sequence[float], share: float = 0.5) -> float:
    """Share of tasks whose answer already has more than `share` of the model's mass.

        P_x[ pi(y*(x) | x) > 1 - delta ],   delta = 1/2 by default

    Above 1/2 greedy decoding finds the answer (tight). Source: Huang et al. 2024, definition 3.2
    and section 4.

    >>> sharpened_fraction([log(0.9), log(0.2)])
    0.5
    """
    found = _checked(logp)
    return float(np.mean(np.exp(found) > share)) if len(found) else float("nan")


def sharpening_draws(log_c: float, delta: float = 0.5, epsilon: float = 0.1) -> float:
    """Draws a task that best-of-N sharpening needs: N = C_cov log(2 / delta) / epsilon.

    log_c: log C_cov. delta: the mass that may stay elsewhere; epsilon: the share of tasks that may
    stay unsharpened; both in (0, 1). An order of magnitude, not a promise: constants are left out
    in the source. +inf where it is more than a float holds.
    Source: Huang et al. 2024, theorem 4.1.

    >>> round(sharpening_draws(log(3)), 1)
    41.6
    """
    if not (0 < delta < 1 and 0 < epsilon < 1):
        raise ValueError(f"delta and epsilon lie between 0 and 1, got {delta} and {epsilon}")
    return float(np.exp(log_c) * log(2 / delta) / epsilon) if log_c < 700 else inf


def _checked(logp: Sequence[float]) -> np.ndarray:
    found = np.asarray(logp, float)
    if np.isnan(found).any() or (found > 1e-4).any():
        raise ValueError("log-probabilities are at most 0 and never NaN")
    return np.minimum(found, 0.0)
