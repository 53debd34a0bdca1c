"""What a page about a run shows, as plain values: curves, time, costs, and what was said.

Reads the run directory and nothing else. Everything is bounded: a run of ten thousand rounds and
ten million attempts gives a page of the same size as a short one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from askesis.errors import RunError
from askesis.lab.overview import Line, Overview, overview
from askesis.lab.report_origins import Origin, origins
from askesis.lab.report_said import SaidData, said_data
from askesis.lab.stored_trees import TreeData, tree_data
from askesis.measure.alarms.alarm import Alarm
from askesis.store.run_store import RunStore

MAX_POINTS = 400  # a longer curve is averaged to this many
NOT_CURVES = ("/low", "/high")


@dataclass(frozen=True)
class Curve:
    """One metric over rounds (counted from 1), with its interval where there is one.

    `averaged` is how many rounds one point stands for.
    """

    key: str
    x: list[float]
    y: list[float | None]
    low: list[float | None]
    high: list[float | None]
    averaged: int = 1


@dataclass(frozen=True)
class ReportData:
    """Everything the page shows."""

    run: Overview
    curves: Mapping[str, tuple[Curve, ...]]  # by stage
    times: tuple[Curve, ...]  # seconds of each stage by round
    costs: tuple[Curve, ...]  # tokens of each kind by round
    axes: Mapping[str, tuple[float, ...]]  # "round", "tokens", "seconds": how far after each round
    said: SaidData
    origins: tuple[Origin, ...]
    alarms: tuple[Alarm, ...] = ()
    trees: TreeData = field(default_factory=TreeData)


def report_data(path: Path) -> ReportData:
    """Read a run directory, finished or going.

    Raises RunError where there is none, or where a file of it is missing or damaged.
    """
    store = RunStore.open(path, check=False)
    try:
        _check_files(store)
        run = overview(path, store)
        durable = [line.round for line in run.lines if line.durable]
        said = said_data(store, durable, run.costs.get("attempts", 0))
        origin = origins(store, said.rounds, run.snapshots)
        trees = tree_data(store, said.said)
    finally:
        store.close()
    stages: dict[str, tuple[Curve, ...]] = {}
    metrics = [(line.round, line.metrics) for line in run.lines]
    for curve in curves(metrics, bands=True):
        stage = curve.key.partition("/")[0]
        stages[stage] = (*stages.get(stage, ()), curve)
    return ReportData(
        run=run,
        curves=stages,
        times=tuple(curves([(line.round, line.seconds) for line in run.lines])),
        costs=tuple(
            c for c in curves([(line.round, line.costs) for line in run.lines])
            if c.key.startswith(("generated/", "scored/")) or c.key == "trained"
        ),
        axes=axes(run.lines),
        said=said,
        origins=origin,
        alarms=run.alarms,
        trees=trees,
    )  # fmt: skip


def _check_files(store: RunStore) -> None:
    """Raise RunError for the first file of rows that is not as long as the ledger says."""
    rows = store.db.execute(
        "select path, size from files where removed = 0 and path like 'segments/%.parquet'"
    )
    for name, size in rows.fetchall():
        place = store.path / name
        found = place.stat().st_size if place.is_file() else -1
        if found != size:
            raise RunError(
                f"{place} is {'missing' if found < 0 else 'damaged'}",
                expected=f"a file of {size:,} bytes",
                found="none" if found < 0 else f"{found:,} bytes",
                hint="restore it from a copy of the run; askesis show needs the ledger alone",
            )


# ---------------------------------------------------------------- curves


def axes(lines: Sequence[Line]) -> dict[str, tuple[float, ...]]:
    """What a curve can be drawn against: after each of at most MAX_POINTS rounds (counted from 1,
    the start included), all tokens generated so far but for measuring, and all seconds."""
    tokens = seconds = 0.0
    rows = [(0.0, 0.0, 0.0)]
    for line in lines:
        tokens += line.num_tokens
        seconds += line.total_s
        rows.append((line.round + 1.0, tokens, round(seconds, 3)))
    step = math.ceil(len(rows) / MAX_POINTS)
    kept = [*rows[:-1:step], rows[-1]]
    return dict(zip(("round", "tokens", "seconds"), zip(*kept, strict=True), strict=True))


def curves(rows: Sequence[tuple[int, Mapping[str, float]]], bands: bool = False) -> list[Curve]:
    """A curve for every key, in the order in which keys first appeared."""
    by_key: dict[str, list[tuple[int, float]]] = {}
    for round_index, values in rows:
        for key, value in values.items():
            by_key.setdefault(key, []).append((round_index + 1, value))
    found = []
    for key, pairs in by_key.items():
        if bands and key.endswith(NOT_CURVES) and key.rpartition("/")[0] in by_key:
            continue
        low = dict(by_key.get(f"{key}/low", ())) if bands else {}
        high = dict(by_key.get(f"{key}/high", ())) if bands else {}
        step = math.ceil(len(pairs) / MAX_POINTS)
        parts = [pairs[i : i + step] for i in range(0, len(pairs), step)]
        found.append(
            Curve(
                key,
                [_mean([x for x, _ in part]) or 0 for part in parts],
                [_mean([y for _, y in part]) for part in parts],
                [_mean([low.get(x, math.nan) for x, _ in part]) for part in parts] if low else [],
                [_mean([high.get(x, math.nan) for x, _ in part]) for part in parts] if high else [],
                step,
            )
        )
    return found


def _mean(values: Sequence[float]) -> float | None:
    """The mean of what is finite; None where nothing is. Six digits are enough for a picture."""
    finite = [v for v in values if math.isfinite(v)]
    return float(f"{sum(finite) / len(finite):.6g}") if finite else None
