"""What is diagnosed: a model ready to speak, and how it is named on a command line.

tiny                 the warm start of the world
PATH or HUB/NAME     a model in Hugging Face layout
my_file.py:function  a model of one's own
RUN@last             a snapshot of a run: first, last, best, policy@3 or 3
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askesis.errors import ConfigError, ModelError
from askesis.plan import ModelSpec, Plan

NAME = "policy"


@dataclass(frozen=True)
class Subject:
    """A model and the world it is asked about.

    shown: for people. source: what `--model` takes to train it ("" where nothing does). world: the
    world's spec. trainable: whether weights are here that could change; why_not says why they
    cannot.
    """

    shown: str
    source: str
    world: str
    model: Any
    why_not: str = ""

    @property
    def trainable(self) -> bool:
        return not self.why_not


def open_subject(model: str, world: str = "", say: Callable[[str], None] = print) -> Subject:
    """The model behind a name, opened; a run's snapshot brings its own world where none is given.

    Raises ConfigError where a world is missing, and what opening models, worlds and runs raises.
    """
    from askesis.lab.warm_start import warm_model
    from askesis.models.load import open_model

    run, snapshot = _snapshot_of(model)
    if run is not None:
        return _from_run(run, snapshot, world)
    if not world:
        raise ConfigError(
            "diagnose needs a world", expected="--world NAME", hint="`askesis worlds` lists them"
        )
    spec = ModelSpec(source=model)
    if model == "tiny":
        opened = warm_model(NAME, spec, {"main": world}, say=say)
    else:
        opened = open_model(NAME, spec)
    return Subject(model, model, world, opened, _why_not(opened, model))


def _snapshot_of(model: str) -> tuple[Path | None, str]:
    """(the run's directory, which snapshot) where a name is that of a run."""
    for place, mark in enumerate(model):
        if mark == "@" and (Path(model[:place]) / "ledger.sqlite").exists():
            return Path(model[:place]), model[place + 1 :] or "last"
    if model and (Path(model) / "ledger.sqlite").exists():
        return Path(model), "last"
    path, at, _ = model.partition("@")
    if at and Path(path).is_dir():
        raise ModelError(f"{path} is not a run, so it has no snapshots", hint="Leave out the @")
    return None, ""


def _from_run(run: Path, snapshot: str, world: str) -> Subject:
    from askesis.config import from_tree
    from askesis.lab.snapshots import open_snapshot, resolve, speaking_model
    from askesis.store.run_store import RunStore

    store = RunStore.open(run)
    try:
        plan: Plan = from_tree(store.config)
        row = resolve(store, snapshot, speaking_model(plan))
    finally:
        store.close()
    model = open_snapshot(plan, row)
    own = plan.worlds.get("main") or next(iter(plan.worlds.values()))
    path = Path(row["path"])
    source = str(path) if (path / "config.json").exists() else ""
    why_not = _why_not(model, source)
    if not source and not why_not:
        why_not = "its snapshots are no model directories that `--model` could open"
    return Subject(f"{row['id']} of {run}", source, world or own, model, why_not)


def _why_not(model: Any, source: str) -> str:
    """Why this model cannot learn here; "" where it can."""
    if source.startswith("openai:"):
        return "its weights are behind an endpoint"
    return "" if getattr(model, "module", None) is not None else "it has no weights"
