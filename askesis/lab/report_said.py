"""What the model said, for the page: some attempts of some rounds, and the same task across rounds.

Everything is chosen by a hash and not by hand, and bounded: the page of ten million attempts is
as long as that of ten thousand. Reads the run directory in SQL (`askesis.store.query`).

An attempt counts as *right* where the last verdict on its outcome is 1, as *newly solved* where it
is right, its task was attempted in an earlier round, and it had not been solved before. Attempts
that read a hint are in no history of a task.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from askesis.lab.report_attempts import CUT, Said, details, quoted
from askesis.store.run_store import RunStore

NUM_ROUNDS_SHOWN = 8  # rounds of which attempts are shown
NUM_EACH = 4  # attempts shown of a round that are right, wrong, newly solved, cut off, ...
NUM_TASKS = 20  # tasks that are shown across rounds
NUM_COLUMNS = 6  # rounds of such a task that are shown
MANY_ATTEMPTS = 1_000_000  # beyond it, histories are of a sample of the tasks, by hash


@dataclass(frozen=True)
class Cell:
    """One task in one round: how many attempts, how many right, and one of them."""

    round: int
    num: int
    num_right: int
    said: Said


@dataclass(frozen=True)
class TaskHistory:
    """One task across rounds; `strip` has (round, share right) of every round it was tried in."""

    task: str
    prompt: str
    reference: str
    change: str  # "learnt", "lost", "always", "never" or "mixed"
    strip: tuple[tuple[int, float], ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class SaidData:
    """All of it. `every` is 1, or k where histories are of one task in k; `flows` are
    (right | wrong | partly | unknown | cut off, learnt from or not, how many attempts)."""

    said: tuple[Said, ...] = ()
    rounds: tuple[int, ...] = ()
    histories: tuple[TaskHistory, ...] = ()
    num_repeated: int = 0  # tasks that were tried in more than one round
    num_newly: int = 0  # tasks that were tried without success, and solved in a later round
    every: int = 1
    flows: tuple[tuple[str, bool, int], ...] = ()


_VALUES = """
values_of as (select attempt, arg_max(value, ordinal) as value from (
    select attempt, value, row_number() over () as ordinal from verdicts
    where kind in ('outcome', 'correctness') and other = '' and node < 0 and len(spans) = 0)
    group by attempt)"""
_TRIED = (
    """with """
    + _VALUES
    + """,
tried as (select a.task, a.round, count(*) as num,
        count(*) filter (where v.value >= 1) as num_right
    from attempts a left join values_of v on v.attempt = a.id
    where a.purpose = 'train' and a.privileged is null and hash(a.task) % {every} = 0
    group by a.task, a.round),
told as (select task, list(struct_pack(round := round, num := num, num_right := num_right)
        order by round) as rounds, min(round) as first,
        min(round) filter (where num_right > 0) as solved,
        arg_min(num_right / num, round) as before, arg_max(num_right / num, round) as after,
        min(num_right / num) as least
    from tried group by task having count(*) > 1)
"""
)
_COUNTS = _TRIED + (
    "select count(*) as repeated, count(*) filter (where solved > first) as newly, "
    "list(struct_pack(task := task, round := solved)) filter (where solved > first and "
    "solved in ({rounds})) as solved from told"
)
_HISTORIES = (
    _TRIED
    + """, marked as (select *, case when after > before then 'learnt'
        when after < before then 'lost' when least >= 1 then 'always'
        when solved is null then 'never' else 'mixed' end as change from told),
placed as (select *, row_number() over (
    partition by change order by abs(after - before) desc, len(rounds) desc, md5(task)) as place
    from marked)
select task, change, rounds from placed
order by place > case change when 'learnt' then 8 when 'lost' then 5 else 3 end,
    array_position(['learnt', 'lost', 'mixed', 'always', 'never'], change), place limit {limit}
"""
)
_CHOSEN = (
    """with """
    + _VALUES
    + """,
fresh(task, round) as (values {fresh}),
ranked as (select a.id, a.round, row_number() over (
        partition by a.round, coalesce(v.value, -1) >= 1, v.value is null, a.stop in ({cut}),
        f.task is not null and coalesce(v.value, -1) >= 1
        order by md5(a.id)) as place
    from attempts a left join values_of v on v.attempt = a.id
    left join fresh f on f.task = a.task and f.round = a.round
    where a.round in ({rounds}) and a.purpose <> 'measure')
select id from ranked where place <= {each} order by round desc, md5(id)
"""
)
_CELLS = """
select task, round, min_by(id, md5(id)) as id from attempts
where purpose = 'train' and privileged is null and task in ({tasks}) group by task, round
"""

_FLOWS = (
    """with """
    + _VALUES
    + """,
learnt as (select distinct unnest(sources) as id from samples)
select case when a.stop in ({cut}) then 'cut off' when v.value >= 1 then 'right'
    when v.value > 0 then 'partly' when v.value is null then 'unknown' else 'wrong' end as what,
    l.id is not null as learnt, count(*) as num
from attempts a left join values_of v on v.attempt = a.id left join learnt l on l.id = a.id
where a.purpose <> 'measure' group by 1, 2 order by 1, 2
"""
)


def said_data(store: RunStore, durable: Sequence[int], num_attempts: float) -> SaidData:
    """What is shown of the attempts of the durable rounds (counted from 0).

    Raises RunError where a file of the run cannot be read.
    """
    if not durable or not store.bulk_files("attempts"):
        return SaidData()
    every = max(1, math.ceil(num_attempts / MANY_ATTEMPTS))
    num = min(NUM_ROUNDS_SHOWN, len(durable))
    places = [round(i * (len(durable) - 1) / max(1, num - 1)) for i in range(num)]
    rounds = sorted({durable[p] for p in places})
    numbers = ", ".join(map(str, rounds))
    (counts,) = _rows(store, _COUNTS.format(every=every, rounds=numbers))
    fresh = counts["solved"] or []
    chosen = _chosen(store, numbers, fresh)
    told = _rows(store, _HISTORIES.format(every=every, limit=NUM_TASKS))
    columns = {row["task"]: _columns(row["rounds"]) for row in told}
    cells = _cells(store, columns)
    newly = {(f["task"], f["round"]) for f in fresh}
    found = {s.id: s for s in details(store, [*chosen, *cells.values()], newly)}
    return SaidData(
        said=tuple(found[i] for i in chosen if i in found),
        rounds=tuple(r + 1 for r in rounds),
        histories=tuple(_history(row, columns, cells, found) for row in told),
        num_repeated=counts["repeated"],
        num_newly=counts["newly"],
        every=every,
        flows=tuple(
            (r["what"], r["learnt"], r["num"]) for r in _rows(store, _FLOWS.format(cut=_cut()))
        ),
    )


def _rows(store: RunStore, sql: str) -> list[dict[str, Any]]:
    return store.query(sql).to_pylist()


def _chosen(store: RunStore, rounds: str, fresh: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of attempts to show: some of every kind of every shown round."""
    listed = [f"({quoted(f['task'])}, {f['round']})" for f in fresh]
    sql = _CHOSEN.format(
        cut=_cut(),
        rounds=rounds,
        each=NUM_EACH,
        fresh=", ".join(listed) or "('', -1)",
    )
    return [row["id"] for row in _rows(store, sql)]


def _cut() -> str:
    return ", ".join(map(quoted, CUT))


# ---------------------------------------------------------------- the same task across rounds


def _columns(rounds: Sequence[Mapping[str, int]]) -> list[Mapping[str, int]]:
    """The rounds of one task that are shown: the first, the last, and evenly between."""
    num = min(NUM_COLUMNS, len(rounds))
    places = {round(i * (len(rounds) - 1) / max(1, num - 1)) for i in range(num)}
    return [rounds[p] for p in sorted(places)]


def _cells(
    store: RunStore, columns: Mapping[str, Sequence[Mapping[str, int]]]
) -> dict[tuple[str, int], str]:
    """(task, round) -> one attempt."""
    if not columns:
        return {}
    found = _rows(store, _CELLS.format(tasks=", ".join(map(quoted, columns))))
    wanted = {(task, c["round"]) for task, shown in columns.items() for c in shown}
    return {
        (row["task"], row["round"]): row["id"]
        for row in found
        if (row["task"], row["round"]) in wanted
    }


def _history(
    row: Mapping[str, Any],
    columns: Mapping[str, Sequence[Mapping[str, int]]],
    cells: Mapping[tuple[str, int], str],
    found: Mapping[str, Said],
) -> TaskHistory:
    task = row["task"]
    made = []
    for c in columns[task]:
        said = found.get(cells.get((task, c["round"]), ""))
        if said is not None:
            made.append(Cell(c["round"] + 1, c["num"], c["num_right"], said))
    first = made[0].said if made else None
    return TaskHistory(
        task=task,
        prompt=first.prompt if first else "",
        reference=first.reference if first else "",
        change=row["change"],
        strip=tuple((r["round"] + 1, r["num_right"] / r["num"]) for r in row["rounds"][-200:]),
        cells=tuple(made),
    )
