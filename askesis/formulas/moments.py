"""Moments that follow the data, and what is scaled by them: PPO-max's stabilisers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from askesis.formulas.finite import finite


class Moments(NamedTuple):
    """How many, mean and sum of squared deviations of everything seen so far."""

    num: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def std(self) -> float:
        """The standard deviation (dividing by num); 1 before two different numbers came."""
        return float((self.squares / self.num) ** 0.5) if self.squares > 0 else 1.0


def update_moments(moments: Moments, batch: Any) -> Moments:
    """Running moments with a batch more, as if all had come at once.

        n = a + b,   d = mean_b - mean_a
        mean = mean_a + d * b / n,    M = M_a + M_b + d^2 * a * b / n

    Source: Chan, Golub and LeVeque 1979 (parallel variance).

    >>> update_moments(update_moments(Moments(), [1.0]), [3.0])
    Moments(num=2.0, mean=2.0, squares=2.0)
    """
    found = finite("rewards", batch)
    if not found.size:
        return moments
    num = moments.num + found.size
    gap = float(found.mean()) - moments.mean
    squares = float(np.square(found - found.mean()).sum())
    return Moments(
        num,
        moments.mean + gap * found.size / num,
        moments.squares + squares + gap * gap * moments.num * found.size / num,
    )


def scaled_rewards(
    rewards: Any, moments: Moments, centre: bool = False, clip: float | None = None
) -> np.ndarray:
    """PPO-max: rewards in units of their running spread, clipped.

        r~ = clip( (r - [mean]) / std, -c, c )

    rewards: any shape. moments: of all rewards so far, these included. centre: subtract the mean
    too; needless where advantages are whitened. clip: c (None: no clip). Source: Zheng et al. 2023,
    "Secrets of RLHF in Large Language Models Part I", card [176].

    >>> scaled_rewards([0.0, 4.0], Moments(2.0, 2.0, 8.0), centre=True, clip=0.5).tolist()
    [-0.5, 0.5]
    """
    found = finite("rewards", rewards)
    scaled = (found - moments.mean if centre else found) / moments.std
    return scaled if clip is None else np.clip(scaled, -clip, clip)


def whitened(advantages: Any, mask: Any, centre: bool = True, epsilon: float = 1e-8) -> np.ndarray:
    """Advantages of a whole batch with mean 0 and spread 1 over the tokens that count.

        A~ = (A - mean) / (std + epsilon)      (without the mean where centre is False)

    advantages, mask: same shape; mean and spread are over mask only (with the prompt in them they
    would mean nothing). Returns the same shape, 0 outside the mask. Source: common to PPO's code;
    card [176].

    >>> whitened([9.0, 1.0, 3.0], [0, 1, 1]).round(6).tolist()
    [0.0, -1.0, 1.0]
    """
    real = np.asarray(mask) != 0
    found = finite("advantages", np.where(real, advantages, 0.0))
    inside = found[real]
    if not inside.size:
        return np.zeros(found.shape)
    shift = inside.mean() if centre else 0.0
    return np.where(real, (found - shift) / (inside.std() + epsilon), 0.0)
