"""What a page about a run shows, as plain values: curves, time, costs, and what was said.

Reads the run directory and nothing else. Everything is bounded: a run of ten thousand rounds and
ten million attempts gives a page of the same size as a short one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askesis.lab.overview import Overview, overview
from askesis.store.run_store import RunStore

MAX_POINTS = 400  # a longer curve is averaged to this many
NUM_ROUNDS_SHOWN = 6  # rounds of which attempts are shown
NUM_EACH = 4  # attempts shown of a round that are right, wrong, and cut off
LONGEST = 3000  # characters of a text that are shown
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
class Said:
    """One attempt as it is shown. `verdict` is "right", "wrong", "partly" or "unknown"; `turns`
    are (role, text) without the prompt."""

    round: int
    id: str
    prompt: str
    turns: tuple[tuple[str, str], ...]
    verdict: str
    value: float | None
    why: str
    stop: str
    cut_off: bool
    num_tokens: int
    snapshot: str
    reference: str
    learnt: bool
    tag: str
    error: str


@dataclass(frozen=True)
class ReportData:
    """Everything the page shows."""

    run: Overview
    curves: Mapping[str, tuple[Curve, ...]]  # by stage
    times: tuple[Curve, ...]  # seconds of each stage by round
    costs: tuple[Curve, ...]  # tokens of each kind by round
    said: tuple[Said, ...]
    said_rounds: tuple[int, ...]


def report_data(path: Path) -> ReportData:
    """Read a run directory, finished or going. Raises RunError where there is none."""
    store = RunStore.open(path, check=False)
    try:
        run = overview(path, store)
        said, rounds = _said(store, run)
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
        said=said,
        said_rounds=rounds,
    )  # fmt: skip


# ---------------------------------------------------------------- curves


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


# ---------------------------------------------------------------- what was said

_SAID = """
with chosen as (
    select * exclude (turns), list_transform(turns,
        lambda t: {{'role': t.role, 'text': t.text}}) as turns
    from attempts where round in ({rounds}) and purpose <> 'measure'),
judged as (
    select attempt, arg_max(value, ordinal) as value, arg_max(rationale, ordinal) as why from (
        select attempt, value, rationale, row_number() over () as ordinal from verdicts
        where round in ({rounds}) and other = '' and node < 0)
    group by attempt),
posed as (select digest, any_value(prompt) as prompt, any_value(answer) as answer from tasks
    where round in ({rounds}) group by digest),
learnt as (select distinct unnest(sources) as id from samples where round in ({rounds})),
ranked as (
    select c.*, j.value, j.why, row_number() over (
        partition by c.round, coalesce(j.value, -1) >= 1, c.stop in ({cut})
        order by md5(c.id)) as place
    from chosen c left join judged j on j.attempt = c.id)
select r.round, r.id, p.prompt, r.turns, r.value, r.why, r.stop, r.num_tokens, r.author,
    p.answer, l.id is not null as learnt, r.tag, r.error
from ranked r left join posed p on p.digest = r.task_digest left join learnt l on l.id = r.id
where r.place <= {each} order by r.round, md5(r.id)
"""
_CUT = ("length", "context", "truncated", "budget", "cancelled")


def _said(store: RunStore, run: Overview) -> tuple[tuple[Said, ...], tuple[int, ...]]:
    """Some attempts of some rounds: right ones, wrong ones and those that were cut off."""
    durable = [line.round for line in run.lines if line.durable]
    if not durable or not store.bulk_files("attempts"):
        return (), ()
    num = min(NUM_ROUNDS_SHOWN, len(durable))
    places = [round(i * (len(durable) - 1) / max(1, num - 1)) for i in range(num)]
    rounds = sorted({durable[p] for p in places})
    found = store.query(
        _SAID.format(
            rounds=", ".join(map(str, rounds)),
            cut=", ".join(f"'{c}'" for c in _CUT),
            each=NUM_EACH,
        )
    ).to_pylist()
    return tuple(_one(row) for row in found), tuple(r + 1 for r in rounds)


def _one(row: Mapping[str, Any]) -> Said:
    value = row["value"]
    verdict = "unknown"
    if value is not None:
        verdict = "right" if value >= 1 else "partly" if value > 0 else "wrong"
    return Said(
        round=row["round"] + 1,
        id=row["id"],
        prompt=short(row["prompt"] or ""),
        turns=tuple((t["role"], short(t["text"])) for t in row["turns"] or ()),
        verdict=verdict,
        value=value,
        why=short(row["why"] or "", 300),
        stop=row["stop"],
        cut_off=row["stop"] in _CUT,
        num_tokens=row["num_tokens"],
        snapshot=row["author"],
        reference=short(row["answer"] or "", 300),
        learnt=bool(row["learnt"]),
        tag=row["tag"],
        error=short(row["error"] or "", 300),
    )


def short(text: str, longest: int = LONGEST) -> str:
    """Text that can be shown: no longer than `longest`, control characters made visible."""
    cut = text if len(text) <= longest else f"{text[:longest]} ... ({len(text):,} characters)"
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in cut)
