"""Two hundred rounds without learning: how far does the true score drift?

    python -m benchmarks.null_rounds [--seeds 40] [--runs 3] [--to results]

It takes about 40 seconds of one core.

A policy answers twenty kinds of tasks, each rightly with a probability of its own, so its true
score is known exactly. Rounds change it by chance (`CHANGES`), and what survives is decided by one
of the `RULES`. The decisions are those of `KeepOrRevert`, with its own functions and defaults: 128
tasks of 4 attempts, four looks. Both candidates answer with independent noise here, which is the
worst case; in the last part real runs of the package (the coin world of
`benchmarks.null_rounds_run`) share it.

Cells that are in the result already, made with the same settings, are not made again; a command
that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from askesis.formulas.sequential import look_confidences
from askesis.retain.keep_or_revert import KeepOrRevert, decide, looks
from benchmarks.machine import describe
from benchmarks.null_rounds_page import page
from benchmarks.null_rounds_run import real_cells

ROUNDS, KINDS, SPREAD = 200, 20, 1.5
DEFAULTS = KeepOrRevert()
ENDS = looks(DEFAULTS.num_tasks, DEFAULTS.num_looks)
CONFIDENCES = look_confidences(len(ENDS), DEFAULTS.confidence)
SIXTEEN = 16

# per round: what is added to every logit, and the spread of what is added to each one
CHANGES: dict[str, tuple[float, float]] = {
    "nothing": (0.0, 0.0),
    "random steps": (0.0, 0.1),
    "slow decline": (-0.02, 0.05),
    "slow rise": (0.02, 0.05),
}
RULES: dict[str, tuple[str, int]] = {
    "keep everything": ("none", 1),
    "higher score on the same sixteen tasks": ("sixteen", 1),
    "against the last kept, each round": ("last", 1),
    "against the best kept, each round": ("best", 1),
    "against the last kept, each fourth round": ("last", 4),
    "against the best kept, each fourth round": ("best", 4),
}


@dataclass
class Policy:
    """Twenty logits; `truth` is the exact mean probability of a right answer."""

    logits: np.ndarray

    @property
    def right(self) -> np.ndarray:
        return 1 / (1 + np.exp(-self.logits))

    @property
    def truth(self) -> float:
        return float(self.right.mean())

    def scores(self, kinds: np.ndarray, rng: np.random.Generator, attempts: int) -> np.ndarray:
        return rng.binomial(attempts, self.right[kinds]) / attempts

    def changed(self, change: str, rng: np.random.Generator) -> Policy:
        step, spread = CHANGES[change]
        return Policy(self.logits + step + spread * rng.normal(size=KINDS))


@dataclass
class Life:
    """What happened in one sequence of rounds."""

    truths: list[float]
    decisions: int = 0
    reverts: int = 0
    wrong_reverts: int = 0  # although the candidate was truly no worse than what it went back to
    promotions: int = 0
    wrong_promotions: int = 0  # although it was truly no better than the old mark
    tasks: int = 0
    believed: float = 0.0  # the score that the rule itself has of what it keeps

    def plain(self) -> dict[str, float]:
        first, t = self.truths[0], np.array(self.truths)
        return {
            "drift": float(t[-1] - first),
            "lowest": float(t.min() - first),
            "below_best": float((np.maximum.accumulate(t) - t).max()),
            "believed_too_high": self.believed - float(t[-1]),
            "decisions": self.decisions,
            "reverts": self.reverts,
            "wrong_reverts": self.wrong_reverts,
            "promotions": self.promotions,
            "wrong_promotions": self.wrong_promotions,
            "tasks_share": self.tasks / (self.decisions * DEFAULTS.num_tasks)
            if self.decisions
            else 0.0,
        }


def one_life(change: str, rule: str, seed: int) -> dict[str, float]:
    """Two hundred rounds under one rule; seeds are those of policy, changes and decisions."""
    kind, every = RULES[rule]
    begin, steps, looking = (np.random.default_rng([seed, part]) for part in range(3))
    policy = Policy(SPREAD * begin.normal(size=KINDS))
    mark, life = policy, Life([policy.truth])
    fixed = begin.integers(KINDS, size=SIXTEEN)
    life.believed = float(policy.scores(fixed, looking, 1).mean()) if kind == "sixteen" else 0.0
    for index in range(ROUNDS):
        candidate = policy.changed(change, steps)
        if kind == "sixteen":
            score = float(candidate.scores(fixed, looking, 1).mean())
            life.decisions += 1
            if score > life.believed:
                policy, life.believed = candidate, score
        elif kind != "none" and (index + 1) % every == 0:
            policy, mark = settled(life, mark, candidate, kind, looking)
        else:
            policy = candidate
        life.truths.append(policy.truth)
    if kind != "sixteen":
        life.believed = policy.truth
    return life.plain()


def settled(
    life: Life, mark: Policy, candidate: Policy, kind: str, rng: np.random.Generator
) -> tuple[Policy, Policy]:
    """What is kept and what is the mark after one decision of `KeepOrRevert`."""
    kinds = rng.integers(KINDS, size=DEFAULTS.num_tasks)
    old = mark.scores(kinds, rng, DEFAULTS.num_attempts)
    new = candidate.scores(kinds, rng, DEFAULTS.num_attempts)
    decision, end = 0, 0
    for end, confidence in zip(ENDS, CONFIDENCES, strict=True):
        decision = decide(old[:end].tolist(), new[:end].tolist(), confidence)[1]
        if decision:
            break
    life.decisions += 1
    life.tasks += end
    if decision < 0:
        life.reverts += 1
        life.wrong_reverts += candidate.truth >= mark.truth
        return mark, mark
    if decision > 0:
        life.promotions += 1
        life.wrong_promotions += candidate.truth <= mark.truth
    return candidate, candidate if decision > 0 or kind == "last" else mark


def simulated_cells(seeds: int) -> Iterator[tuple[str, Callable[[], list[dict[str, float]]]]]:
    """Name and maker of every cell of the simulation."""
    for change in CHANGES:
        for rule in RULES:
            yield f"{change} | {rule}", partial(_lives, change, rule, seeds)


def _lives(change: str, rule: str, seeds: int) -> list[dict[str, float]]:
    return [one_life(change, rule, seed) for seed in range(seeds)]


def _columns(lives: list[dict[str, float]]) -> dict[str, list[float]]:
    """One list per figure instead of one mapping per life: a tenth of the size on disk."""
    return {key: [round(life[key], 6) for life in lives] for key in lives[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "results")
    given = parser.parse_args()
    settings = {
        "rounds": ROUNDS, "kinds": KINDS, "spread": SPREAD, "seeds": given.seeds,
        "runs": given.runs, "changes": {k: list(v) for k, v in CHANGES.items()},
        "num_tasks": DEFAULTS.num_tasks, "num_attempts": DEFAULTS.num_attempts,
        "num_looks": len(ENDS), "confidence": DEFAULTS.confidence,
    }  # fmt: skip
    there = given.to / "null_rounds.json"
    whole: dict[str, Any] = json.loads(there.read_text()) if there.exists() else {}
    if whole.get("settings") != settings:
        whole = {"settings": settings, "cells": {}}
    whole["command"] = f"python -m benchmarks.null_rounds --seeds {given.seeds} --runs {given.runs}"
    given.to.mkdir(parents=True, exist_ok=True)
    for name, make in [*simulated_cells(given.seeds), *real_cells(given.runs, CHANGES, ROUNDS)]:
        if name not in whole["cells"]:
            whole["cells"][name] = _columns(make())
            whole |= {"date": date.today().isoformat(), "machine": describe()}
            there.write_text(json.dumps(whole, sort_keys=True) + "\n")
            print(name, flush=True)
    (given.to / "null_rounds.md").write_text(page(whole, list(CHANGES), list(RULES)))


if __name__ == "__main__":
    main()
