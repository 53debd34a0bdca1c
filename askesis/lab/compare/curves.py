"""Curves on claim tasks, read between snapshots, and figures at the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from askesis.formulas.crossed import crossed_mean
from askesis.formulas.intervals import Estimate
from askesis.formulas.pass_at_k import pass_at_k
from askesis.lab.arm import ArmResult, Point

NUM_MARKS = 13  # points of a curve that is drawn


def per_task(point: Point, metric: str) -> np.ndarray:
    """(T,) the metric of every task: the look's own, pass@K without bias, or the mean score."""
    if metric in point.figures:
        return np.array(point.figures[metric])
    if metric == "score":
        return np.array([float(np.mean(scores)) for scores in point.scores])
    k = int(metric.removeprefix("pass@"))
    right = [(len(scores), sum(x >= 1.0 for x in scores)) for scores in point.scores]
    return np.array([pass_at_k(n, c, k) for n, c in right])


def spent(result: ArmResult, point: Point, axis: str) -> float:
    """What the run had cost at a snapshot. Core seconds are known for whole runs; on the way they
    are shared out like the seconds of the rounds."""
    if axis != "core_seconds":
        return float(point.spent.get(axis, 0.0))
    whole = result.spent.get("seconds", 0.0)
    share = point.spent.get("seconds", 0.0) / whole if whole else 0.0
    return share * float(result.spent.get("core_seconds", 0.0))


def ended(result: ArmResult, axis: str) -> float:
    """Where a run's last snapshot is on an axis."""
    return spent(result, result.points[-1], axis)


def at(result: ArmResult, axis: str, mark: float, metric: str) -> np.ndarray:
    """(T,) the metric when the run had spent `mark`: straight lines between its snapshots, and
    its last figure beyond its end."""
    marks = np.array([spent(result, p, axis) for p in result.points])
    values = np.stack([per_task(p, metric) for p in result.points])
    after = int(np.searchsorted(marks, mark, side="left"))
    if after == 0:
        return values[0]
    if after == len(marks):
        return values[-1]
    width = marks[after] - marks[after - 1]
    share = (mark - marks[after - 1]) / width if width > 0 else 1.0
    return (1 - share) * values[after - 1] + share * values[after]


def table_at(results: Sequence[ArmResult], axis: str, mark: float, metric: str) -> np.ndarray:
    """(S, T): one row a seed."""
    return np.stack([at(r, axis, mark, metric) for r in results])


def curve(results: Sequence[ArmResult], axis: str, metric: str) -> list[dict[str, float | None]]:
    """The mean over seeds and tasks with its interval, as far as all seeds went."""
    last = min(ended(r, axis) for r in results)
    found: list[dict[str, float | None]] = []
    for mark in np.linspace(0.0, last, NUM_MARKS):
        e = crossed_mean(table_at(results, axis, float(mark), metric))
        found.append({"x": float(mark), **plain(e), "num_seeds": len(results)})
    return found


def plain(e: Estimate) -> dict[str, float | None]:
    """An estimate as JSON; an end that nobody knows is None."""
    return {k: v if np.isfinite(v := getattr(e, k)) else None for k in ("value", "low", "high")}


def profile_marks(figures: Mapping[str, Mapping[str, Sequence[float]]]) -> list[float]:
    """Thresholds over the range of all runs."""
    every = [x for worlds in figures.values() for xs in worlds.values() for x in xs]
    return [float(x) for x in np.linspace(min(every), max(every), 41)] if every else []


def alarms_of(results: Sequence[ArmResult]) -> list[dict[str, Any]]:
    """Which alarms were raised in the runs of an arm, with which seeds."""
    seeds: dict[str, list[int]] = {}
    for result in results:
        for alarm in result.alarms:
            seeds.setdefault(str(alarm.get("name", "?")), []).append(result.arm.seed)
    return [
        {"name": name, "seeds": sorted(set(found)), "num": len(found)}
        for name, found in sorted(seeds.items())
    ]
