"""What a run over several worlds kept, lost and carried over, from its kept snapshots.

Every world is evaluated after every phase, on the same tasks under the same noise, so that a
difference along a column of the matrix is paired by task. Definitions are those of
`askesis.formulas.forgetting`, card [63].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from askesis.config import from_tree
from askesis.errors import RunError, WorldError, nearest
from askesis.formulas.forgetting import (
    forgetting,
    lifetime,
    maintenance,
    normalised,
    performance_recovery,
    recovery_time,
    relative_performance,
    sample_efficiency,
    terminal_performance,
    transfers,
)
from askesis.formulas.intervals import Estimate, paired_difference
from askesis.lab.evaluate import Evaluation, OnProgress, evaluate
from askesis.lab.snapshots import kept, speaking_model
from askesis.plan import Phase, Plan
from askesis.store.run_store import RunStore

NUM_TASKS = 256
NUM_ATTEMPTS = 4


@dataclass(frozen=True)
class Life:
    """The matrix of a run. Rows: `stages`, "start" and then every phase; columns: `worlds`.

    learnt: the column learnt in each phase, -1 where that is not one of the worlds. snapshots:
    whose weights each row is. evaluations: one per world, of the different snapshots.
    """

    worlds: tuple[str, ...]
    stages: tuple[str, ...]
    learnt: tuple[int, ...]
    snapshots: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]

    @property
    def matrix(self) -> np.ndarray:
        """pass@1, (stages, worlds)."""
        cells = [[self.cell(i, w).value for w in range(len(self.worlds))]
                 for i in range(len(self.stages))]  # fmt: skip
        return np.array(cells)

    def cell(self, stage: int, world: int) -> Estimate:
        """pass@1 of one world at one stage, with its interval over tasks."""
        return self.evaluations[world].scores[self._place(stage, world)].pass_at(1)

    def change(self, world: int, since: int, until: int = -1) -> Estimate:
        """What became of a world between two stages, paired by task."""
        stages = range(len(self.stages))
        first, last = self._place(stages[since], world), self._place(stages[until], world)
        scores = self.evaluations[world].scores
        return paired_difference(scores[first].per_task(1), scores[last].per_task(1))

    def kept(self, world: int) -> Estimate | None:
        """The last stage against the one after the world's most recent phase, paired by task;
        below 0 it was forgotten. None where it was never learnt or was learnt last."""
        blocks = [i for i, w in enumerate(self.learnt) if w == world]
        if not blocks or blocks[-1] == len(self.learnt) - 1:
            return None
        return self.change(world, blocks[-1] + 1)

    def figures(self) -> dict[str, Any]:
        """All that follows from the matrix, as plain values; None where it is not defined."""
        e, learnt = self.matrix, list(self.learnt)
        per_world = zip(self.worlds, maintenance(e, learnt), forgetting(e), e[-1], strict=True)
        ways: dict[str, Any] = {}
        for way in ("forward", "backward"):
            pairs = transfers(e, learnt, way)  # type: ignore[arg-type]
            ways[f"{way}_transfer"] = _known(lifetime([t.value for t in pairs]))
            ways[f"{way}_transfers"] = [
                [self.stages[t.block + 1], self.worlds[t.source], self.worlds[t.target],
                 _known(t.value)] for t in pairs
            ]  # fmt: skip
        return {
            "performance_maintenance": _known(lifetime(maintenance(e, learnt).tolist())),
            "forgetting": _known(lifetime(forgetting(e).tolist())),
            "last": float(e[-1].mean()),
            "worlds": {
                name: {"maintenance": _known(pm), "forgetting": _known(lost), "last": float(end)}
                for name, pm, lost, end in per_world
            },
            **ways,
        }

    def _place(self, stage: int, world: int) -> int:
        ids = [s.snapshot for s in self.evaluations[world].scores]
        return ids.index(self.snapshots[stage])


def life(
    path: Path,
    worlds: Sequence[str] = (),
    *,
    role: str = "claim",
    num_tasks: int = NUM_TASKS,
    num_attempts: int = NUM_ATTEMPTS,
    temperature: float = 1.0,
    on_progress: OnProgress | None = None,
) -> Life:
    """Fill the matrix of a run: every world after every phase that has ended or begun.

    worlds: names from the plan's table of worlds (empty: all of them). The rest as in
    `askesis.lab.evaluate.evaluate`; every evaluation is a look in the run's ledger.
    Raises RunError where a phase's last weights are not there, WorldError for an unknown world.
    """
    store = RunStore.open(path)
    try:
        plan: Plan = from_tree(store.config)
        names = tuple(worlds) or tuple(plan.worlds)
        for name in names:
            if name not in plan.worlds:
                raise WorldError(f"{path} has no world {name!r}", hint=nearest(name, plan.worlds))
        model = speaking_model(plan)
        ends = phase_ends(store, plan, model)
        snapshots = (kept(store, model)[0]["id"], *(snapshot for _, snapshot in ends))
    finally:
        store.close()
    found = [
        evaluate(
            path,
            snapshots=tuple(dict.fromkeys(snapshots)),
            world=plan.worlds[name],
            role=role,
            num_tasks=num_tasks,
            num_attempts=num_attempts,
            temperature=temperature,
            by="askesis.lab.forgetting",
            on_progress=on_progress,
        )
        for name in names
    ]
    learnt = [world_of(phase) for phase, _ in ends]
    return Life(
        names,
        ("start", *(phase.name for phase, _ in ends)),
        tuple(names.index(w) if w in names else -1 for w in learnt),
        snapshots,
        tuple(found),
    )


def phase_ends(store: Any, plan: Plan, model: str) -> list[tuple[Phase, str]]:
    """Every phase with durable rounds and the snapshot its last one ended with.

    Raises RunError where there is none yet, or a snapshot's weights were cleaned up.
    """
    rounds = [r for r in store.rounds() if r["durable"]]
    if not rounds:
        raise RunError(
            f"{store.path} has no finished round yet", hint="wait for its first segment to close"
        )
    ended = [e["round"] for e in store.events("phase_ended") if e["durable"]]
    last = rounds[-1]["round"] + 1
    if not ended or ended[-1] < last:
        ended.append(last)  # the phase the run is in, or was stopped in
    there = {row["id"] for row in kept(store, model)}
    found = []
    for phase, end in zip(plan.phases, ended, strict=False):
        ends = next((r["snapshots"] for r in reversed(rounds) if r["round"] < end), ())
        snapshot = next((s for s in ends if s.partition("@")[0] == model), f"{model}@0")
        if snapshot not in there:
            raise RunError(
                f"phase {phase.name!r} of {store.path} ended with {snapshot}, whose weights are "
                "not there",
                hint="run it again and keep its snapshots (no askesis gc before this)",
            )
        found.append((phase, snapshot))
    return found


def world_of(phase: Phase) -> str:
    """The world whose tasks a phase learns from, as its tasks part says; "" where it does not."""
    return str(getattr(phase.parts.get("tasks"), "world", ""))


# ---------------------------------------------------------------- while learning


@dataclass(frozen=True)
class AgainstExpert:
    """How one world was learnt within a run, relative to a run that learnt nothing else.

    Undefined figures are None. recovery_times: one per re-visit; recovery: above 0 where they
    become shorter.
    """

    relative_performance: float | None
    sample_efficiency: float | None
    recovery_times: tuple[int, ...]
    recovery: float | None


KEY = "measure/train_accuracy"


def learning_blocks(path: Path, key: str = KEY) -> list[tuple[str, list[float]]]:
    """Per phase of a run, the world it learns and a metric of its rounds, oldest first."""
    store = RunStore.open(path)
    try:
        plan: Plan = from_tree(store.config)
        rows = store.metrics(key)
        ended = [e["round"] for e in store.events("phase_ended")] + [store.last_round + 1]
    finally:
        store.close()
    if not rows:
        raise RunError(
            f"{path} has no metric {key!r}", hint="measure Groups, or name another metric"
        )
    blocks, begin = [], 0
    for phase, end in zip(plan.phases, ended, strict=False):
        curve = [row["value"] for row in rows if begin <= row["round"] < end]
        blocks.append((world_of(phase), curve))
        begin = end
    return [(world, curve) for world, curve in blocks if curve]


def against_experts(
    path: Path, experts: Mapping[str, Path], key: str = KEY
) -> dict[str, AgainstExpert]:
    """Relative performance, sample efficiency and recovery of the worlds of a run.

    experts: world -> a run that learnt only that, from the same start; an experience is a round,
    its performance the metric `key`. Performances are put on the scale from 1 to 101 per world,
    over both runs. Raises RunError where a run has no such metric.
    """
    blocks = learning_blocks(path, key)
    found = {}
    for world, expert_path in experts.items():
        mine = [curve for name, curve in blocks if name == world]
        if not mine:
            raise RunError(
                f"{path} never learnt world {world!r}",
                hint=nearest(world, [name for name, _ in blocks]),
            )
        expert = [x for _, curve in learning_blocks(expert_path, key) for x in curve]
        both = [*expert, *(x for curve in mine for x in curve)]
        low, high = min(both), max(both)
        visits = [normalised(curve, low, high) for curve in mine]
        joined, other = np.concatenate(visits).tolist(), normalised(expert, low, high).tolist()
        times = [
            recovery_time(visit.tolist(), terminal_performance(before.tolist()))
            for before, visit in pairwise(visits)
        ]
        found[world] = AgainstExpert(
            _known(relative_performance(joined, other)),
            _known(sample_efficiency(joined, other)),
            tuple(times),
            _known(performance_recovery(times)),
        )
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
