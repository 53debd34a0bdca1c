"""Looks at a snapshot that see more than whether single answers are right.

turns       answers, asked for again: accuracy at every turn, mended, spoilt, votes at equal tokens
walks       a world walked move by move: success from the beginning and after forced slips
sharpness   a world whose answers can be listed: the exact probability of each
habits      single answers, and the habits of reasoning in them
beams       a step beam under the model's own value head, beside greedy and majority

A figure is an array with one number a task, the same tasks in the same order for every snapshot,
so differences are paired by task. The measures of a run (`askesis.measure`) say the same of
*decide* tasks with intervals; here are *claim* tasks, looked at once, when a run is over
(`askesis.lab.arm`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from askesis.errors import ConfigError, WorldError, nearest
from askesis.lab.looks.answers import OF_HABITS, OF_TURNS, habits, turns
from askesis.lab.looks.beams import OF_BEAMS, beams
from askesis.lab.looks.sharpness import OF_SHARPNESS, sharpness
from askesis.lab.looks.sight import FIRST, ROLE, Sight
from askesis.lab.looks.walks import OF_WALKS, walks
from askesis.specs import make

if TYPE_CHECKING:
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

KINDS: dict[str, Callable[..., Sight]] = {
    "turns": turns,
    "walks": walks,
    "sharpness": sharpness,
    "habits": habits,
    "beams": beams,
}


def look_at(path: Path, snapshot: str, look: Look) -> dict[str, Any]:
    """Look at a kept snapshot of a run and note that somebody did.

    Raises ConfigError for options that this kind of look does not have, and WorldError where the
    world lacks what it needs, before anything is sampled.
    """
    from askesis.config import from_tree
    from askesis.lab.evaluate import EVALUATION_SEED, draw_distinct
    from askesis.lab.outside import Outside
    from askesis.lab.snapshots import open_snapshot, resolve, speaking_model
    from askesis.lab.speech import close_world
    from askesis.records import TaskRole
    from askesis.store.run_store import RunStore
    from askesis.worlds.open import open_world

    check_look(look)
    store = RunStore.open(path)
    opened: Any = None
    outside: Outside | None = None
    try:
        plan: Any = from_tree(store.config)
        name = speaking_model(plan)
        row = resolve(store, snapshot, name)
        opened = open_world(
            look.world or plan.worlds.get("main") or next(iter(plan.worlds.values()))
        )
        _must_have(opened, look.kind)
        models = {ROLE: open_snapshot(plan, row)}
        if look.kind == "sharpness":
            models[FIRST] = open_snapshot(plan, resolve(store, "first", name))
        engine = next(iter(plan.roles.values())).engine
        outside = Outside(models, opened, engine=engine, seed=EVALUATION_SEED)
        tasks = draw_distinct(opened, TaskRole(look.role), look.num_tasks)
        seen: Sight = make(
            look.kind, "look", ConfigError, KINDS[look.kind], (outside, tasks, look),
            dict(look.options),
        )  # fmt: skip
        store.look(
            row["id"],
            opened.id,
            look.role,
            len(tasks),
            metrics={k: float(np.mean(v)) for k, v in seen.figures.items() if v},
            note={"by": "askesis.lab.arm", "kind": look.kind, "num_attempts": look.num_attempts},
        )
    finally:
        store.close()
        if outside is not None:
            outside.close()
        close_world(opened)
    return seen.plain()


def check_look(look: Look) -> None:
    """Raises ConfigError for a kind that there is not, or an option that it does not have."""
    if look.kind not in KINDS:
        raise ConfigError(f"there is no look {look.kind!r}", hint=nearest(look.kind, KINDS))
    known = list(inspect.signature(KINDS[look.kind]).parameters)[3:]
    for name, _ in look.options:
        if name not in known:
            what = f"look {look.kind!r} has no option {name!r}"
            raise ConfigError(what, hint=nearest(name, known))


def figure_names(look: Look) -> list[str]:
    """The figures that a look gives, beside pass@K, score and tokens."""
    if look.kind == "turns":
        num = int(dict(look.options).get("num_turns", "2"))
        return [*(f"turn{t}" for t in range(1, num + 1)), *OF_TURNS]
    known = {
        "walks": OF_WALKS, "sharpness": OF_SHARPNESS, "habits": OF_HABITS, "beams": OF_BEAMS,
    }  # fmt: skip
    return list(known[look.kind])


def _must_have(world: Any, kind: str) -> None:
    if kind == "walks" and "turns" not in world.truth:
        raise WorldError(f"world {world.id!r} is not walked", hint="--world maze or countdown")
    if kind == "sharpness" and not hasattr(world, "list_answers"):
        raise WorldError(
            f"world {world.id!r} does not list its answers",
            hint="--world garden_path or preferences",
        )
