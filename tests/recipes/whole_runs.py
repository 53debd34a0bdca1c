"""Whole runs of recipes: to their end, killed while they learn and gone on with, and by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from askesis.lab.begin import begin, plan_for
from askesis.learn.learner import Learn
from askesis.plan import Plan
from askesis.run import Run
from askesis.store.run_store import RunStore


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def to_its_end(path: Path, plan: Plan, world: Any, models: Mapping[str, Any]) -> Run:
    """Begin or continue a run to its end."""
    if (path / "ledger.sqlite").exists():
        run = Run.resume(path, {"main": world}, models, segment_s=0)
    else:
        run = Run.create(plan, path, {"main": world}, models, segment_s=0)
    try:
        run.improve()
    finally:
        run.close()
    return run


def outcome(path: Path, run: Run) -> dict[str, object]:
    """Everything two runs that are the same to the bit have in common."""
    store = RunStore.open(path)
    point = store.resume_point()
    found = {
        "records": {t: store.content_digest(t) for t in ("attempts", "verdicts", "samples")},
        "metrics": [m for m in store.metrics() if not m["key"].endswith("_s")],
        "states": repr(point.states),
        "weights": [
            {k: v.numpy().tobytes() for k, v in model.weights().items()}
            for model in run.models.values()
        ],
    }
    store.close()
    return found


def killed_and_whole_are_one(
    tmp_path: Path, monkeypatch: Any, finish: Callable[[Path], Run], lesson: int = 2
) -> Run:
    """A run that is killed in its n-th lesson and gone on with ends as one that was left alone,
    which is returned. finish(path) begins or continues a run."""
    whole = finish(tmp_path / "whole")
    inner, calls = Learn.learn, 0

    def killed(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == lesson:
            raise Killed
        return inner(*args, **kwargs)

    monkeypatch.setattr(Learn, "learn", killed)
    with pytest.raises(Killed):
        finish(tmp_path / "run")
    monkeypatch.setattr(Learn, "learn", inner)
    again = finish(tmp_path / "run")
    assert outcome(tmp_path / "run", again) == outcome(tmp_path / "whole", whole)
    return whole


def figures_by_name(
    path: Path, recipe: str, world: str, options: Sequence[tuple[str, str]]
) -> dict[str, float]:
    """Run a recipe by its name; of each figure the first round that has it. No request of it was
    refused."""
    run = begin(plan_for(recipe, [("world", world), *options]), path, say=lambda line: None)
    run.improve()
    run.close()
    found: dict[str, float] = {}
    with RunStore.open(path) as store:
        for row in store.metrics():
            found.setdefault(row["key"], row["value"])
    assert not [k for k in found if k.endswith("num_refused") and found[k]]
    return found
