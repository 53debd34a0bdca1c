"""SQL over a run: the ledger as Arrow tables beside the Parquet files, in DuckDB.

DuckDB's own reader for SQLite would be a download, so ledger tables are handed over as Arrow,
and only those a query names. Nothing outside the run directory can be read and nothing written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from askesis.errors import RunError
from askesis.store import rows

if TYPE_CHECKING:
    from askesis.store.reader import RunReader

_INT, _TEXT, _REAL, _BOOL = pa.int64(), pa.string(), pa.float64(), pa.bool_()
_LAST_TEXT = "coalesce(list_last([t.text for t in turns if t.role <> 'world']), '')"

# Ledger tables as a query sees them: columns, and how to get the rows.
_LEDGER: dict[str, tuple[dict[str, pa.DataType], str | Callable[[Any], list[tuple[Any, ...]]]]] = {
    "rounds": (
        {"round": _INT, "phase": _TEXT, "snapshots": _TEXT, "durable": _BOOL, "note": _TEXT},
        "select round, phase, snapshots, segment <= (select coalesce(max(number), -1) from "
        "segments), note from rounds order by round",
    ),
    "metrics": (
        {"round": _INT, "phase": _TEXT, "key": _TEXT, "value": _REAL, "snapshot": _TEXT},
        "select m.round, r.phase, m.key, m.value, r.snapshots from metrics m "
        "join rounds r on r.round = m.round order by m.round, m.key",
    ),
    "costs": (
        {"round": _INT, "key": _TEXT, "value": _REAL},
        lambda store: [
            (r["round"], k, float(v)) for r in store.rounds() for k, v in r["costs"].items()
        ],
    ),
    "seconds": (
        {"round": _INT, "stage": _TEXT, "seconds": _REAL},
        lambda store: [
            (r["round"], k, float(v)) for r in store.rounds() for k, v in r["seconds"].items()
        ],
    ),
    "events": (
        {"seq": _INT, "round": _INT, "kind": _TEXT, "data": _TEXT},
        "select seq, round, kind, data from events order by seq",
    ),
    "errors": (
        {"round": _INT, "stage": _TEXT, "part": _TEXT, "task": _TEXT, "message": _TEXT},
        "select round, stage, part, task, message from errors order by seq",
    ),
    "segments": (
        {"number": _INT, "round": _INT},
        "select number, round from segments order by number",
    ),
    "snapshots": (
        {"id": _TEXT, "model": _TEXT, "round": _INT, "parents": _TEXT, "tags": _TEXT},
        "select id, model, round, parents, tags from snapshots order by round, id",
    ),
    "files": (
        {"path": _TEXT, "size": _INT, "digest": _TEXT, "segment": _INT, "removed": _BOOL},
        "select path, size, digest, segment, removed from files order by path",
    ),
    "looks": (
        {"snapshot": _TEXT, "world": _TEXT, "role": _TEXT, "num_tasks": _INT, "metrics": _TEXT},
        "select snapshot, world, role, num_tasks, metrics from looks order by seq",
    ),
}
TABLES = tuple(sorted([*rows.SCHEMAS, *_LEDGER]))


def run(store: RunReader, sql: str) -> pa.Table:
    """The answer to one SELECT. Raises RunError with one line and the tables there are.

    Tables: the bulk tables (attempts has also `text`, the last thing a speaker said) and the
    ledger's: rounds, metrics, costs, seconds, events, errors, segments, snapshots, files, looks.
    """
    import duckdb

    options = ("autoinstall_known_extensions", "python_enable_replacements")
    db = duckdb.connect(config=dict.fromkeys(options, False))
    try:
        db.execute("set enable_progress_bar = false")
        statements = db.extract_statements(sql)
        allowed = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
        if len(statements) != 1 or statements[0].type not in allowed:
            raise RunError(
                "a run is only read",
                expected="one SELECT statement",
                found=repr(" ".join(sql.split())[:80]),
                hint=_hint(),
            )
        words = set(re.findall(r"\w+", sql.lower()))
        listing = bool(words & {"show", "describe", "summarize"}) and not words & set(TABLES)
        for name in TABLES:
            if name in words or listing:
                _register(db, store, name)
        db.execute("set autoload_known_extensions = false")
        db.execute(f"set allowed_directories = [{_quoted(str(store.path.absolute()))}]")
        db.execute("set enable_external_access = false")
        db.execute("set lock_configuration = true")
        return db.sql(statements[0]).to_arrow_table()
    except duckdb.Error as error:
        message = str(error).strip().splitlines()[0]
        raise RunError(f"the query cannot be answered: {message}", hint=_hint()) from error
    finally:
        db.close()


def _register(db: Any, store: RunReader, name: str) -> None:
    if name in _LEDGER:
        columns, source = _LEDGER[name]
        found = store._rows(source) if isinstance(source, str) else source(store)
        flat = list(zip(*found, strict=True)) or [()] * len(columns)
        made = [_column(values, kind) for values, kind in zip(flat, columns.values(), strict=True)]
        db.register(name, pa.Table.from_arrays(made, names=list(columns)))
        return
    extra = f", {_LAST_TEXT} as text" if name == "attempts" else ""
    paths = store.bulk_files(name)
    if paths:
        listed = ", ".join(_quoted(str(p.absolute())) for p in paths)
        source = f"read_parquet([{listed}])"
    else:
        db.register(f"no_{name}", rows.SCHEMAS[name].empty_table())
        source = f"no_{name}"
    db.execute(f"create view {name} as select *{extra} from {source}")


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if kind == _REAL:
        values = [math.nan if v is None else v for v in values]  # SQLite has no NaN
    elif kind == _BOOL:
        values = [bool(v) for v in values]
    return pa.array(values, kind)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _hint() -> str:
    return f"Tables: {', '.join(TABLES)}; see the columns of one with: describe attempts"
