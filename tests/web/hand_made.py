"""A comparison made by hand: smooth curves with noise from a fixed seed, no run behind it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

ARMS = ("star", "rft", "grpo", "dr_grpo", "dapo", "self_consistency")
WORLDS = ("countdown", "chain_arithmetic")
REACHED = {"star": 0.16, "rft": 0.17, "grpo": 0.24, "dr_grpo": 0.23, "dapo": 0.21}
SPEED = {"star": 1.0, "rft": 1.0, "grpo": 2.6, "dr_grpo": 2.5, "dapo": 3.4}  # seconds a token


def comparison(
    arms: tuple[str, ...] = ARMS, worlds: tuple[str, ...] = WORLDS, num_seeds: int = 5
) -> dict[str, Any]:
    """The content of a compare.json of these arms."""
    rng = np.random.default_rng(0)
    runs = {
        (w, a): REACHED.get(a, 0.09) + 0.05 * i + 0.012 * rng.standard_normal(num_seeds)
        for i, w in enumerate(worlds)
        for a in arms
    }
    half = 0.02 if num_seeds > 1 else 0.008
    made: dict[str, Any] = {
        "version": 1,
        "command": f"askesis compare {' '.join(arms)} --world {','.join(worlds)} --budget.tokens 1e6",
        "date": "2026-11-21",
        "machine": {"cores": 2, "cpu": "made by hand"},
        "worlds": list(worlds),
        "budget": {"tokens": 1e6},
        "metric": "pass@1",
        "metrics": ["pass@1", "pass@4"],
        "arms": list(arms),
        "seeds": list(range(num_seeds)),
        "options": {
            a: {"learn.policy.learning_rate": "0.001"} if a == "grpo" else {} for a in arms
        },
        "profile": {"thresholds": [round(0.02 * i, 2) for i in range(21)], "arms": {}},
        "conclusions": [
            "Made by hand: these figures are of no run.",
            "On countdown, grpo is above rft by 7.1 points (3.9 to 10.3).",
            "Between grpo and dr_grpo no difference is shown; five seeds would show one of 4 points.",
        ],
        "failed": [{"arm": arms[-1], "world": worlds[-1], "seed": 3, "why": "learning diverged"}],
    }
    for name in ("curves", "at_budget", "start", "improvement", "cost", "alarms", "ranking"):
        made[name] = {}
    for world in worlds:
        made["start"][world] = {
            "pass@1": {"value": 0.074, "low": 0.065, "high": 0.083},
            "pass@4": {"value": 0.21, "low": 0.19, "high": 0.23},
        }
        made["curves"][world] = {
            a: {
                axis: [
                    {
                        "x": scale * t,
                        "value": v,
                        "low": v - half,
                        "high": v + half,
                        "num_seeds": num_seeds,
                    }
                    for t in np.linspace(0, 1.1, 9).tolist()
                    for v in [
                        0.074 + (float(runs[world, a].mean()) - 0.074) * (1 - np.exp(-3 * t)) / 0.95
                    ]
                ]
                for axis, scale in (
                    ("tokens", 1e6),
                    ("trained_tokens", 4e5 * SPEED.get(a, 1)),
                    ("seconds", 60 * SPEED.get(a, 1)),
                )
            }
            for a in arms
        }
        made["at_budget"][world] = {
            a: {
                m: {
                    "value": scale * float(runs[world, a].mean()),
                    "low": scale * float(runs[world, a].mean()) - half,
                    "high": scale * float(runs[world, a].mean()) + half,
                    "per_seed": (scale * runs[world, a]).round(4).tolist(),
                }
                for m, scale in (("pass@1", 1.0), ("pass@4", 1.8))
            }
            for a in arms
        }
        made["improvement"][world] = {
            a: {
                b: {"probability": p, "low": max(0.0, p - 0.2), "high": min(1.0, p + 0.2)}
                for b in arms
                if b != a
                for p in [float((runs[world, a][:, None] > runs[world, b][None]).mean())]
            }
            for a in arms
        }
        made["cost"][world] = {
            a: {"tokens": 1e6, "trained_tokens": 4e5 * SPEED.get(a, 1), "seconds": 60 * SPEED.get(a, 1),
                "core_seconds": 60 * SPEED.get(a, 1), "updates": 900}
            for a in arms
        }  # fmt: skip
        made["alarms"][world] = {a: [] for a in arms}
        made["alarms"][world][arms[0]] = [
            {"name": "diversity_collapse", "seeds": [0, 2][:num_seeds], "num": 3}
        ]
        best = sorted(arms, key=lambda a: -float(runs[world, a].mean()))
        per_second = sorted(arms, key=lambda a: -float(runs[world, a].mean()) / SPEED.get(a, 1))
        made["ranking"][world] = {"tokens": best, "seconds": per_second}
    for a in arms:
        scores = np.concatenate([runs[w, a] for w in worlds])
        above = [float((scores > t).mean()) for t in made["profile"]["thresholds"]]
        made["profile"]["arms"][a] = {
            "value": above,
            "low": [max(0.0, v - 0.1) for v in above],
            "high": [min(1.0, v + 0.1) for v in above],
        }
    return made


def write(path: Path, content: Any = None) -> Path:
    """A directory with a compare.json in it."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "compare.json").write_text(json.dumps(comparison() if content is None else content))
    return path


if __name__ == "__main__":
    import sys

    print(write(Path(sys.argv[1])))
