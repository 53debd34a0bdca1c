"""Masked, weighted negative log-likelihood, with the normaliser as an explicit argument.

The normaliser is never taken from the batch at hand: a mean over a micro-batch depends on how an
optimiser step was cut into pieces, and the usual mean-of-means is not the mean. Whoever calls
these functions passes one count over the *whole* step, so that the pieces' losses simply add up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from askesis.errors import ConfigError
from askesis.formulas.finite import finite


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


def reward_weights(rewards: Any, temperature: float | None = None) -> np.ndarray:
    """Weights of answers in a reward-weighted likelihood.

        w_i = r_i                                  without a temperature (rewards at least 0)
        w_i = n * exp(r_i / T) / sum_j exp(r_j / T)     with one

    rewards: r_i, (n,). temperature: T, above 0; small ones keep the best only. Returns (n,), which
    goes into the samples' "weight" column. Raises ConfigError for rewards that are not finite, and
    without a temperature for negative ones, whose likelihood would be pushed to zero without
    bound. Sources: Dayan and Hinton 1997 (linear); Peters and Schaal 2007, "Reinforcement Learning
    by Reward-Weighted Regression" (exponential).

    >>> reward_weights([0.0, 1.0]).tolist()
    [0.0, 1.0]
    >>> reward_weights([0.0, 1.0], temperature=1.0).round(4).tolist()
    [0.5379, 1.4621]
    """
    found = finite("rewards", rewards)
    if temperature is None:
        if len(found) and found.min() < 0:
            raise ConfigError(
                "rewards used as weights of a likelihood must be at least 0",
                found=f"{found.min():g}",
                hint="give a temperature, or use a policy gradient with a baseline",
            )
        return found
    if not temperature > 0:
        raise ValueError(f"temperature is above 0, not {temperature}")
    if not len(found):
        return found
    grown = np.exp((found - found.max()) / temperature)
    return len(found) * grown / grown.sum()


def reward_weighted_nll(logp: Tensor, mask: Tensor, reward: Tensor, norm: float) -> Tensor:
    """Negative log-likelihood of answers, each weighted by its reward.

        L = (1 / norm) * sum_i w_i * sum_t m_it * (-log p_it)

    logp: log p_it, (S, T). mask: m_it, (S, T), 1 on the answer's tokens. reward: w_i, (S,), from
    `reward_weights`. norm: number of answers, or the sum of the weights. Source: as there; STaR
    and RFT are the case of rewards 0 and 1.

    >>> logp = torch.tensor([[-1.0, -2.0], [-5.0, -5.0]])
    >>> float(reward_weighted_nll(logp, torch.ones(2, 2), torch.tensor([0.5, 0.0]), norm=1.0))
    1.5
    """
    return weighted_nll(logp, mask * reward[:, None], norm)


def anchored_nll(nll: Tensor, kl: Tensor, kl_coef: float, entropy_guard: float = 0.0) -> Tensor:
    """SuperHF: likelihood of the best answer with a leash to where the model came from.

        L = C + k * max(0, D),   then with a guard   L <- L + c / L

    nll: C, cross entropy of the selected answers, scalar. kl: D = KL(reference || policy), scalar
    (`divergences.forward_kl` over the whole vocabulary; estimates from samples can be negative,
    hence the clamp). kl_coef: k, 0.23 in the paper's LLaMA runs. entropy_guard: c, 0 for none; it
    keeps the loss away from 0, where all probability is on a few answers. Both scalars must belong
    to the *whole* step if the guard or the clamp is to mean what the paper means: they are not
    linear, so micro-batches that use them do not add up exactly; D computed over the vocabulary is
    never negative, and then the clamp is not felt. Source: Mukobi et al. 2023, "SuperHF";
    card [197].

    >>> float(anchored_nll(torch.tensor(2.0), torch.tensor(0.5), kl_coef=0.25))
    2.125
    >>> float(anchored_nll(torch.tensor(2.0), torch.tensor(-0.5), kl_coef=0.2, entropy_guard=1.0))
    2.5
    """
    loss = nll + kl_coef * kl.clamp(min=0)
    return loss + entropy_guard / loss if entropy_guard else loss
