"""Made-up histories: clean ones with the noise of real measurements, and each thing that can go
wrong, growing from a round on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Rows = list[tuple[int, str, dict[str, float]]]
ERROR = 0.03  # of a measured share: 64 tasks of a few attempts


def with_interval(key: str, value: float, error: float = ERROR) -> dict[str, float]:
    return {key: value, f"{key}/low": value - 1.96 * error, f"{key}/high": value + 1.96 * error}


def history(
    num: int = 30,
    seed: int = 0,
    rise: float = 0.01,
    change: Callable[[int, dict[str, float]], Mapping[str, float]] = lambda i, m: {},
    phase: str = "main",
) -> Rows:
    """Rounds of a run that improves by `rise` a round; `change` overwrites what it is given.

    Values are means before noise; every share gets noise of standard deviation ERROR.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(num):
        truth = min(0.9, 0.2 + rise * i)
        means = {
            "measure/pass@1": truth,
            "select/reward": truth,
            "select/mixed_fraction": 0.5,
            "measure/train_distinct_fraction": 0.9 - 0.5 * (truth - 0.2),
            "measure/audit/false_pass": 0.03,
            "measure/audit/false_fail": 0.03,
        }
        plain = {
            "measure/train_tokens_per_attempt": 20.0,
            "learn/policy/num_refused": 0.0,
            "learn/policy/clipped_policy_gradient/mismatch/kl": 0.001,
        }
        changed = dict(change(i, means))
        metrics: dict[str, float] = {}
        for key, mean in means.items():
            value = changed.pop(key, mean) + ERROR * float(rng.standard_normal())
            metrics |= with_interval(key, min(1.0, max(0.0, value)))
        for key, mean in plain.items():
            jitter = 1 + 0.02 * float(rng.standard_normal())
            metrics[key] = changed.pop(key, mean) * jitter
        rows.append((i, phase, metrics | changed))
    return rows


def grown(i: int, since: int, by: float) -> float:
    """0 until round `since`, then `by` more every round."""
    return by * max(0, i - since)


PROVOKED: dict[str, Callable[[int, dict[str, float]], dict[str, float]]] = {
    "reward_hacking": lambda i, m: {
        "select/reward": min(1.0, 0.2 + grown(i, 8, 0.05)),
        "measure/pass@1": 0.2,
    },
    "length_gaming": lambda i, m: {
        "measure/train_tokens_per_attempt": 20 * (1 + grown(i, 8, 0.08)),
        "measure/pass@1": 0.2,
    },
    "diversity_collapse": lambda i, m: {
        "measure/train_distinct_fraction": max(0.13, 0.9 - grown(i, 8, 0.05)),
        "measure/pass@1": 0.2,
    },
    "wasted_groups": lambda i, m: {"select/mixed_fraction": 0.5 if i < 8 else 0.0},
    "judge_drift": lambda i, m: {"measure/audit/false_pass": min(0.5, 0.03 + grown(i, 8, 0.03))},
    "forgetting": lambda i, m: {
        "measure/pass@1": min(0.5, 0.2 + 0.03 * i) - grown(i, 12, 0.03),
        "select/reward": min(0.5, 0.2 + 0.03 * i) - grown(i, 12, 0.03),
    },
    "non_finite_updates": lambda i, m: {"learn/policy/num_refused": 2.0 if i == 8 else 0.0},
    "sampler_learner_mismatch": lambda i, m: {
        "learn/policy/clipped_policy_gradient/mismatch/kl": 0.001 + grown(i, 8, 0.01)
    },
}
