"""Policy gradients on tokens: REINFORCE, and the clipped ratio of PPO, GRPO, DAPO and GSPO.

These functions give one number per token; `means.weighted_mean` makes the loss, and the choice of
its weights and normaliser is the rest of the method:

    GRPO       token_ratio, clip (0.2, 0.2), sequence mean, `group_standardised`, k3 in the loss
    Dr. GRPO   the same with a constant length as normaliser, `group_centred`, no KL
    DAPO       token_ratio, clip (0.2, 0.28), token mean, `has_signal`, `overlong_penalty`, no KL
    GSPO       sequence_ratio, clip (3e-4, 4e-4), sequence mean, `group_standardised`
    RLOO       `reinforce` with `leave_one_out`
    PPO        token_ratio, clip (0.2, 0.2), token mean, `gae`, `values.value_loss`
"""

from __future__ import annotations

import torch
from torch import Tensor

from askesis.formulas.means import masked, sequence_sum, weighted_mean


def reinforce(logp: Tensor, advantage: Tensor, weight: Tensor, norm: float) -> Tensor:
    """REINFORCE: the score function times the advantage.

        L = -(1 / norm) * sum_t w_t * A_t * log pi(y_t)

    logp, advantage, weight: same shape. A_t is a number: nothing flows back through it. norm:
    tokens of the step, or sequences for the plain sum over tokens of RLOO. The value of L means
    nothing, its gradient does. Source: Williams 1992; with `leave_one_out`: Ahmadian et al. 2024.

    >>> logp, advantage = torch.tensor([-1.0, -2.0]), torch.tensor([1.0, -1.0])
    >>> float(reinforce(logp, advantage, torch.ones(2), norm=2.0))
    -0.5
    """
    return -weighted_mean(advantage.detach() * masked(logp, weight), weight, norm)


def token_ratio(logp: Tensor, logp_old: Tensor, weight: Tensor) -> Tensor:
    """Probability ratio of each token, 1 where the weight is 0.

        rho_t = pi(y_t) / pi_old(y_t)

    logp, logp_old, weight: same shape; both log-probabilities by the *learner's* forward (the
    sampler's own differ by rounding and by temperature: see `off_policy`). Source: Schulman et al.
    2017, "Proximal Policy Optimization", equation 6.

    >>> old, new = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.9]).log()
    >>> token_ratio(new, old, torch.tensor([1.0, 0.0])).tolist()
    [0.5, 1.0]
    """
    return torch.exp(masked(logp, weight) - masked(logp_old, weight))


def sequence_ratio(logp: Tensor, logp_old: Tensor, weight: Tensor) -> Tensor:
    """GSPO's ratio: the geometric mean over a sequence's tokens, given to each of them.

        s_i = ( pi(y_i) / pi_old(y_i) )^(1/|y_i|) = exp( (1/|y_i|) * sum_t log rho_it )

    logp, logp_old, weight: (S, T); |y_i| counts the tokens with weight. Returns (S, T), the same
    number along a row; its gradient reaches every token, 1/|y_i| each. With `sequence_shares` and
    the number of sequences as norm this is GSPO's loss. Source: Zheng et al. 2025, "Group Sequence
    Policy Optimization", equations 5 to 7. Its clip is far narrower than that of token ratios.

    >>> old, new = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.5]]).log()
    >>> sequence_ratio(new, old, torch.ones(1, 2)).square().round(decimals=4).tolist()
    [[0.5, 0.5]]
    """
    real = (weight != 0).to(logp.dtype)
    gap = sequence_sum(masked(logp, weight) - masked(logp_old, weight), real)
    mean = gap / real.sum(-1).clamp(min=1)
    return torch.exp(mean)[:, None].expand_as(logp)


def clipped(
    ratio: Tensor,
    advantage: Tensor,
    low: float = 0.2,
    high: float = 0.2,
    dual: float | None = None,
) -> Tensor:
    """The clipped surrogate of each token, as a loss.

        l_t = -min( rho_t * A_t, clip(rho_t, 1 - low, 1 + high) * A_t )
        with dual clip, where A_t < 0:   l_t = min( l_t, dual * |A_t| )

    ratio: rho, from `token_ratio` or `sequence_ratio`. advantage: A, the same shape (or one that
    broadcasts); nothing flows back through it. low, high: 0.2 and 0.2 for PPO and GRPO, 0.2 and
    0.28 for DAPO ("clip higher"). dual: above 1 (3 is usual), bounds what a token that became much
    *likelier* can push when it was bad; None: no bound. Returns the ratio's shape. Where clipped,
    the gradient is zero. Sources: Schulman et al. 2017, equation 7; Yu et al. 2025, "DAPO",
    equation 10; dual: Ye et al. 2020, "Mastering Complex Control in MOBA Games with Deep
    Reinforcement Learning".

    >>> ratio, advantage = torch.tensor([1.5, 0.5, 1.5, 5.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    >>> [round(x, 4) for x in clipped(ratio, advantage, 0.2, 0.25, dual=3.0).tolist()]
    [-1.25, -0.5, 1.5, 3.0]
    """
    if dual is not None and not dual > 1:
        raise ValueError(f"dual is above 1, not {dual}")
    advantage = advantage.detach()
    loss = -torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
    if dual is None:
        return loss
    return torch.where(advantage < 0, torch.minimum(loss, -dual * advantage), loss)


def is_clipped(ratio: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """Where the clip is felt: the gradient of the token is zero. Bool, the ratio's shape.

    A ratio outside the interval on the side where the step would *undo* it is not clipped.

    >>> is_clipped(torch.tensor([1.5, 1.5]), torch.tensor([1.0, -1.0]), 0.2, 0.2).tolist()
    [True, False]
    """
    return ((ratio > 1 + high) & (advantage > 0)) | ((ratio < 1 - low) & (advantage < 0))
