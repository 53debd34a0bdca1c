"""Recipes on the smallest world with the bigram model: exact, and instant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from askesis.lab.begin import plan_for
from askesis.models.tabular import TabularModel
from askesis.records import Attempt
from askesis.run import Run
from askesis.store.run_store import RunStore
from tests.probes.house import LetterWorld

ALPHABET = "abxy"


def on_letters(
    recipe: str, path: Path, *options: tuple[str, str], world: Any = None, models: Any = None
) -> Run:
    """A finished run with its store open for reading. Every model of the plan is a table."""
    plan = plan_for(recipe, [("tasks.num", "16"), *options])
    if models is None:
        models = {name: TabularModel(name, ALPHABET) for name in plan.models}
    run = Run.create(plan, path, {"main": world or LetterWorld()}, models, segment_s=0)
    run.improve()
    run.close()
    run.store = RunStore.open(path)
    return run


def metrics_of(run: Run, index: int) -> dict[str, float]:
    """The metrics of one round."""
    return {m["key"]: m["value"] for m in run.store.metrics() if m["round"] == index}


def rewards_of(run: Run, index: int) -> list[list[tuple[Attempt, float]]]:
    """Per group of a round, its attempts with their rewards, in the order they were made."""
    value = {v.about.attempt: v.value for v in run.store.read("verdicts", {"round": index})}
    groups: dict[str, list[tuple[Attempt, float]]] = {}
    for attempt in run.store.read("attempts", {"round": index}):
        if attempt.purpose != "measure":
            groups.setdefault(attempt.start.key, []).append((attempt, value[attempt.id]))
    return list(groups.values())


def hand_gradient(pushes: list[tuple[Attempt, Any]], vocab: int = 6) -> np.ndarray:
    """Minus the gradient of a loss that is -sum of push * log-probability of each said token,
    at a table of zeros: every row is uniform over all tokens but padding, the last. A push is a
    number for all tokens of an attempt, or one for each."""
    gradient = np.zeros((vocab, vocab))
    uniform = np.append(np.full(vocab - 1, 1 / (vocab - 1)), 0.0)
    for attempt, push in pushes:
        (turn,) = attempt.turns
        read = [turn.context[-1], *turn.tokens[:-1]]
        each = np.broadcast_to(push, len(read))
        for before, token, own in zip(read, turn.tokens, each, strict=True):
            gradient[before] += own * (np.eye(vocab)[token] - uniform)
    return gradient


def first_adam_step(gradient: np.ndarray, learning_rate: float) -> torch.Tensor:
    """Where a table of zeros is after one step of Adam along a gradient that is not clipped."""
    return torch.tensor(learning_rate * gradient / (np.abs(gradient) + 1e-8), dtype=torch.float32)
