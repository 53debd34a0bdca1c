"""What each answer of an attempt of several turns is worth to the learner."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp


def shaped_rewards(
    scores: Sequence[float], bonus: float = 10.0, first_coef: float = 1.0
) -> list[float]:
    """Rewards of an attempt's answers: a revision is paid for its score and for the change.

        R_1 = c r_1,    R_t = r_t + alpha (r_t - r_{t-1})    for t > 1

    scores: r, of each answer in order, at least one. bonus: alpha, at least 0; 0 is plain
    multi-turn reinforcement, which a good first answer left alone satisfies as well. first_coef: c,
    in [0, 1]; 0 is the first stage. Source: Kumar et al. 2024, SCoRe (card [2]): the bonus is added
    to the revision alone.

    >>> shaped_rewards([0.0, 1.0]), shaped_rewards([1.0, 0.0]), shaped_rewards([1.0, 1.0])
    ([0.0, 11.0], [1.0, -10.0], [1.0, 1.0])
    """
    if not scores:
        raise ValueError("an attempt without answers has no rewards")
    later = [r + bonus * (r - before) for before, r in pairwise(scores)]
    return [first_coef * scores[0], *later]


def reward_weight(reward: float, tau: float = 0.4) -> float:
    """How much an answer counts in reward-weighted regression.

        w = exp( r / tau )

    reward: r; 1 right, 0 wrong, -1 unreadable in RISE. tau: above 0; 0.4 weighs them 12.2, 1 and
    0.08, and towards 0 only what is right counts. Source: Qu et al. 2024, RISE (card [237]).

    >>> [round(reward_weight(r), 3) for r in (1, 0, -1)]
    [12.182, 1.0, 0.082]
    """
    if not tau > 0:
        raise ValueError(f"tau must be above 0, got {tau}")
    return exp(reward / tau)
