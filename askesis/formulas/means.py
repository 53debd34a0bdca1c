"""From numbers per token to one loss, with the normaliser as an explicit argument.

Three means are in use and they are different methods:

    token      (1 / number of tokens in the step)    * sum over tokens       (DAPO)
    sequence   (1 / number of sequences in the step) * sum of sequence means (GRPO)
    constant   (1 / (sequences * a fixed length))    * sum over tokens       (Dr. GRPO, SPIRAL)

The counts are of the whole optimiser step, so the losses of its pieces add up.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked(x: Tensor, weight: Tensor) -> Tensor:
    """`x` where the weight is not 0, else 0; nothing flows back from where it is 0.

    Mask before computing with `x`: a NaN made at a masked place survives `0 * NaN` on the way
    back.
    """
    return torch.where(weight != 0, x, torch.zeros((), dtype=x.dtype, device=x.device))


def weighted_mean(x: Tensor, weight: Tensor, norm: float | Tensor) -> Tensor:
    """The weighted sum over a normaliser.

        m = (1 / norm) * sum_t w_t * x_t

    x: x_t, any shape. weight: w_t, same shape; where 0, x_t does not matter at all. norm: above
    0. Returns a scalar.

    >>> x, w = torch.tensor([1.0, 3.0, float("nan")]), torch.tensor([1.0, 2.0, 0.0])
    >>> float(weighted_mean(x, w, norm=2.0))  # (1 + 6) / 2
    3.5
    """
    return (weight.to(x.dtype) * masked(x, weight)).sum() / norm


def sequence_shares(weight: Tensor) -> Tensor:
    """Weights that make every sequence count alike, however long it is.

        v_st = w_st / sum_t |w_st|

    weight: (S, T), one row per sequence. Rows without any weight stay 0. With these weights and
    the number of sequences as norm, `weighted_mean` is the mean of sequence means.

    >>> sequence_shares(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    total = weight.abs().sum(-1, keepdim=True)
    return weight / torch.where(total > 0, total, torch.ones_like(total))


def sequence_sum(x: Tensor, weight: Tensor) -> Tensor:
    """One number per sequence.

        x_s = sum_t w_st * x_st

    x, weight: (S, T). Returns (S,). With x the log-probabilities of tokens and w the mask this is
    the log-probability of the answer.

    >>> x, w = torch.tensor([[-9.0, -1.0, -2.0]]), torch.tensor([[0.0, 1.0, 1.0]])
    >>> sequence_sum(x, w).tolist()
    [-3.0]
    """
    return (weight.to(x.dtype) * masked(x, weight)).sum(-1)
