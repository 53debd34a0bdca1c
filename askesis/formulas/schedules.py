"""Learning-rate schedules: the factor on the peak learning rate at each update."""

from __future__ import annotations

from math import cos, pi
from typing import Literal, get_args

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
