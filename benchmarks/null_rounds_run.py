"""The null rounds as real runs: a coin world whose truth is exact, and learning that is chance."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from askesis.records import Group, Sample, Start, Task, TaskRole
from askesis.requests import Checked
from askesis.retain.keep_or_revert import KeepOrRevert
from askesis.run import Run, Watcher

LETTERS = "abcdefghijklmnopqrst"
RIGHT, WRONG, END = len(LETTERS), len(LETTERS) + 1, len(LETTERS) + 2


class Coins:
    """Twenty kinds of tasks; "1" is right."""

    id, truth, num_canonical, max_answer_tokens = "coins-v1", frozenset({"answer"}), 20, 2

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: Any = None
    ) -> list[Task]:
        drawn = [LETTERS[int(i)] for i in rng.integers(len(LETTERS), size=num)]
        return [Task(f"{self.id}:{c}", self.id, c, "1", 0.0, role) for c in drawn]

    def canonical(self, task: Task) -> str:
        return task.prompt

    def verify(self, task: Task, answer: str) -> Checked:
        return Checked(float(answer == "1"))


def coins(seed: int, spread: float = 1.5) -> TabularModel:
    """Says "1" or "0" with a probability of its own for every letter, then ends."""
    table = torch.full((len(LETTERS) + 4,) * 2, -30.0)
    table[: len(LETTERS), WRONG] = 0.0
    drawn = np.random.default_rng([seed, 9]).normal(size=len(LETTERS)) * spread
    table[: len(LETTERS), RIGHT] = torch.as_tensor(drawn).float()
    table[len(LETTERS) :, END] = 0.0
    return TabularModel("policy", LETTERS + "10", table)


def truth(model: TabularModel) -> float:
    """The exact score."""
    logits = model.module.logits.detach()[: len(LETTERS)]
    return float(torch.sigmoid(logits[:, RIGHT] - logits[:, WRONG]).double().mean())


@dataclass(frozen=True, kw_only=True)
class NoTasks:
    def draw(self, ctx: Any) -> list[Start]:
        return []


@dataclass(frozen=True, kw_only=True)
class NoAttempts:
    async def explore(self, ctx: Any, start: Start) -> list[Any]:
        return []


@dataclass(frozen=True, kw_only=True)
class NoVerdicts:
    async def judge(self, ctx: Any, group: Group) -> list[Any]:
        return []


@dataclass(frozen=True, kw_only=True)
class NoSamples:
    def select(self, ctx: Any, groups: Any, verdicts: Any) -> list[Sample]:
        return []


@dataclass(frozen=True, kw_only=True)
class Chance:
    """A learning that adds a step and noise to every logit."""

    step: float = 0.0
    spread: float = 0.0

    def learn(self, ctx: Any, model: Any, samples: Any, hooks: Any) -> dict[str, float]:
        noise = ctx.generator("chance").normal(size=len(LETTERS))
        table = model.module.logits.detach().clone()
        added = torch.as_tensor(self.step + self.spread * noise).float()
        table[: len(LETTERS), RIGHT] += added
        model.load({"logits": table})
        return {"num_updates": 1}


class Truths(Watcher):
    """The exact score after every round, and what was decided."""

    def __init__(self) -> None:
        self.truths: list[float] = []
        self.decisions: list[tuple[float, float]] = []

    def round_ended(self, rd: Any, metrics: Any) -> None:
        self.truths.append(truth(rd.run.models["policy"]))
        if "retain/keep/decision" in metrics:
            tasks = metrics["retain/keep/num_tasks"]
            self.decisions.append((metrics["retain/keep/decision"], tasks))


def one_run(change: tuple[float, float], keep: bool, seed: int, rounds: int) -> dict[str, float]:
    """A run of chance through the whole package, with the defaults of KeepOrRevert or without."""
    step, spread = change
    parts = Parts(
        tasks=NoTasks(), explore=NoAttempts(), judge=NoVerdicts(),
        select={"policy": NoSamples()}, learn={"policy": Chance(step=step, spread=spread)},
    )  # fmt: skip
    retain = (KeepOrRevert(),) if keep else ()
    phase = Phase(parts=parts, retain=retain, until=Until(rounds=rounds))
    model, seen = coins(seed), Truths()
    first = truth(model)
    with tempfile.TemporaryDirectory() as place:
        plan = Plan(recipe="null_rounds", phases=(phase,), seed=seed)
        run = Run.create(
            plan, Path(place) / "run", {"main": Coins()}, {"policy": model},
            watchers=(seen,), segment_s=1e9,
        )  # fmt: skip
        run.improve()
        run.close()
    found = np.array([first, *seen.truths])
    made = [d for d, _ in seen.decisions]
    return {
        "drift": float(found[-1] - first),
        "lowest": float(found.min() - first),
        "below_best": float((np.maximum.accumulate(found) - found).max()),
        "decisions": len(made),
        "reverts": made.count(-1),
        "promotions": made.count(1),
        "tasks_share": float(np.mean([t for _, t in seen.decisions])) / KeepOrRevert().num_tasks
        if made
        else 0.0,
    }


def real_cells(
    num_runs: int, changes: Mapping[str, tuple[float, float]], rounds: int
) -> Iterator[tuple[str, Callable[[], list[dict[str, float]]]]]:
    """Name and maker of every cell of real runs."""
    for name, change in changes.items():
        for keep in (False, True):
            rule = "with KeepOrRevert()" if keep else "without"
            yield f"run: {name} | {rule}", partial(_runs, change, keep, num_runs, rounds)


def _runs(
    change: tuple[float, float], keep: bool, num_runs: int, rounds: int
) -> list[dict[str, float]]:
    return [one_run(change, keep, seed, rounds) for seed in range(num_runs)]
