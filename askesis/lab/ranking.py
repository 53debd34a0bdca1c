"""How often a reward model ranks two answers as people would, on tasks no run has seen.

The pairs are those that annotators would be shown, the truth is what endlessly many of them would
say. Every snapshot meets the same pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from askesis.budget import Meter
from askesis.config import from_tree
from askesis.engines.open import open_engine
from askesis.errors import WorldError
from askesis.lab.evaluate import EVALUATION_SEED, draw_distinct
from askesis.lab.snapshots import open_snapshot, resolve, speaking_model
from askesis.models.shelf import Shelf
from askesis.plan import Plan, RoleSpec
from askesis.records import Purpose, Start, TaskRole, Turn
from askesis.requests import Value
from askesis.rng import Streams
from askesis.speakers import Speakers
from askesis.store.run_store import RunStore
from askesis.worlds.open import open_world

ROLE = "policy"  # answers are read as if this role had said them


def rank_pairs(
    path: Path, snapshot: str, *, world: str = "", role: str = "claim", num_pairs: int = 1000
) -> list[float]:
    """1 where the snapshot's value head puts the better answer higher, 0 where lower, 0.5 where it
    gives both the same; one pair a task, in the order of the tasks.

    Raises WorldError where the world has no preferences.
    """
    with RunStore.open(path) as store:
        plan: Plan = from_tree(store.config)
        row = resolve(store, snapshot, speaking_model(plan))
    opened: Any = open_world(world or plan.worlds.get("main") or next(iter(plan.worlds.values())))
    if not hasattr(opened, "annotated_pair") or not hasattr(opened, "preference"):
        raise WorldError(
            f"world {opened.id!r} has no preferences to rank by",
            expected="a world such as preferences",
        )
    rng = Streams(EVALUATION_SEED).generator("pairs", opened.id, role)
    tasks = draw_distinct(opened, TaskRole(role), num_pairs)
    pairs = [opened.annotated_pair(task, rng)[:2] for task in tasks]
    gaps = _gaps(open_snapshot(plan, row), tasks, pairs)
    better = [
        np.sign(opened.preference(t, a, b) - 0.5) for t, (a, b) in zip(tasks, pairs, strict=True)
    ]
    return [0.5 + 0.5 * float(np.sign(g) * b) for g, b in zip(gaps, better, strict=True)]


def _gaps(model: Any, tasks: list[Any], pairs: list[tuple[str, str]]) -> list[float]:
    """The head's number for the first answer less that for the second."""
    models = {model.name: model}
    speakers = Speakers(
        {ROLE: RoleSpec(model=model.name)}, models, Shelf(models), Meter(), open_engine, lambda s: 1
    )
    try:
        asked = [
            Value(ROLE, Start(task), (Turn(ROLE, text),), purpose=Purpose.MEASURE)
            for task, pair in zip(tasks, pairs, strict=True)
            for text in pair
        ]
        found = speakers.value(asked)
    finally:
        speakers.close()
    if failed := next((f for f in found if isinstance(f, Exception)), None):
        raise failed
    return [float(a) - float(b) for a, b in zip(found[::2], found[1::2], strict=True)]
