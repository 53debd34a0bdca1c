"""Looks at a snapshot that see more than whether single answers are right.

turns       answers, asked for again: accuracy at every turn, mended, spoilt, votes at equal tokens
walks       a world walked move by move: success from the beginning and after forced slips
sharpness   a world whose answers can be listed: the exact probability of each
habits      single answers, and the habits of reasoning in them
beams       a step beam under the model's own value head, beside greedy and majority
trees       a tree under a judge, beside best-of-n and tree-of-thought at equal tokens
rechecks    answers that are told to look again at growing budgets, beside plain ones
votes       votes that a judge of steps weighs, beside majority and the single best answer
critics     a critic that names the first wrong step, on answers of the run's first policy

A figure is an array with one number a task, the same tasks in the same order for every snapshot,
so differences are paired by task. The measures of a run (`askesis.measure`) say the same of
*decide* tasks with intervals; here are *claim* tasks, looked at once, when a run is over
(`askesis.lab.arm`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from askesis.errors import ConfigError, WorldError, nearest
from askesis.lab.looks.answers import OF_HABITS, OF_TURNS, habits, turns
from askesis.lab.looks.beams import OF_BEAMS, beams
from askesis.lab.looks.critics import OF_CRITICS, critics
from askesis.lab.looks.rechecks import OF_RECHECKS, rechecks
from askesis.lab.looks.sharpness import OF_SHARPNESS, sharpness
from askesis.lab.looks.sight import FIRST, ROLE, Sight
from askesis.lab.looks.trees import OF_TREES, trees
from askesis.lab.looks.votes import OF_VOTES, votes
from askesis.lab.looks.walks import OF_WALKS, walks
from askesis.specs import make

if TYPE_CHECKING:
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

BASE = "base"  # what a judge that is a log-ratio is held against

KINDS: dict[str, Callable[..., Sight]] = {
    "turns": turns,
    "walks": walks,
    "sharpness": sharpness,
    "habits": habits,
    "beams": beams,
    "trees": trees,
    "rechecks": rechecks,
    "votes": votes,
    "critics": critics,
}


def look_at(path: Path, snapshot: str, look: Look) -> dict[str, Any]:
    """Look at a kept snapshot of a run and note that somebody did.

    Raises ConfigError for options that this kind of look does not have, and WorldError where the
    world lacks what it needs, before anything is sampled.
    """
    from askesis.config import from_tree
    from askesis.lab.begin import open_models
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
        name = looked_at(plan, look)
        row = resolve(store, snapshot, name)
        opened = open_world(
            look.world or plan.worlds.get("main") or next(iter(plan.worlds.values()))
        )
        _must_have(opened, look.kind)
        models = {ROLE if name == speaking_model(plan) else name: open_snapshot(plan, row)}
        others = beside(store, look, row)
        models |= {r: open_snapshot(plan, o) for r, o in others.items() if r != BASE}
        if ROLE not in models:  # frozen, and so written out nowhere: as the run opened it
            speaks = speaking_model(plan)
            only = replace(plan, models={speaks: plan.models[speaks]})
            models[ROLE] = open_models(only, plan.seed, lambda message: None)[speaks]
        engine = next(iter(plan.roles.values())).engine
        outside = Outside(models, opened, engine=engine, seed=EVALUATION_SEED)
        if BASE in others:
            base = open_snapshot(plan, others[BASE]).copy_weights()
            outside.shelf.pins[others[BASE]["model"], BASE] = (FIRST, base, None)
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


def looked_at(plan: Any, look: Look) -> str:
    """The model whose snapshots a look is at: the one that speaks, or the critic."""
    from askesis.lab.snapshots import speaking_model

    name = str(dict(look.options).get("model", "critic"))
    return name if look.kind == "critics" and name in plan.models else str(speaking_model(plan))


def beside(store: Any, look: Look, row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Kept snapshots that a look opens beside the one of `row`, by role: the run's first (whose
    answers a critic reads), or the judge as it was when that one was made, and under "base" the
    weights the judge began with."""
    from askesis.config import from_tree
    from askesis.lab.snapshots import kept, resolve, speaking_model

    name = str(row["model"])
    if look.kind == "sharpness":
        return {FIRST: resolve(store, "first", name)}
    options = dict(look.options)
    model = options.get("model", ROLE)
    plan: Any = from_tree(store.config)
    speaks = speaking_model(plan)
    if look.kind == "critics":
        has_learnt = name != speaks and plan.models[speaks].trainable
        return {ROLE: resolve(store, "first", speaks)} if has_learnt else {}
    if look.kind not in ("trees", "votes") or model not in plan.models:
        return {}
    assert name == speaks
    judge = resolve(store, "last", model)
    if row["id"] != resolve(store, "last", name)["id"]:
        then = [r for r in kept(store, model) if r["round"] <= row["round"]]
        judge = (then or kept(store, model))[-1 if then else 0]
    found = {} if model in (ROLE, name) else {model: judge}
    if options.get("judge") == "implicit":
        found[BASE] = resolve(store, "first", model)
    return found


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
        "trees": OF_TREES, "rechecks": OF_RECHECKS, "votes": OF_VOTES, "critics": OF_CRITICS,
    }  # fmt: skip
    return list(known[look.kind])


def _must_have(world: Any, kind: str) -> None:
    if kind == "walks" and "turns" not in world.truth:
        raise WorldError(f"world {world.id!r} is not walked", hint="--world maze or countdown")
    if kind == "critics" and "steps" not in world.truth:
        raise WorldError(
            f"world {world.id!r} does not know which step is wrong",
            hint="--world chain_arithmetic or --world countdown",
        )
    if kind == "sharpness" and not hasattr(world, "list_answers"):
        raise WorldError(
            f"world {world.id!r} does not list its answers",
            hint="--world garden_path or preferences",
        )
