"""Masked, weighted negative log-likelihood, with the normaliser as an explicit argument.

The normaliser is never taken from the batch at hand: a mean over a micro-batch depends on how an
optimiser step was cut into pieces, and the usual mean-of-means is not the mean. Whoever calls
these functions passes one count over the *whole* step, so that the pieces' losses simply add up.
"""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_nll(logp: Tensor, weight: Tensor, norm: float) -> Tensor:
    """Weighted negative log-likelihood of tokens.

        L = (1 / norm) * sum_t  w_t * (-log p_t)

    logp: log p_t, log-probability of each token, any shape.
    weight: w_t, same shape; 0 is context or padding, negative makes a token less likely.
    norm: what the sum is divided by, above 0; usually sum of |w_t| over the optimiser step.
    Returns a scalar. Where w_t is 0 the token has no influence at all, even if log p_t is minus
    infinity. Source: maximum likelihood; with w the advantage it is REINFORCE (Williams 1992).

    >>> logp = torch.tensor([[-9.0, -1.0, -3.0]])
    >>> weight = torch.tensor([[0.0, 1.0, 1.0]])
    >>> float(weighted_nll(logp, weight, norm=2.0))
    2.0
    """
    counted = torch.where(weight != 0, logp, torch.zeros((), dtype=logp.dtype, device=logp.device))
    return -(weight.to(logp.dtype) * counted).sum() / norm


def sequence_mean_nll(logp: Tensor, weight: Tensor, norm: float) -> Tensor:
    """The same with every sequence counting alike, however long it is.

        L = (1 / norm) * sum_s  ( sum_t w_st * (-log p_st) ) / sum_t |w_st|

    logp, weight: (S, T), one row per sequence. norm: usually the number of sequences with any
    weight in the optimiser step. Rows without any weight contribute 0. Token means favour long
    sequences, sequence means favour the tokens of short ones (Liu et al. 2025, "Understanding
    R1-Zero-like Training", discuss the same choice for policy gradients).

    >>> logp = torch.tensor([[-1.0, -3.0], [-4.0, -100.0]])
    >>> weight = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    >>> float(sequence_mean_nll(logp, weight, norm=2.0))  # (2 + 4) / 2
    3.0
    """
    weight = weight.to(logp.dtype)
    counted = torch.where(weight != 0, logp, torch.zeros((), dtype=logp.dtype, device=logp.device))
    total = weight.abs().sum(-1)
    mean = (weight * counted).sum(-1) / torch.where(total > 0, total, torch.ones_like(total))
    return -mean.sum() / norm
