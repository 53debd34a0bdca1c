"""From rewards to advantages before anything is learnt: baselines of groups, runs and roles.

numpy, float64, one group or one stream at a time. Rewards that are not finite are refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.finite import finite


def group_centred(rewards: Any) -> np.ndarray:
    """Rewards of one group minus their mean: Dr. GRPO's advantage.

        A_i = r_i - mean(r)

    rewards: r, (G,), attempts at one task. Returns (G,); all 0 where the rewards are equal (also a
    group of one), empty for an empty group. Source: Liu et al. 2025, "Understanding R1-Zero-Like
    Training: A Critical Perspective" (Dr. GRPO).

    >>> group_centred([1, 0, 0, 1]).tolist()
    [0.5, -0.5, -0.5, 0.5]
    """
    found = finite("rewards", rewards)
    if not len(found) or found.min() == found.max():
        return np.zeros(found.shape)
    return found - found.mean()


def group_standardised(rewards: Any, epsilon: float = 1e-4, ddof: int = 0) -> np.ndarray:
    """Rewards of one group in units of their spread: GRPO's advantage.

        A_i = ( r_i - mean(r) ) / ( std(r) + epsilon )

    rewards: r, (G,). epsilon: keeps small spreads from exploding; 1e-4 and 1e-6 are both in use, 0
    is the printed formula. ddof: 0 divides by G (the printed formula), 1 by G - 1 (what most code
    does, because `torch.std` does): a factor sqrt(1 - 1/G) on every advantage. Returns (G,); all 0
    where the rewards are equal, so such a group teaches nothing. Source: Shao et al. 2024,
    "DeepSeekMath", section 4.1.2. Dividing by the spread weights very easy and very hard tasks up;
    see `group_centred`.

    >>> group_standardised([1, 0, 0, 1], epsilon=0).tolist()
    [1.0, -1.0, -1.0, 1.0]
    """
    centred = group_centred(rewards)
    if not centred.any():
        return centred
    return centred / (centred.std(ddof=ddof) + epsilon)


def leave_one_out(rewards: Any) -> np.ndarray:
    """Each reward minus the mean of the *others*: RLOO's advantage.

        A_i = r_i - 1 / (G - 1) * sum_{j != i} r_j      =  G / (G - 1) * (r_i - mean(r))

    rewards: r, (G,), G at least 2. Returns (G,). The baseline does not depend on its own attempt,
    so the gradient is unbiased. Raises ConfigError for a group of one, which has no others.
    Source: Kool et al. 2019; Ahmadian et al. 2024, "Back to Basics: Revisiting REINFORCE Style
    Optimization"; used by T1, card [240].

    >>> leave_one_out([1, 0, 0]).tolist()
    [1.0, -0.5, -0.5]
    """
    found = finite("rewards", rewards)
    if len(found) == 1:
        raise ConfigError(
            "leaving one out needs at least two attempts a task",
            found="a group of one",
            hint="raise explore.num_attempts, or skip such groups",
        )
    return group_centred(found) * (len(found) / max(1, len(found) - 1))


def has_signal(rewards: Any, tolerance: float = 0.0) -> bool:
    """Whether a group tells good attempts from bad ones: DAPO's dynamic sampling keeps such groups.

        max(r) - min(r) > tolerance        (for rewards 0 and 1:  0 < number right < G)

    rewards: (G,). Source: Yu et al. 2025, "DAPO", the constraint of equation 11.

    >>> has_signal([1, 0]), has_signal([1, 1]), has_signal([0]), has_signal([])
    (True, False, False, False)
    """
    found = finite("rewards", rewards)
    return bool(len(found) and found.max() - found.min() > tolerance)


def running_baseline(
    baseline: float, rewards: Any, decay: float = 0.95
) -> tuple[np.ndarray, float]:
    """REINFORCE with a baseline that follows the rewards; read before it is updated.

        A_i = r_i - b,   then   b <- decay * b + (1 - decay) * r_i

    baseline: b before the first reward. rewards: (n,), in the order in which they came. decay: in
    [0, 1). Returns the advantages (n,) and b after the last. Source: Williams 1992 (reinforcement
    comparison).

    >>> advantages, baseline = running_baseline(0.0, [1.0, 1.0], decay=0.5)
    >>> advantages.tolist(), baseline
    ([1.0, 0.5], 0.75)
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay is in [0, 1), not {decay}")
    advantages = []
    for reward in finite("rewards", rewards):
        advantages.append(reward - baseline)
        baseline = decay * baseline + (1 - decay) * float(reward)
    return np.array(advantages, np.float64), float(baseline)


def role_baselines(
    baselines: Mapping[Hashable, float],
    roles: Sequence[Hashable],
    rewards: Any,
    decay: float = 0.95,
    start: float = 0.0,
) -> tuple[np.ndarray, dict[Hashable, float]]:
    """Role-conditioned advantages: one running baseline per game and role.

        A = R_p - b_{g,p},   then   b_{g,p} <- decay * b_{g,p} + (1 - decay) * R_p

    baselines: b by key, empty at first. roles: the key (game, role) of each reward, (n,). rewards:
    R, (n,). start: b of a key not seen before. Returns the advantages (n,) and the new baselines;
    the old mapping is not changed. Without the role, the player with the better seat is always
    encouraged. Source: Liu et al. 2025, "SPIRAL", role-conditioned advantage estimation; decay
    0.95, start 0; card [206].

    >>> advantages, after = role_baselines({}, ["first", "second"] * 2, [1, -1, 1, -1], decay=0.5)
    >>> advantages.tolist(), after
    ([1.0, -1.0, 0.5, -0.5], {'first': 0.75, 'second': -0.75})
    """
    found = finite("rewards", rewards)
    if len(found) != len(roles):
        raise ValueError(f"{len(roles)} roles for {len(found)} rewards")
    after = dict(baselines)
    advantages = np.zeros(len(found))
    for i, (role, reward) in enumerate(zip(roles, found, strict=True)):
        one, after[role] = running_baseline(after.get(role, start), [reward], decay)
        advantages[i] = one[0]
    return advantages, after


def overlong_penalty(num_tokens: Any, max_tokens: int, margin: int) -> np.ndarray:
    """DAPO's soft penalty on length, added to the reward.

        0                              where  n <= N - m
        ( (N - m) - n ) / m            where  N - m < n <= N
        -1                             where  n > N

    num_tokens: n, (G,). max_tokens: N. margin: m, above 0, the stretch before N in which the
    penalty grows; 4096 of 20480 in the paper. Source: Yu et al. 2025, "DAPO", equation 13.

    >>> overlong_penalty([80, 90, 100, 101], max_tokens=100, margin=20).tolist()
    [0.0, -0.5, -1.0, -1.0]
    """
    if not 0 < margin <= max_tokens:
        raise ValueError(f"margin is in (0, max_tokens], got {margin} of {max_tokens}")
    free = max_tokens - margin
    return np.clip((free - finite("num_tokens", num_tokens)) / margin, -1.0, 0.0) + 0.0
