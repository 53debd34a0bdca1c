"""The sampler is not quite the learner: importance weights that mend it, and figures that show it.

An engine's log-probabilities differ from the learner's by rounding (up to 0.1 nats in bfloat16), by
sampling settings, and by age. `logp_old` is the learner's own forward with the weights that
sampled; `logp_sampling` is what the sampler says it drew from.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from askesis.formulas.means import masked, sequence_sum

Level = Literal["token", "sequence"]
LEVELS: tuple[str, ...] = get_args(Level)


def truncated_weight(
    logp_old: Tensor,
    logp_sampling: Tensor,
    weight: Tensor,
    cap: float = 2.0,
    level: str = "token",
    floor: float | None = None,
) -> Tensor:
    """Importance weight from sampler to learner, cut off at a cap.

        token:     c_t = min( exp(l_t), C ),             l_t = log pi_old(y_t) - log mu(y_t)
        sequence:  c_t = min( exp(sum_t l_t), C )        for all tokens of a sequence
        with a floor F: weights outside [F, C] become 0 instead (masking)

    logp_old, logp_sampling, weight: (S, T) (any shape at level token). cap: C, at least 1; 2 is
    usual. floor: F, in [0, 1]. Returns the shape of logp_old, 0 where the weight is 0; nothing
    flows back. Multiply the loss by it and leave the normaliser alone. Truncation is biased and
    bounded. The token level ignores that later states were sampled by the other policy.
    Sources: Ionides 2008, "Truncated Importance Sampling"; Yao et al. 2025, "Your Efficient RL
    Framework Secretly Brings You Off-Policy RL Training" (note) for language models.

    >>> old, mu = torch.tensor([[0.5, 0.9]]).log(), torch.tensor([[0.4, 0.1]]).log()
    >>> [round(x, 4) for x in truncated_weight(old, mu, torch.ones(1, 2))[0].tolist()]
    [1.25, 2.0]
    """
    if level not in LEVELS:
        raise ValueError(f"level is token or sequence, not {level!r}")
    if not cap >= 1:
        raise ValueError(f"cap is at least 1, not {cap}")
    real = (weight != 0).to(logp_old.dtype)
    gap = (masked(logp_old, weight) - masked(logp_sampling, weight)).detach()
    if level == "sequence":
        gap = sequence_sum(gap, real)[..., None].expand_as(real)
    found = torch.exp(gap)
    if floor is None:
        return found.clamp(max=cap) * real
    return torch.where((found >= floor) & (found <= cap), found, torch.zeros_like(found)) * real


def mismatch(
    logp_old: Tensor, logp_sampling: Tensor, weight: Tensor, norm: float
) -> dict[str, Tensor]:
    """How far the sampler is from the learner on what it drew, as sums over `norm`.

        gap   mean |l|,    l = log pi_old(y_t) - log mu(y_t)
        kl    mean of exp(l) - 1 - l, an estimate of KL(mu || pi_old) that is never negative
        square  mean of (exp(l) - 1)^2, an estimate of the chi-square divergence

    Arguments as in `truncated_weight`; norm: tokens of the step, so that shares of micro-batches
    add up. Sources: k3 of Schulman's note, read from the sampler's side.

    >>> old, mu = torch.tensor([0.5, 0.9]).log(), torch.tensor([0.5, 0.45]).log()
    >>> {k: round(float(v), 4) for k, v in mismatch(old, mu, torch.ones(2), norm=2.0).items()}
    {'gap': 0.3466, 'kl': 0.1534, 'square': 0.5}
    """
    gap = (masked(logp_old, weight) - masked(logp_sampling, weight)).detach()
    grown = torch.expm1(gap)
    return {
        "gap": gap.abs().sum() / norm,
        "kl": (grown - gap).sum() / norm,
        "square": grown.square().sum() / norm,
    }
