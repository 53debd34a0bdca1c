"""Who earned the reward: credit per turn, per step, and down to the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from askesis.formulas.finite import finite


def turn_returns(rewards: Any, gamma: float = 1.0) -> np.ndarray:
    """What came after each turn, discounted per turn.

        G_k = sum_{j >= k} gamma^(j - k) * r_j

    rewards: r, (K,), one per turn (or step). gamma: in [0, 1]. Returns (K,). Source: Sutton and
    Barto, equation 3.8, counted so that a turn's own reward is its own.

    >>> turn_returns([0.0, 0.0, 1.0], gamma=0.5).tolist()
    [0.25, 0.5, 1.0]
    """
    found = finite("rewards", rewards)
    returns = np.zeros(len(found))
    after = 0.0
    for k in range(len(found) - 1, -1, -1):
        after = found[k] + gamma * after
        returns[k] = after
    return returns


def outcome_per_turn(advantage: float, num_turns: int, gamma: float = 1.0) -> np.ndarray:
    """One advantage for a whole attempt, passed back to its turns.

        A_k = gamma^(K - 1 - k) * A

    num_turns: K, the learner's own turns. Source: Liu et al. 2025, "SPIRAL" (gamma 1 there); card
    [206]. With gamma below 1 it is the discount on `turn_returns` of an outcome alone.

    >>> outcome_per_turn(-2.0, 3, gamma=0.5).tolist()
    [-0.5, -1.0, -2.0]
    """
    return advantage * gamma ** np.arange(num_turns - 1, -1, -1, dtype=np.float64)


def process_advantages(
    rewards: Sequence[Any], epsilon: float = 1e-4, ddof: int = 0
) -> list[np.ndarray]:
    """GRPO with process supervision: step rewards normalised over the group, then summed forward.

        r~_ik = ( r_ik - mean(R) ) / ( std(R) + epsilon ),   R = all step rewards of the group
        A_ik  = sum_{j >= k} r~_ij

    rewards: one array (K_i,) per attempt of a group. Returns the same shapes. All 0 where all step
    rewards are equal. Long attempts have more terms in the sum: with rewards near the mean that is
    noise, with a biased step judge it is a bias towards length. Source: Shao et al. 2024,
    "DeepSeekMath", section 4.1.3.

    >>> [a.tolist() for a in process_advantages([[1, 1], [0, 0]], epsilon=0)]
    [[2.0, 1.0], [-2.0, -1.0]]
    """
    steps = [finite("rewards", r) for r in rewards]
    together = np.concatenate(steps) if steps else np.zeros(0)
    if not len(together) or together.min() == together.max():
        return [np.zeros(len(r)) for r in steps]
    scale = together.std(ddof=ddof) + epsilon
    return [turn_returns((r - together.mean()) / scale) for r in steps]


def spread(values: Any, part_of_token: Any) -> np.ndarray:
    """Values of turns or steps as a column of tokens.

    values: (K,). part_of_token: int (T,), which turn or step each token belongs to, -1 for none.
    Returns (T,), 0 where there is none. Every token gets the whole value: a value is a rate per
    token of the policy gradient, not a sum to be shared out.

    >>> spread([0.5, -1.0], [-1, 0, 0, -1, 1]).tolist()
    [0.0, 0.5, 0.5, 0.0, -1.0]
    """
    found, part = finite("values", values), np.asarray(part_of_token, np.int64)
    if len(part) and part.max() >= len(found):
        raise ValueError(f"a token belongs to part {part.max()} of {len(found)}")
    return np.append(found, 0.0)[np.where(part < 0, len(found), part)]
