"""From what a person typed to a run: recipe, world, model, options."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import askesis
from askesis.config import coerce, from_tree, override
from askesis.errors import ConfigError, WorldError
from askesis.judge.wrong import Wrong, with_wrong_judges
from askesis.measure.alarms.monitor import open_alarms
from askesis.models.bases import opening_order
from askesis.models.load import open_model
from askesis.plan import Plan
from askesis.registry import look_up
from askesis.run import Run, Watcher
from askesis.worlds.fits import fitting, must_fit
from askesis.worlds.open import open_world
from askesis.worlds.views import Blind, RunView

Say = Callable[[str], None]


def plan_for(recipe: str, options: Sequence[tuple[str, Any]] = ()) -> Plan:
    """The plan of a recipe with options applied in order.

    An option that is an argument of the recipe function goes to it; every other one is a dotted
    path into its plan; false-pass and false-fail make its judges wrong at these rates
    (`askesis.judge.wrong`). Raises ConfigError for options that are none of these.
    """
    function = look_up("recipe", recipe)
    if isinstance(function, Plan):
        plan, rest = function, list(options)
    else:
        known = inspect.signature(function).parameters
        given, rest = {}, []
        for path, value in options:
            name = path.lstrip("-").replace("-", "_")
            if name in known:
                given[name] = coerce(function, name, value)
            else:
                rest.append((path, value))
        plan = function(**given)
    if not isinstance(plan, Plan):
        raise ConfigError(
            f"recipe {recipe!r} returned {type(plan).__name__}", expected="an askesis.plan.Plan"
        )
    rates = {}
    for path, value in rest:
        if (name := path.lstrip("-").replace("-", "_")) in ("false_pass", "false_fail"):
            rates[name] = coerce(Wrong, name, value)
        else:
            plan = override(plan, path, value)
    if rates:  # last, so that other options find the judges where they were
        plan = with_wrong_judges(plan, **rates)
    open_alarms(plan.alarms)  # a wrong name is told before any model is made
    return plan


def open_worlds(plan: Plan) -> dict[str, Any]:
    """The worlds of a plan as a run may see them: no claim tasks, and with truth "none" no
    answers at all. Raises WorldError where a world lacks what the recipe needs."""
    worlds = {}
    for name, spec in plan.worlds.items():
        world = open_world(spec)
        if name == "main" or len(plan.worlds) == 1:
            must_fit(plan.recipe, world)
        if plan.truth == "steps" and "steps" not in world.truth:
            raise WorldError(
                f"recipe {plan.recipe!r} needs step truth, which world {world.id!r} does not have",
                hint=f"take --world {' or --world '.join(fitting(('steps',)))}",
            )
        worlds[name] = Blind(world) if plan.truth == "none" else RunView(world)
    return worlds


def open_models(plan: Plan, seed: int, say: Say = print) -> dict[str, Any]:
    """The models of a plan. The tiny default is warm-started on the plan's worlds."""
    from askesis.lab.warm_start import warm_model

    models: dict[str, Any] = {}
    for name in opening_order(plan.models):
        spec = plan.models[name]
        if spec.base:
            models[name] = open_model(name, spec, base=models[spec.base])
        elif spec.source == "tiny":
            models[name] = warm_model(name, spec, dict(plan.worlds), say=say)
        else:
            models[name] = open_model(name, spec)
    return {name: models[name] for name in plan.models}


def begin(
    plan: Plan, path: Path, watchers: Sequence[Watcher] = (), say: Say = print, **options: Any
) -> Run:
    """A new run of a plan in an empty directory, ready to `improve`."""
    worlds = open_worlds(plan)
    models = open_models(plan, plan.seed, say)
    return Run.create(
        plan, path, worlds, models, watchers=watchers, manifest=manifest(plan), **options
    )


def resume(path: Path, watchers: Sequence[Watcher] = (), say: Say = print, **options: Any) -> Run:
    """Continue a run from its last closed segment."""
    from askesis.store.run_store import RunStore

    store = RunStore.open(path)
    plan: Plan = from_tree(store.config)
    store.close()
    return Run.resume(
        path, open_worlds(plan), open_models(plan, plan.seed, say), watchers=watchers, **options
    )


def manifest(plan: Plan) -> dict[str, Any]:
    """Versions and machine, for the record; nothing depends on it."""
    import torch
    import transformers

    return {
        "askesis": askesis.__version__,
        "recipe": plan.recipe,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "machine": platform.machine(),
        "num_threads": torch.get_num_threads(),
    }
