"""Another run that shares another's first rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from askesis.config import differences, from_tree, override, to_tree
from askesis.plan import Plan
from askesis.store.run_store import RunStore


def fork(path: Path, at: int, to: Path, changes: Sequence[tuple[str, str]]) -> list[str]:
    """Write a run to `to` with rounds 1 to `at` of the run at `path` and options changed.

    Returns what differs, one line each. A run that had ended goes on if the changes let it.
    Raises RunError where `at` is no round at which a segment begins (with the nearest ones),
    ConfigError for options that do not exist.
    """
    store = RunStore.open(path)
    try:
        old: Plan = from_tree(store.config)
        plan = old
        for name, value in changes:
            plan = override(plan, name, value)
        tree = to_tree(plan)
        changed = differences(store.config, tree)
        store.fork(at, to, config=tree, counters=_reopened(store, plan, at))
    finally:
        store.close()
    return changed


def _reopened(store: RunStore, plan: Plan, at: int) -> Mapping[str, Any]:
    """Counters that let the new run go on: not stopped, and inside the phase it is in.

    At the end of a phase the position is already in the next one; where the changed plan wants
    more rounds of it, the run stays.
    """
    counters: dict[str, Any] = {"stopped": ""}
    done = [r for r in store.rounds() if r["round"] < at]
    if not done:
        return counters
    name = done[-1]["phase"]
    index = next((i for i, p in enumerate(plan.phases) if p.name == name), None)
    if index is None:
        return counters
    in_phase = sum(r["phase"] == name for r in done)
    wanted = plan.phases[index].until.rounds
    if wanted is None or in_phase < wanted:
        counters["position"] = {"phase": index, "in_phase": in_phase, "total": at}
    return counters
