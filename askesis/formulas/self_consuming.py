"""What happens when a model learns what was picked from its own answers. numpy, float64.

One of K own answers is picked by the Bradley-Terry model on a reward r, the model becomes what was
picked, and so on. The reward must rise, its variance must die, and only data from elsewhere stops
the mass from collapsing onto the best answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log
from typing import Any

import numpy as np

from askesis.formulas.finite import finite


def picked(
    probabilities: Any, rewards: Any, num_choices: int, own_ratio: float = inf, data: Any = None
) -> np.ndarray:
    """The next distribution of a model that learns what was picked, perhaps mixed with real data.

        p'(x) = p(x) H(x),   H(x) = E_{x_2..x_K ~ p}[ K e^{r(x)} / ( e^{r(x)} + sum_i e^{r(x_i)} ) ]
        mixed:  p' = ( p_data + lambda p H ) / ( 1 + lambda )

    probabilities: p, (V,), sums to 1. rewards: r, (V,). num_choices: K, at least 1; 1 changes
    nothing, infinity gives p e^r / E[e^r]. own_ratio: lambda, own samples for each real one;
    infinite without real data. data: p_data, (V,), needed unless own_ratio is infinite. Exact: with
    w = e^r the expectation is one integral, K w int_0^inf e^{-wt} E[e^{-wt}]^{K-1} dt.
    Source: Ferbach et al. 2024, "Self-Consuming Generative Models with Curated Data Provably
    Optimize Human Preferences", equations 3 and 6; card [132].

    >>> picked([0.5, 0.5], [0.0, np.log(3.0)], 2).tolist()  # doctest: +ELLIPSIS
    [0.37..., 0.62...]
    """
    p = finite("probabilities", probabilities)
    r = finite("rewards", rewards)
    if num_choices < 1:
        raise ValueError(f"one of {num_choices} cannot be picked")
    if p.shape != r.shape or (p < 0).any() or abs(p.sum() - 1) > 1e-6:
        raise ValueError("probabilities sum to 1 and have one reward each")
    weight = np.exp(r - r.max())  # only ratios matter
    # On a logarithmic scale the integrand is smooth and dies at both ends, whatever the weights.
    z = np.linspace(-40.0, float(np.log(60.0 / weight.min())), 1500)
    alive = np.exp(-weight[:, None] * np.exp(z)[None, :])  # (V, steps)
    others = (p[:, None] * alive).sum(0) ** (num_choices - 1)
    each = num_choices * weight * (alive * others * np.exp(z)).sum(1) * (z[1] - z[0])
    own = p * each
    own = own / own.sum()
    if own_ratio == inf:
        return own
    real = finite("data", data)
    return (real + own_ratio * own) / (1 + own_ratio)


def increase_bound(
    rewards: Sequence[float], num_choices: int, largest: float | None = None
) -> float:
    """By how much E[e^r] rises at least in a round of picking one of K own answers.

        E'[e^r] - E[e^r]  >=  ( (K - 1) / K ) * Var(e^r) / max e^r

    rewards: r of sampled answers, (n,); the variance is estimated with n - 1, so with fewer than
    two it is NaN. num_choices: K, at least 1. largest: the largest reward there can be (None: the
    largest seen). Returns a number of at least 0, in units of e^r; 0 where all rewards are alike:
    then nothing is left to gain by picking. Source: Ferbach et al. 2024, lemma 2.2; card [132].

    >>> round(increase_bound([0.0, 1.0], 2, largest=1.0), 4)
    0.2715
    """
    r = finite("rewards", rewards)
    if num_choices < 1:
        raise ValueError(f"one of {num_choices} cannot be picked")
    if len(r) < 2:
        return float("nan")
    top = float(r.max()) if largest is None else largest
    if r.max() > top + 1e-9:
        raise ValueError(f"a reward of {r.max()} is above the largest, {top}")
    # in units of the largest, so that large rewards do not overflow
    return float((num_choices - 1) / num_choices * np.var(np.exp(r - top), ddof=1) * np.exp(top))


def mixing_bound(own_ratio: float, num_choices: int) -> float:
    """How far from real data a model can get that mixes it in, for ever, in nats.

        KL(p_t || p_data)  <=  -log( 1 - lambda (K - 1) )      if lambda < 1 / (K - 1)

    own_ratio: lambda, own samples for each real one, at least 0. num_choices: K, at least 1. At or
    above 1 / (K - 1) own samples nothing is promised: infinity. Read the other way it is a replay
    ratio: more than K - 1 real samples for each own one keep the promise.
    Source: Ferbach et al. 2024, theorem 2.3; card [132].

    >>> round(mixing_bound(0.25, 2), 4), mixing_bound(1.0, 2), mixing_bound(0.3, 1)
    (0.2877, inf, 0.0)
    """
    if own_ratio < 0 or num_choices < 1:
        raise ValueError("a ratio is at least 0 and a choice of at least 1")
    if num_choices == 1:
        return 0.0
    left = 1 - own_ratio * (num_choices - 1)
    return -log(left) if left > 0 else inf
