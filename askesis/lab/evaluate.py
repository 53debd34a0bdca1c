"""Claims: what kept snapshots can do on tasks that no run ever sees.

A claim is made here and nowhere else. Every snapshot meets the same tasks under the same noise;
tasks are what is independent, so intervals are over tasks, and a difference between two snapshots
is paired by task. Every look is a row in the run's ledger, so that a report can say how often
somebody looked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askesis.config import from_tree
from askesis.errors import ConfigError, WorldError
from askesis.formulas.intervals import Estimate, clustered_mean, paired_difference
from askesis.formulas.pass_at_k import pass_at_k
from askesis.lab.snapshots import open_snapshot, resolve, speaking_model
from askesis.lab.speech import Answerer, close_world
from askesis.plan import Plan
from askesis.records import Task, TaskRole
from askesis.requests import Sampling
from askesis.rng import Streams
from askesis.store.run_store import RunStore
from askesis.worlds.open import open_world

EVALUATION_SEED = 1_000_003  # the same tasks and noise for every run and snapshot
NUM_TASKS = 1000  # a difference of 4 points in pass@1 is then visible (95 %, unpaired)
NUM_ATTEMPTS = 8

OnProgress = Callable[[str, int, int], None]  # snapshot, tasks done, tasks in all


@dataclass(frozen=True)
class Scores:
    """What one snapshot scored. `task_scores` are the attempts' scores, task by task.

    `mean_tokens` is the mean length of an answer, `cut_off_fraction` the share of answers that
    the allowance or the context cut, `num_failed` answers that could not be made at all.
    """

    snapshot: str
    round: int
    world: str
    role: str
    num_attempts: int
    temperature: float
    task_scores: tuple[tuple[float, ...], ...]
    mean_tokens: float
    cut_off_fraction: float
    num_failed: int
    tokens: int
    seconds: float

    def per_task(self, k: int) -> list[float]:
        """Unbiased pass@k of every task; an answer passes with a score of 1."""
        right = [sum(score >= 1.0 for score in scores) for scores in self.task_scores]
        return [pass_at_k(self.num_attempts, n, k) for n in right]

    def pass_at(self, k: int) -> Estimate:
        """pass@k with its 95 % interval over tasks."""
        return clustered_mean([[v] for v in self.per_task(k)])

    def plain(self) -> dict[str, Any]:
        """Numbers for the ledger and for JSON."""
        found: dict[str, Any] = {"num_tasks": len(self.task_scores)}
        for k in shown_k(self.num_attempts):
            e = self.pass_at(k)
            found[f"pass@{k}"] = e.value
            found[f"pass@{k}/low"], found[f"pass@{k}/high"] = e.low, e.high
        found |= {
            "mean_tokens": self.mean_tokens,
            "cut_off_fraction": self.cut_off_fraction,
            "num_failed": self.num_failed,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        return found


@dataclass(frozen=True)
class Evaluation:
    """Scores of several snapshots on the same tasks, the first of them the one to compare with."""

    scores: tuple[Scores, ...]

    def difference(self, k: int, first: int = 0, second: int = -1) -> Estimate:
        """pass@k of one snapshot minus that of another, paired by task, with its interval."""
        return paired_difference(self.scores[first].per_task(k), self.scores[second].per_task(k))

    def verdict(self, k: int) -> str:
        """In words: does the last differ from the first?"""
        d = self.difference(k)
        if not math.isfinite(d.low):
            return "too few tasks to say"
        if d.low > 0:
            return "higher"
        return "lower" if d.high < 0 else "no difference shown"


def shown_k(num_attempts: int) -> list[int]:
    """The k for which pass@k is reported: 1, the powers of four below n, and n."""
    powers = [k for k in (1, 4, 16, 64) if k < num_attempts]
    return list(dict.fromkeys([*powers, num_attempts]))


def evaluate(
    path: Path,
    *,
    snapshots: Sequence[str] = ("first", "last"),
    world: str = "",
    role: str = "claim",
    num_tasks: int = NUM_TASKS,
    num_attempts: int = NUM_ATTEMPTS,
    temperature: float = 1.0,
    max_tokens: int | None = None,
    engine: str = "",
    by: str = "askesis eval",
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Score kept snapshots of a run on tasks of one world and role; notes every look.

    snapshots: names as in `askesis.lab.snapshots.resolve`. world: a world's spec, "" for the
    run's own main world. role: "claim", "decide" or "train". by: who looked, for the ledger.
    Raises RunError, WorldError or ConfigError before anything is sampled.
    """
    task_role = _role(role)
    if num_tasks < 1 or num_attempts < 1:
        raise ConfigError("evaluation needs at least one task and one attempt")
    store = RunStore.open(path)
    opened: Any = None
    try:
        plan: Plan = from_tree(store.config)
        model = speaking_model(plan)
        rows = list({r["id"]: r for r in (resolve(store, s, model) for s in snapshots)}.values())
        opened = open_world(world or plan.worlds.get("main") or next(iter(plan.worlds.values())))
        tasks = draw_distinct(opened, task_role, num_tasks)
        found = []
        for row in rows:
            scores = _score(
                plan,
                row,
                opened,
                tasks,
                task_role,
                num_attempts=num_attempts,
                sampling=Sampling(
                    temperature=temperature, max_tokens=max_tokens or opened.max_answer_tokens
                ),
                engine=engine or next(iter(plan.roles.values())).engine,
                on_progress=on_progress,
            )
            store.look(
                scores.snapshot,
                scores.world,
                scores.role,
                len(tasks),
                metrics={k: v for k, v in scores.plain().items() if k != "num_tasks"},
                note={"by": by, "num_attempts": num_attempts, "temperature": temperature},
            )
            found.append(scores)
    finally:
        store.close()
        close_world(opened)
    return Evaluation(tuple(found))


def draw_distinct(world: Any, role: TaskRole, num: int) -> list[Task]:
    """`num` different tasks of a role, the same ones every time.

    Raises WorldError where the world has fewer.
    """
    rng = Streams(EVALUATION_SEED).generator("evaluation", world.id, role.value)
    if hasattr(world, "draw_distinct"):
        return list(world.draw_distinct(role, rng, num))
    found: dict[str, Task] = {}
    for _ in range(20):
        for task in world.draw(role, rng, num):
            found.setdefault(world.canonical(task), task)
        if len(found) >= num:
            return list(found.values())[:num]
    raise WorldError(
        f"world {world.id!r} has too few {role.value} tasks",
        expected=f"{num} different ones",
        found=f"{len(found)}",
        hint=f"ask for fewer: --num {len(found)}",
    )


def _score(
    plan: Plan,
    row: dict[str, Any],
    world: Any,
    tasks: Sequence[Task],
    role: TaskRole,
    *,
    num_attempts: int,
    sampling: Sampling,
    engine: str,
    on_progress: OnProgress | None,
) -> Scores:
    began = time.perf_counter()
    answerer = Answerer(open_snapshot(plan, row), engine=engine)
    scores: list[tuple[float, ...]] = []
    tokens = cut = failed = 0
    try:
        for i, said in answerer.answers(
            world, tasks, num_attempts=num_attempts, sampling=sampling, seed=EVALUATION_SEED
        ):
            scores.append(tuple(s.score for s in said))
            tokens += sum(s.num_tokens for s in said)
            cut += sum(s.stop.cut_off for s in said)
            failed += sum(bool(s.error) for s in said)
            if on_progress is not None:
                on_progress(row["id"], i + 1, len(tasks))
    finally:
        answerer.close()
    num = len(tasks) * num_attempts
    return Scores(
        snapshot=row["id"],
        round=row["round"],
        world=world.id,
        role=role.value,
        num_attempts=num_attempts,
        temperature=sampling.temperature,
        task_scores=tuple(scores),
        mean_tokens=tokens / num,
        cut_off_fraction=cut / num,
        num_failed=failed,
        tokens=tokens,
        seconds=time.perf_counter() - began,
    )


def _role(name: str) -> TaskRole:
    try:
        return TaskRole(name)
    except ValueError:
        roles = ", ".join(r.value for r in TaskRole)
        what = f"there is no role {name!r} of tasks"
        raise ConfigError(what, hint=f"There are: {roles}") from None
