"""Negative-aware fine-tuning: likelihood for right answers, and for wrong ones by implication.

The sampling policy is a mixture, pi_old = r * pi_plus + (1 - r) * pi_minus, with r the share of
right answers. The trained model is pi_plus; pi_minus is what is left over.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from askesis.formulas.finite import finite

Priority = Literal["even", "hard", "standardised"]
PRIORITIES: tuple[str, ...] = get_args(Priority)


def nft(
    ratio: Tensor,
    correct: Tensor,
    accuracy: Tensor,
    negative_coef: float = 1.0,
    floor: float = 1.0,
    least: float = 0.02,
) -> Tensor:
    """The loss of each token.

        right:  -log R_t
        wrong:  -log max_( (1 - r * R_t) / (1 - r), floor ),  the gradient passing the max unchanged

    ratio: R_t = pi(y_t) / pi_old(y_t), any shape, above 0. correct: bool or 0/1, the same shape.
    accuracy: r of the group that the token's answer is in, the same shape; clamped into [least,
    1 - least] (0.02 in the code). negative_coef: multiplies the loss of wrong answers; 0 leaves
    rejection-sampling fine-tuning. floor: 1 in the code: caps the gradient of wrong tokens that
    became likelier at its on-policy size. Returns the ratio's shape; multiply by `priority` and sum
    over tokens divided by a constant (1000 in the code). On-policy its gradient is Dr. GRPO's with
    priority "hard" and GRPO's with "standardised". Source: Chen et al. 2025, "Bridging Supervised
    Learning and Reinforcement Learning in Math Reasoning" (NFT), token-level form; card [222].

    >>> R, r = torch.tensor([0.5, 0.5, 1.5]), torch.tensor([0.5, 0.5, 0.5])
    >>> [round(x, 4) for x in nft(R, torch.tensor([1, 0, 0]), r).tolist()]  # log 2, -log 1.5, 0
    [0.6931, -0.4055, -0.0]
    """
    r = accuracy.clamp(least, 1 - least)
    implied = (1 - r * ratio) / (1 - r)
    # the value of the maximum, with the gradient of what is under it
    held = implied + (implied.clamp(min=floor) - implied).detach()
    right = correct != 0
    ones = torch.ones_like(ratio)
    positive = -torch.log(torch.where(right, ratio, ones))
    negative = -negative_coef * torch.log(torch.where(right, ones, held))
    return torch.where(right, positive, negative)


def priority(accuracy: Any, mode: str = "hard", least: float = 0.02) -> np.ndarray:
    """How much a task counts, from the share r of right answers.

        even 1        hard 1 - r        standardised sqrt( (1 - r) / r )

    accuracy: r, any shape, in [0, 1]; clamped as in `nft`. "hard" is the paper's default. Returns
    the same shape. Groups that are all right or all wrong should be left out before (`has_signal`).

    >>> [priority(0.2, mode).round(4).item() for mode in PRIORITIES]
    [1.0, 0.8, 2.0]
    """
    if mode not in PRIORITIES:
        raise ValueError(f"mode is one of {', '.join(PRIORITIES)}, not {mode!r}")
    r = np.clip(finite("accuracy", accuracy), least, 1 - least)
    if mode == "even":
        return np.ones_like(r)
    return 1 - r if mode == "hard" else np.sqrt((1 - r) / r)
