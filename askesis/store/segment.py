"""The open segment: rows of the rounds since the last commit, on their way to Parquet.

Rows wait in memory until they fill a row group and then go to a file aside, so memory does not
grow with the number of rounds. Nothing of an open segment is visible to readers; the store
renames the whole directory into place when it closes the segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from askesis.records import Attempt, Sample, Task, Turn, Verdict
from askesis.store import codec, files, rows, tree_rows
from askesis.trees import Tree

MAX_ROWS = 16_384  # in a row group
MAX_BYTES = 8 << 20  # in a row group, roughly
_EXPECTED: dict[str, type] = {
    "attempts": Attempt,
    "verdicts": Verdict,
    "samples": Sample,
    "tasks": Task,
    "audits": Verdict,
    "trees": Tree,
}
_RECORD_BYTES = 500  # what one record costs beside its text and arrays


class OpenSegment:
    """Takes records, writes `<table>.parquet` files into a directory aside."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.last_round = -1  # the highest round any row belongs to
        self._tables: dict[str, TableWriter] = {}
        self._round = -1
        self._known: dict[int, rows.StoredTask] = {}  # by identity of the task, this round's
        self._written: set[bytes] = set()  # digests of this round's task rows

    def append(self, table: str, records: Sequence[Any], round: int, phase: str) -> None:
        """Add records of a round to a table."""
        expected = _EXPECTED[table]
        for record in records:
            if not isinstance(record, expected):
                kind = type(record).__name__
                raise TypeError(f"table {table} takes {expected.__name__} records, not {kind}")
        if round != self._round:
            self._round = round
            self._known.clear()
            self._written.clear()
        self.last_round = max(self.last_round, round)
        if table == "tasks":
            self._table("tasks").add([self._task(t) for t in records], round, phase)
        elif table == "attempts":
            self._attempts(records, round, phase)
        else:
            self._table(table).add(records, round, phase)

    def _attempts(self, attempts: Sequence[Attempt], round: int, phase: str) -> None:
        items, brought = [], []
        for attempt in attempts:
            task = attempt.start.task
            stored = self._known.get(id(task)) or self._task(task, drawn=False)
            if stored.digest not in self._written:
                self._written.add(stored.digest)
                brought.append(stored)
            items.append((attempt, stored.digest, _state(attempt)))
        if brought:
            self._table("tasks").add(brought, round, phase)
        self._table("attempts").add(items, round, phase)

    def _task(self, task: Task, drawn: bool = True) -> rows.StoredTask:
        stored = rows.stored_task(task, drawn)
        self._known[id(task)] = stored  # holds the task, so that its id stays its own
        if drawn:
            self._written.add(stored.digest)
        return stored

    def _table(self, table: str) -> TableWriter:
        if table not in self._tables:
            self._tables[table] = TableWriter(table, self.directory / f"{table}.parquet")
        return self._tables[table]

    def finish(self) -> None:
        """Write what still waits and complete the files."""
        for writer in self._tables.values():
            writer.finish()


class TableWriter:
    """One Parquet file: gathers records, writes a row group when enough have come."""

    def __init__(self, table: str, path: Path) -> None:
        self.table, self.path = table, path
        self._writer: pq.ParquetWriter | None = None
        self._items: list[Any] = []
        self._blocks: list[tuple[int, str, int]] = []  # (round, phase, rows)
        self._bytes = 0

    def add(self, items: Sequence[Any], round: int, phase: str) -> None:
        begin = 0
        while begin < len(items):
            end = min(len(items), begin + MAX_ROWS - len(self._items))
            for i in range(begin, end):
                self._bytes += _RECORD_BYTES + _num_bytes(self.table, items[i])
                if self._bytes >= MAX_BYTES:
                    end = i + 1
                    break
            self._items.extend(items[begin:end])
            self._blocks.append((round, phase, end - begin))
            begin = end
            if len(self._items) >= MAX_ROWS or self._bytes >= MAX_BYTES:
                self.write()

    def write(self) -> None:
        """Write the waiting records as one row group."""
        if not self._items:
            return
        counts = [n for _, _, n in self._blocks]
        rounds = np.repeat(np.array([r for r, _, _ in self._blocks], np.int32), counts)
        phases = [phase for _, phase, n in self._blocks for _ in range(n)]
        made = rows.encode(self.table, self._items, rounds, phases)
        if self._writer is None:
            files.do("rows.directory", self._make_directory)
            self._writer = files.do("rows.open", _open_parquet, self.path, made.schema)
        files.do("rows.write", self._writer.write_table, made, made.num_rows)
        self._items, self._blocks, self._bytes = [], [], 0

    def _make_directory(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def finish(self) -> None:
        self.write()
        if self._writer is not None:
            files.do("segment.rows.close", self._writer.close)
            self._writer = None


def _state(attempt: Attempt) -> str | None:
    """The world state an attempt began in, written down now: later it may be a mistake far away."""
    if attempt.start.state is None:
        return None
    try:
        return codec.to_text(attempt.start.state)
    except TypeError as error:
        raise TypeError(f"Start.state of attempt {attempt.id}: {error}") from error


def _open_parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Dictionaries where values repeat, none for log-probabilities; statistics on scalars."""
    leaves = _leaves(schema)
    floats = {path for path, kind in leaves if pa.types.is_floating(kind)}
    scalars = [f.name for f in schema if not pa.types.is_nested(f.type)]
    return pq.ParquetWriter(
        str(path),
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[path for path, _ in leaves if path not in floats],
        write_statistics=scalars,
    )


def _leaves(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Paths of the leaf columns as Parquet names them, with their types."""

    def walk(path: str, kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
        if pa.types.is_struct(kind):
            return [leaf for f in kind for leaf in walk(f"{path}.{f.name}", f.type)]
        if pa.types.is_map(kind):
            inner = (("key", kind.key_type), ("value", kind.item_type))
            return [leaf for name, k in inner for leaf in walk(f"{path}.key_value.{name}", k)]
        if pa.types.is_list(kind):
            return walk(f"{path}.list.element", kind.value_type)
        return [(path, kind)]

    return [leaf for f in schema for leaf in walk(f.name, f.type)]


def _num_bytes(table: str, item: Any) -> int:
    """Roughly what a record's text and arrays take in memory."""
    if table == "attempts":
        attempt = item[0]
        size = sum(map(_turn_bytes, attempt.turns))
        return size + sum(map(_turn_bytes, attempt.start.prefix)) if attempt.start.prefix else size
    if table == "samples":
        arrays = sum(a.nbytes for a in item.arrays.values()) if item.arrays else 0
        return arrays + sum(4 * len(q.tokens) * (1 + len(q.columns)) for q in item.sequences)
    if table == "trees":
        return tree_rows.num_bytes(item)
    if table == "tasks":
        return len(item.task.prompt) + len(item.data)
    return len(item.rationale) + 8 * (len(item.vector) + len(item.draws))


def _turn_bytes(turn: Turn) -> int:
    size = len(turn.text) + 4 * len(turn.context) + 12 * len(turn.tokens) + _RECORD_BYTES
    if turn.block:
        size += sum(getattr(v, "nbytes", 64) for v in turn.block.values())
    return size
