"""A comparison as lines of text: the sentences first, then the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lines(found: Mapping[str, Any]) -> list[str]:
    """What a terminal shows of `compare.json`."""
    budget = ", ".join(f"{v:,.0f} {k.replace('_', ' ')}" for k, v in found["budget"].items())
    told = [
        f"{len(found['seeds'])} seeds, {found['num_tasks']:,} claim tasks, "
        f"{found['num_attempts']} attempts each; budget {budget}; "
        "95 % intervals over seeds and tasks",
    ]
    for world in found["worlds"]:
        told += ["", *world_lines(found, world)]
    told += ["", *found["conclusions"], *tuned_lines(found)]
    for one in found["failed"]:
        told.append(f"FAILED: {one['arm']} on {one['world']}, seed {one['seed']}: {one['why']}")
    return told


def tuned_lines(found: Mapping[str, Any]) -> list[str]:
    """One line a world: what tuning took for every arm."""
    told = []
    for world, arms in found.get("tuned", {}).items():
        taken = [
            f"{name}: " + ", ".join(f"{k.rpartition('.')[2]} {v}" for k, v in one["chosen"].items())
            for name, one in arms.items()
        ]
        told.append(f"tuned on decide tasks of {world}: " + "; ".join(taken))
    return told


def world_lines(found: Mapping[str, Any], world: str) -> list[str]:
    """One world: an arm a line, the best first."""
    here = found["at_budget"].get(world, {})
    if not here:
        return [f"{world}: no arm was finished"]
    metrics = found["metrics"]
    order = found["ranking"][world][found["axis"]]
    start = found["start"][world]
    rows = [[world, *metrics, "trained tokens", "core s", "alarms"]]
    rows.append(["start", *[_cell(start[m]) for m in metrics], "", "", ""])
    for name in order:
        cost = found["cost"][world][name]
        raised = ", ".join(f"{a['name']} ({a['num']})" for a in found["alarms"][world][name])
        rows.append(
            [name, *[_cell(here[name][m]) for m in metrics], f"{cost['trained_tokens']:,.0f}",
             f"{cost['core_seconds']:,.0f}", raised]
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cell(e: Mapping[str, float | None]) -> str:
    value, low, high = e["value"], e["low"], e["high"]
    if value is None:
        return "?"
    if low is None or high is None:
        return f"{100 * value:.1f} % (?)"
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
