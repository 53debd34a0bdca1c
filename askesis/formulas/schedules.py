"""Learning-rate schedules: the factor on the peak learning rate at each update."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi
from typing import Literal, get_args

import numpy as np

Schedule = Literal["constant", "linear", "cosine"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)


def schedule_factor(
    schedule: str, update: int, num_updates: int, num_warmup: int = 0, floor: float = 0.0
) -> float:
    """The factor in (0, 1] for one update, counted from 0.

        warm-up   (u + 1) / W                                   for u < W
        constant  1
        linear    floor + (1 - floor) * (1 - q)
        cosine    floor + (1 - floor) * (1 + cos(pi q)) / 2,     q = (u - W) / (N - W)

    update: u, 0 <= u < N. num_updates: N. num_warmup: W, below N. floor: the factor that a
    decay approaches. q never reaches 1, so no update is made with a factor of `floor` = 0.
    Sources: linear warm-up as in Goyal et al. 2017; cosine decay as in Loshchilov and Hutter
    2016 (SGDR) without restarts. In the wild some start the warm-up at 0, which wastes a step.

    >>> [round(schedule_factor("linear", u, 6, num_warmup=2), 3) for u in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule is one of {', '.join(SCHEDULES)}, not {schedule!r}")
    if not 0 <= update < num_updates or not 0 <= num_warmup <= num_updates:
        raise ValueError(
            f"need 0 <= update < num_updates and 0 <= num_warmup <= num_updates, got "
            f"update={update}, num_updates={num_updates}, num_warmup={num_warmup}"
        )
    if update < num_warmup:
        return (update + 1) / num_warmup
    if schedule == "constant":
        return 1.0
    q = (update - num_warmup) / (num_updates - num_warmup)
    fall = 1 - q if schedule == "linear" else (1 + cos(pi * q)) / 2
    return floor + (1 - floor) * fall


def infinite_factor(
    update: int,
    warmup_end: int,
    cooldown_end: int,
    level: float = 0.1,
    anneal_start: int | None = None,
    anneal_end: int | None = None,
    floor: float = 0.01,
) -> float:
    """The infinite schedule: it has no end, and a model that goes on is never warmed up again.

        warm-up    (u + 1) / W                                       for u < W
        cool-down  c + (1 - c) / 2 * (1 + cos(pi (u - W) / (C - W)))  for W <= u < C
        constant   c                                                 for C <= u < A
        anneal     c (l / c)^((u - A + 1) / (E - A))                  for A <= u < E

    update: u, counted from 0 over the model's whole life. warmup_end, cooldown_end: W <= C, *end
    points*, not lengths. level: c, in (0, 1]. anneal_start, anneal_end: A < E, where a model is
    to be used and the rate falls to `floor` = l of the peak; None: never. Learning goes on from
    the weights before the anneal. Source: "Beyond Cosine Decay" (CoLLAs 2025), card [13]; W, C
    and A are 5, 15 and 80 % of the first data set there. That source counts from 1 in the
    warm-up and ends the anneal at l, as here.

    >>> [round(infinite_factor(u, 2, 4), 3) for u in range(6)]
    [0.5, 1.0, 1.0, 0.55, 0.1, 0.1]
    >>> [round(infinite_factor(u, 0, 0, 0.1, 1, 3, 0.001), 3) for u in range(3)]
    [0.1, 0.01, 0.001]
    """
    if not 0 <= warmup_end <= cooldown_end or update < 0:
        raise ValueError(
            f"need 0 <= warmup_end <= cooldown_end and update >= 0, got {warmup_end}, "
            f"{cooldown_end}, {update}"
        )
    if not 0 < level <= 1:
        raise ValueError(f"level must be in (0, 1], got {level}")
    if anneal_start is not None and anneal_end is not None and update >= anneal_start:
        q = min(1.0, (update - anneal_start + 1) / (anneal_end - anneal_start))
        return level * (floor / level) ** q
    if update < warmup_end:
        return (update + 1) / warmup_end
    if update < cooldown_end:
        q = (update - warmup_end) / (cooldown_end - warmup_end)
        return level + (1 - level) / 2 * (1 + cos(pi * q))
    return level


def refined_factors(grad_norms: Sequence[float], power: int = 1, smooth: bool = True) -> np.ndarray:
    """The linear schedule refined by the gradient norms of an earlier run of the same length.

        w_t = G_t^-power,    f_t = w_t * sum_{p > t} w_p,    divided by max_t f_t

    grad_norms: G_t > 0, (T,), of each update's gradient before it is scaled down, T at least 2.
    power: 1 with L1 norms for Adam, 2 with L2 norms for plain gradient descent. smooth: take the
    running median of G over a tenth of T first, without which the result is noise. Returns the
    factors f_t, (T,), float64 in [0, 1]; the last is 0. Constant norms give 1 - t / (T - 1).
    Source: Defazio et al. 2023, "When, Why and How Much? Adaptive Learning Rate Scheduling by
    Refinement", algorithm 1, card [257].

    >>> refined_factors([2.0, 2.0, 2.0, 2.0, 2.0]).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    norms = np.asarray(grad_norms, np.float64)
    if norms.ndim != 1 or len(norms) < 2 or not (np.isfinite(norms) & (norms > 0)).all():
        raise ValueError("gradient norms must be at least two finite numbers above 0")
    if smooth:
        from scipy.signal import medfilt

        width = 2 * (len(norms) // 20) + 1  # odd, about a tenth
        padded = np.pad(norms, 2 * width, mode="reflect" if len(norms) > 2 * width else "edge")
        norms = medfilt(padded, width)[2 * width : -2 * width]
    weights = norms**-power
    after = np.cumsum(weights[::-1])[::-1] - weights
    after[-1] = 0.0
    found = weights * after
    return found / found.max()
