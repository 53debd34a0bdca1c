"""The loss of a value head."""

from __future__ import annotations

import torch
from torch import Tensor

from askesis.formulas.means import masked, weighted_mean


def value_loss(
    value: Tensor,
    returns: Tensor,
    weight: Tensor,
    norm: float,
    value_old: Tensor | None = None,
    clip: float | None = None,
) -> Tensor:
    """Squared error of a value head, with PPO's clip where one is given.

        plain:    L = (1 / norm) * sum_t w_t * 1/2 (V_t - R_t)^2
        clipped:  L = (1 / norm) * sum_t w_t * 1/2 max( (V_t - R_t)^2, (V'_t - R_t)^2 )
                  V'_t = V_old,t + clip(V_t - V_old,t, -c, c)

    value, returns, weight, value_old: same shape. clip: c, above 0, in units of the value; 0.2 is
    usual and means something only where returns are of order one. norm: tokens of the step. Beyond
    the clip the gradient is zero where moving on is an improvement. Sources: Schulman et al. 2017
    (the squared error); the clip is of the reference code of PPO, and card [176] keeps it.

    >>> t = torch.tensor
    >>> float(value_loss(t([1.0]), t([2.0]), t([1.0]), norm=1.0))
    0.5
    >>> round(float(value_loss(t([1.0]), t([2.0]), t([1.0]), 1.0, value_old=t([0.0]), clip=0.2)), 4)
    1.62
    """
    value, returns = masked(value, weight), masked(returns, weight)
    error = (value - returns).square()
    if clip is not None:
        if value_old is None:
            raise ValueError("a clipped value loss needs value_old")
        old = masked(value_old, weight)
        near = old + (value - old).clamp(-clip, clip)
        error = torch.maximum(error, (near - returns).square())
    return weighted_mean(error / 2, weight, norm)
