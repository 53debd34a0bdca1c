"""The learning rate of each update of a call, from the options of a learner."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from askesis.formulas.schedules import infinite_factor, refined_factors, schedule_factor

Schedule = Literal["constant", "linear", "cosine", "infinite", "refined"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)


def factor_of(learn: Any, update: int, num_updates: int, num_before: int) -> float:
    """The factor on the peak learning rate for one update of a call.

    learn: an `askesis.learn.learner.Learn`. update: counted from 0 within the call of
    `num_updates`. num_before: updates that the optimiser has made in its life.
    """
    if learn.schedule == "infinite":
        start = learn.anneal_after
        end = None if start is None else start + learn.anneal_updates
        return infinite_factor(
            num_before,
            learn.warmup_updates,
            learn.cooldown_updates,
            learn.level,
            start,
            end,
            learn.anneal_floor,
        )
    if learn.schedule == "refined":
        return float(refined_curve(learn.grad_norms, num_updates)[update])
    num_warmup = int(learn.warmup_fraction * num_updates)
    return schedule_factor(learn.schedule, update, num_updates, num_warmup)


def refined_curve(grad_norms: tuple[float, ...], num_updates: int) -> np.ndarray:
    """The refined schedule stretched over `num_updates`, (num_updates,), none of them 0.

    The curve ends at 0 one update after the last, so that no update is wasted.
    """
    curve = refined_factors(grad_norms)
    places = np.linspace(0, len(curve) - 1, num_updates + 1)[:-1]
    found = np.interp(places, np.arange(len(curve)), curve)
    return found / found.max()
