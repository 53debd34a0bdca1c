"""Reading a run directory, finished or while it is being written."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from askesis.errors import RunError, nearest
from askesis.records import Task
from askesis.store import codec, integrity, ledger, rows

Where = Mapping[str, Any]  # column -> value, or a collection of values


@dataclass(frozen=True)
class ResumePoint:
    """The last closed segment: everything needed to continue after `round`.

    `models` is the directory that `save_models` filled; round is -1 before the first round.
    """

    round: int
    states: dict[str, Any]
    models: Path
    counters: dict[str, Any]
    segment: int


class RunReader:
    """The reading half of a run store (`askesis.store.run_store.RunStore`).

    Ledger rows appear as soon as their round is committed (`durable` tells whether their segment
    is closed); bulk rows appear when their segment closes.
    """

    def __init__(self, path: Path, db: sqlite3.Connection | None) -> None:
        self.path = path
        self._db = db

    @property
    def db(self) -> sqlite3.Connection:
        """A connection to the ledger; a closed store opens a fresh one for reading."""
        if self._db is None:
            self._db = ledger.connect(self.path / ledger.NAME, write=False)
        return self._db

    # ------------------------------------------------------------ the ledger

    @property
    def config(self) -> Any:
        """The resolved configuration this run was begun with."""
        return ledger.read_meta(self.db, self.path / ledger.NAME)["config"]

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, machine and whatever else was noted when the run began."""
        return ledger.read_meta(self.db, self.path / ledger.NAME)["manifest"]

    @property
    def last_round(self) -> int:
        """The last committed round, provisional or not; -1 where there is none."""
        found = self.db.execute("select max(round) from rounds").fetchone()[0]
        return -1 if found is None else int(found)

    def segments(self) -> list[ledger.Segment]:
        """The closed segments in order."""
        found = self._rows("select number, round from segments order by number")
        return [ledger.Segment(*row) for row in found]

    def resume_point(self) -> ResumePoint | None:
        """The last closed segment, its files checked; None where nothing was committed yet.

        Raises RunError naming a file of it that is truncated or altered.
        """
        last = ledger.last_segment(self.db)
        return None if last is None else self.point(last)

    def point(self, segment: ledger.Segment) -> ResumePoint:
        """What a closed segment holds for continuing from it, checked."""
        number = segment.number
        models = f"segments/{number:06d}/models"
        sealed = self._rows("select seal, counters from segments where number = ?", number)[0]
        if ledger.seal(self.db, number) != sealed[0]:
            error = ValueError(f"rows of segment {number} were altered")
            raise ledger.damaged(self.path / ledger.NAME, error)
        integrity.check_contents(self.path, self.db, models + "/")
        states = self._rows("select name, value from states where segment = ?", number)
        return ResumePoint(
            segment.round,
            {name: codec.loads(value) for name, value in states},
            self.path / models,
            codec.from_text(sealed[1]),
            number,
        )

    def rounds(self) -> list[dict[str, Any]]:
        """round, phase, snapshots (ids after the round), costs, seconds, note, durable."""
        last = self._last_number()
        names = ("round", "phase", "snapshots", "costs", "seconds", "note", "durable")
        found = self._rows(
            "select round, phase, snapshots, costs, seconds, note, segment <= ? from rounds "
            "order by round",
            last,
        )
        return [
            dict(zip(names, (r, p, s.split(), *map(codec.from_text, texts), bool(d)), strict=True))
            for r, p, s, *texts, d in found
        ]

    def metrics(self, *keys: str) -> list[dict[str, Any]]:
        """round, phase, key, value, snapshot of the given metric keys, or of all."""
        chosen = f"where m.key in ({','.join('?' * len(keys))})" if keys else ""
        found = self._rows(
            "select m.round, r.phase, m.key, m.value, r.snapshots from metrics m "
            f"join rounds r on r.round = m.round {chosen} order by m.round, m.key",
            *keys,
        )
        names = ("round", "phase", "key", "value", "snapshot")
        return [
            dict(zip(names, (r, p, k, math.nan if v is None else v, s), strict=True))
            for r, p, k, v, s in found
        ]

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """seq, round, kind, data, durable of every event, or of one kind."""
        found = self._rows(
            "select seq, round, kind, data, segment <= ? from events where ? in ('', kind) "
            "order by seq",
            self._last_number(),
            kind,
        )
        names = ("seq", "round", "kind", "data", "durable")
        return [
            dict(zip(names, (n, r, k, codec.from_text(d), bool(ok)), strict=True))
            for n, r, k, d, ok in found
        ]

    def errors(self) -> list[dict[str, Any]]:
        """round, stage, part, task, message of every recorded failure."""
        return self._dicts(
            "select round, stage, part, task, message from errors order by seq",
            ("round", "stage", "part", "task", "message"),
        )

    def snapshots(self) -> list[dict[str, Any]]:
        """id, model, round, parents, tags, digest and path of every snapshot of the run.

        path is None where the weights were not written out or have been cleaned up.
        """
        found = self._rows(
            "select s.id, s.model, s.round, s.parents, s.tags, coalesce(v.digest, ''), v.path, "
            "(select count(*) from files f where f.removed = 0 and "
            " substr(f.path, 1, length(v.path) + 1) = v.path || '/') "
            "from snapshots s left join saves v on v.snapshot = s.id order by s.round, s.id"
        )
        return [
            {
                "id": name,
                "model": model,
                "round": round,
                "parents": codec.from_text(parents),
                "tags": codec.from_text(tags),
                "digest": digest,
                "path": self.path / place if num_files else None,
            }
            for name, model, round, parents, tags, digest, place, num_files in found
        ]

    def tags(self) -> dict[str, str]:
        """Which snapshots bear a moving name ("best") since the last closed segment."""
        found = self._rows("select tags from segments order by number desc limit 1")
        return codec.from_text(found[0][0]) if found else {}

    def looks(self) -> list[dict[str, Any]]:
        """Every evaluation on claim tasks: snapshot, world, role, num_tasks, metrics, note."""
        found = self._dicts(
            "select snapshot, world, role, num_tasks, metrics, note from looks order by seq",
            ("snapshot", "world", "role", "num_tasks", "metrics", "note"),
        )
        plain = ("metrics", "note")
        return [{**row, **{k: codec.from_text(row[k]) for k in plain}} for row in found]

    # ------------------------------------------------------------ bulk rows

    def bulk_files(self, table: str) -> list[Path]:
        """The Parquet files of a table, in the order of their rounds."""
        if table not in rows.SCHEMAS:
            raise RunError(f"there is no table {table!r}", hint=nearest(table, rows.SCHEMAS))
        found = self._rows(
            "select path from files where path like ? and removed = 0 order by segment",
            f"segments/%/{table}.parquet",
        )
        return [self.path / path for (path,) in found]

    def read(self, table: str, where: Where | None = None) -> Iterator[Any]:
        """Records of a table in the order they were appended; `where` chooses by column.

        A row group at a time is in memory.
        """
        for path in self.bulk_files(table):
            tasks: dict[bytes, Task] | None = None
            for chunk in self._chunks(path, None, where):
                if table == "attempts" and tasks is None:
                    tasks = self._tasks(path.with_name("tasks.parquet"))
                yield from rows.decode(table, chunk, tasks)

    def arrow(
        self, table: str, columns: Sequence[str] | None = None, where: Where | None = None
    ) -> pa.Table:
        """Rows of a table as one Arrow table."""
        schema = rows.SCHEMAS.get(table, pa.schema([]))
        known = [f.name for f in schema]
        for name in [*(columns or ()), *(where or ())]:
            if table in rows.SCHEMAS and name not in known:
                raise RunError(f"table {table} has no column {name!r}", hint=nearest(name, known))
        found = [
            pa.Table.from_batches([chunk])
            for path in self.bulk_files(table)
            for chunk in self._chunks(path, columns, where)
        ]
        if found:
            return pa.concat_tables(found)
        empty = schema.empty_table()
        return empty.select(list(columns)) if columns is not None else empty

    def content_digest(self, table: str) -> str:
        """One digest over all records of a table, whatever segments they lie in.

        Two runs with equal digests made the same records in the same order, bit for bit.
        """
        state = hashlib.blake2b(digest_size=16)
        for record in self.read(table):
            data = codec.dumps(rows.plain(record))
            state.update(len(data).to_bytes(8, "little") + data)
        return state.hexdigest()

    def query(self, sql: str) -> pa.Table:
        """Answer one SQL statement over the ledger and the bulk tables (see `store.query`)."""
        from askesis.store import query

        return query.run(self, sql)

    def verify(self) -> list[str]:
        """Check every byte the ledger knows; one line per file that is not as committed."""
        found = list(integrity.problems(self.path, self.db))
        place = self.path / "config.json"
        if not place.is_file() or place.read_bytes() != ledger.config_file(self.config):
            found.append("config.json: it differs from the ledger, which is what counts")
        return found

    # ------------------------------------------------------------ how it reads

    def _chunks(
        self, path: Path, columns: Sequence[str] | None, where: Where | None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of a file that fit, one batch per row group."""
        where = where or {}
        needed = None if columns is None else list(dict.fromkeys([*columns, *where]))
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    if "round" in where and _past(file, group, where["round"]):
                        continue
                    table = file.read_row_group(group, columns=needed)
                    for name, value in where.items():
                        table = table.filter(_fits(name, value))
                    if columns is not None:
                        table = table.select(list(columns))
                    if table.num_rows:
                        yield from table.combine_chunks().to_batches()
        except (OSError, pa.ArrowInvalid) as error:
            raise RunError(
                f"{path} cannot be read ({error})", hint="restore it from a copy"
            ) from error

    def _tasks(self, path: Path) -> dict[bytes, Task]:
        found: dict[bytes, Task] = {}
        for chunk in self._chunks(path, None, None):
            digests = rows.task_digests(chunk)
            found.update(zip(digests, rows.decode("tasks", chunk), strict=True))
        return found

    def _last_number(self) -> int:
        last = ledger.last_segment(self.db)
        return -1 if last is None else last.number

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self.db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise ledger.damaged(self.path / ledger.NAME, error) from error

    def _dicts(self, sql: str, names: Sequence[str]) -> list[dict[str, Any]]:
        return [dict(zip(names, row, strict=True)) for row in self._rows(sql)]


def _fits(name: str, value: Any) -> Any:
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        return pc.field(name).isin(list(value))
    return pc.field(name) == value


def _past(file: pq.ParquetFile, group: int, rounds: Any) -> bool:
    """Whether a row group surely holds none of these rounds (column 0 is the round)."""
    stats = file.metadata.row_group(group).column(0).statistics
    if stats is None or not stats.has_min_max:
        return False
    wanted = list(rounds) if isinstance(rounds, Collection) else [rounds]
    return all(r < stats.min or r > stats.max for r in wanted)
