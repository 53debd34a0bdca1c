"""Generalised advantage estimation, and how much of the returns the values know."""

from __future__ import annotations

from typing import Any

import numpy as np

from askesis.formulas.finite import finite


def gae(
    rewards: Any, values: Any, gamma: float = 1.0, lambda_: float = 0.95, last_value: Any = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Generalised advantage estimation over one attempt's own tokens or steps.

        delta_t = r_t + gamma * V_{t+1} - V_t
        A_t     = delta_t + gamma * lambda * A_{t+1},     return_t = A_t + V_t

    rewards: r, (..., T). values: V, the same shape, V_t *before* acting at t. gamma, lambda_: in
    [0, 1]; 1 and 0.95 are usual for language, lambda 1 makes A the return minus V. last_value:
    V_T, (...), 0 where the task ended, the value of what came next where *we* cut it off: treating
    a cut as an end teaches that time runs out. Returns advantages and returns, both (..., T).
    Leave out tokens that are not the policy's (prompts, answers of a world) before calling, or they
    count as steps. Source: Schulman et al. 2015, "High-Dimensional Continuous Control Using
    Generalized Advantage Estimation", equation 16.

    >>> advantages, returns = gae([0.0, 1.0], [0.5, 0.5], gamma=1.0, lambda_=0.5)
    >>> advantages.tolist(), returns.tolist()
    ([0.25, 0.5], [0.75, 1.0])
    """
    r, v = finite("rewards", rewards), finite("values", values)
    if r.shape != v.shape:
        raise ValueError(f"rewards have shape {r.shape}, values {v.shape}")
    advantages = np.zeros(r.shape)
    ahead = np.zeros(r.shape[:-1])
    value_ahead = np.broadcast_to(finite("last_value", last_value), r.shape[:-1])
    for t in range(r.shape[-1] - 1, -1, -1):
        delta = r[..., t] + gamma * value_ahead - v[..., t]
        ahead = delta + gamma * lambda_ * ahead
        advantages[..., t], value_ahead = ahead, v[..., t]
    return advantages, advantages + v


def explained_variance(value: Any, returns: Any) -> float:
    """How much of the returns the values know: 1 all, 0 nothing more than their mean, below: worse.

        1 - Var(R - V) / Var(R)

    value, returns: (n,). 0 where the returns do not vary.

    >>> explained_variance([1.0, 2.0], [1.0, 2.0]), explained_variance([0.0, 0.0], [1.0, 2.0])
    (1.0, 0.0)
    """
    v, r = finite("values", value), finite("returns", returns)
    spread = r.var() if len(r) else 0.0
    return float(1 - (r - v).var() / spread) if spread > 0 else 0.0
