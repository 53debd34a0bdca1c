"""Where the data came from, for the page: sample, attempts, task, snapshot, and what came of it.

One entry is one sample that was learnt from, followed back to the attempts it was made of, their
tasks and the snapshots that wrote them, and forward to the snapshot it became part of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from askesis.lab.report_attempts import Said, details, quoted, short
from askesis.store.run_store import RunStore

NUM_EACH = 5  # samples shown of a round
MAX_SOURCES = 4  # attempts shown of a sample


@dataclass(frozen=True)
class TaskOrigin:
    """Where a task came from: `origin` is "generated", "data:<file>" or "proposed:<attempt>"."""

    id: str
    origin: str
    role: str
    difficulty: float
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """One sample. `num_weighted` are the tokens that count in the loss, `columns` the scalars of
    the sample and the mean of its per-token columns, `became` the snapshot after that learning;
    `num_siblings` are all samples of that model in that round. Rounds count from 1."""

    name: str
    round: int
    model: str
    num_sequences: int
    num_tokens: int
    num_weighted: int
    columns: tuple[tuple[str, float], ...]
    sources: tuple[Said, ...]
    num_sources: int
    tasks: Mapping[str, TaskOrigin]
    became: str
    num_siblings: int


_SAMPLES = """
with numbered as (select *, row_number() over () as ordinal from samples),
ranked as (select round, model, num_sequences, num_tokens, columns, sources, sequences, ordinal,
        row_number() over (partition by round, model order by md5(list_aggregate(
            sources, 'string_agg', ' ') || ordinal)) as place,
        count(*) over (partition by round, model) as siblings
    from numbered where round in ({rounds}))
select round, model, num_sequences, num_tokens, columns, sources[1:{most}] as sources,
    len(sources) as num_sources, siblings, list_transform(sequences, lambda q:
        list_transform(q.columns, lambda c: {{'name': c.name, 'mean': list_avg(c.values),
            'set': len(list_filter(c.values, lambda v: v <> 0))}})) as described
from ranked where place <= {each} order by round, model, place
"""
_TASKS = """
select id, any_value(origin) as origin, any_value(role) as role,
    any_value(difficulty) as difficulty, any_value(parents) as parents
from tasks where id in ({ids}) group by id
"""


def origins(
    store: RunStore, rounds: Sequence[int], snapshots: Sequence[Mapping[str, Any]]
) -> tuple[Origin, ...]:
    """Some samples of these rounds (counted from 1), chosen by a hash, with all they came from."""
    if not rounds or not store.bulk_files("samples"):
        return ()
    numbers = ", ".join(str(r - 1) for r in rounds)
    rows = store.query(_SAMPLES.format(rounds=numbers, each=NUM_EACH, most=MAX_SOURCES)).to_pylist()
    ids = list(dict.fromkeys(i for row in rows for i in row["sources"]))
    said = {s.id: s for s in details(store, ids)}
    tasks = _tasks(store, {s.task for s in said.values()})
    after: dict[tuple[str, int], str] = {}
    for s in snapshots:
        after.setdefault((s["model"], s["round"]), s["id"])
    return tuple(_origin(n, row, said, tasks, after) for n, row in enumerate(rows, 1))


def _tasks(store: RunStore, ids: set[str]) -> dict[str, TaskOrigin]:
    if not ids:
        return {}
    listed = ", ".join(quoted(i) for i in sorted(ids))
    rows = store.query(_TASKS.format(ids=listed)).to_pylist()
    return {
        r["id"]: TaskOrigin(
            r["id"], short(r["origin"], 200), r["role"], r["difficulty"], tuple(r["parents"][:8])
        )
        for r in rows
    }


def _origin(
    number: int,
    row: Mapping[str, Any],
    said: Mapping[str, Said],
    tasks: Mapping[str, TaskOrigin],
    after: Mapping[tuple[str, int], str],
) -> Origin:
    sources = tuple(said[i] for i in row["sources"] if i in said)
    columns = dict(row["columns"] or ())
    weighted = 0
    for sequence in row["described"] or ():
        for c in sequence:
            if c["name"] == "weight":
                weighted += c["set"]
            elif c["mean"] is not None and math.isfinite(c["mean"]):
                columns.setdefault(f"{c['name']} (mean over tokens)", c["mean"])
    return Origin(
        name=f"s{number}",
        round=row["round"] + 1,
        model=row["model"],
        num_sequences=row["num_sequences"],
        num_tokens=row["num_tokens"],
        num_weighted=weighted,
        columns=tuple(sorted(columns.items()))[:8],
        sources=sources,
        num_sources=row["num_sources"],
        tasks={s.task: tasks[s.task] for s in sources if s.task in tasks},
        became=after.get((row["model"], row["round"] + 1), ""),
        num_siblings=row["siblings"],
    )
