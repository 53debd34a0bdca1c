"""Pairs whose margin is known as a number: log-ratios are fitted to it (card [18]; REBEL)."""

from __future__ import annotations

from torch import Tensor


def pair_regression(margin: Tensor, gap: Tensor, beta: float, norm: float) -> Tensor:
    """Squared distance of a scaled log-ratio margin from a difference of rewards.

        L = (1 / norm) * sum_i ( beta * Delta_i - [ r(y_i) - r(y'_i) ] )^2

    margin: Delta, (P,), from `preference_margin`. gap: r(y) - r(y'), (P,), in the reward's units.
    beta: above 0. norm: pairs in the step. Returns a scalar. It is 0 where the policy is
    pi_ref(y) * exp( r(y) / beta ) / Z: the optimum of KL-regularised reinforcement learning. With
    r = log pi_ref that is pi_ref^(1 + 1/beta): the reference, sharpened.
    Sources: Huang et al. 2024, "The Sharpening Mechanism", RLHF-Sharpening; Gao et al. 2024, REBEL.

    >>> import torch
    >>> float(pair_regression(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 1.0]), 0.5, norm=2.0))
    0.5
    """
    return (beta * margin - gap).square().sum() / norm


def optimism(logp_rejected: Tensor, coef: float, norm: float) -> Tensor:
    """XPO's exploration bonus: what the reference says shall become unlikely.

        L = (alpha / norm) * sum_i log pi(y'_i),    y'_i ~ pi_ref

    logp_rejected: log pi(y'), (P,). coef: alpha, at least 0. norm: pairs in the step. Returns a
    scalar, which falls without bound: it needs the regression beside it.
    Source: Xie et al. 2024, "Exploratory Preference Optimization", as used by Huang et al. 2024.

    >>> import torch
    >>> float(optimism(torch.tensor([-1.0, -3.0]), 0.5, norm=2.0))
    -1.0
    """
    return coef * logp_rejected.sum() / norm
