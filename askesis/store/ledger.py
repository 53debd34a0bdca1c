"""The ledger: one SQLite file that says which rounds and files count.

Rows of a round carry the number of the segment they will belong to. They are provisional until
the row of that segment exists, which is the one insert that makes a segment durable: readers
see both kinds, a rollback deletes the provisional ones. Write-ahead logging lets readers watch
while a writer writes.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askesis.errors import RunError
from askesis.store import codec, files

NAME = "ledger.sqlite"
FORMAT = 1  # rises when older code could not read a ledger any more
_DURABLE, _CHEAP = "full", "normal"  # how SQLite waits for the disk
_BUSY_S = 30.0  # a look may be noted while a round commits

SCHEMA = """
create table meta (key text primary key, value text not null);
create table segments (
    number integer primary key, round integer not null, counters text not null,
    tags text not null, seal text not null);
create table states (
    segment integer not null, name text not null, value blob not null,
    primary key (segment, name));
create table rounds (
    round integer primary key, segment integer not null, phase text not null,
    snapshots text not null, costs text not null, seconds text not null, note text not null);
create table metrics (
    round integer not null, key text not null, value real, primary key (round, key)
    ) without rowid;
create table events (
    seq integer primary key, segment integer not null, round integer not null,
    kind text not null, data text not null);
create table errors (
    seq integer primary key, segment integer not null, round integer not null,
    stage text not null, part text not null, task text not null, message text not null);
create table snapshots (
    id text primary key, model text not null, round integer not null, parents text not null,
    tags text not null, segment integer not null);
create table saves (
    snapshot text primary key, path text not null, digest text not null,
    segment integer not null);
create table files (
    path text primary key, size integer not null, digest text not null,
    segment integer not null, removed integer not null default 0);
create table looks (
    seq integer primary key, snapshot text not null, world text not null, role text not null,
    num_tasks integer not null, metrics text not null, note text not null);
create index events_by_segment on events (segment);
create index errors_by_segment on errors (segment);
create index rounds_by_segment on rounds (segment);
create index files_by_segment on files (segment);
"""

# What a segment's seal covers, each in a fixed order. `removed` and looks may change later.
_SEALED = (
    "select number, round, counters, tags from segments where number = ?1",
    "select name, value from states where segment = ?1 order by name",
    "select round, phase, snapshots, costs, seconds, note from rounds where segment = ?1 "
    "order by round",
    "select m.round, m.key, m.value from metrics m join rounds r on r.round = m.round "
    "where r.segment = ?1 order by m.round, m.key",
    "select seq, round, kind, data from events where segment = ?1 order by seq",
    "select seq, round, stage, part, task, message from errors where segment = ?1 order by seq",
    "select id, model, round, parents, tags from snapshots where segment = ?1 order by id",
    "select snapshot, path, digest from saves where segment = ?1 order by snapshot",
    "select path, size, digest from files where segment = ?1 order by path",
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment: its number and the last round it holds (-1 before any round)."""

    number: int
    round: int


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open a ledger. Raises RunError where the file is no readable ledger of this format."""
    mode = "rw" if write else "ro"
    try:
        db = _open(path, mode)
    except sqlite3.OperationalError:
        if write:
            raise
        db = _open(path, "ro&immutable=1")  # a directory nobody may write to
    try:
        if write:
            db.execute(f"pragma synchronous = {_CHEAP}")
            db.execute("pragma wal_autocheckpoint = 4000")
        found = dict(db.execute("select key, value from meta"))
        if write and (broken := db.execute("pragma quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(broken)
    except sqlite3.DatabaseError as error:
        db.close()
        raise damaged(path, error) from error
    if int(found.get("format", 0)) != FORMAT:
        db.close()
        raise RunError(
            f"{path.parent} was written by another version of askesis",
            expected=f"run format {FORMAT}",
            found=str(found.get("format", "none")),
            hint="open it with the version that wrote it",
        )
    return db


def _open(path: Path, mode: str) -> sqlite3.Connection:
    from urllib.parse import quote

    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    db = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("select 1 from sqlite_master limit 1").fetchone()
    except sqlite3.OperationalError:
        db.close()
        raise
    except sqlite3.DatabaseError as error:
        db.close()
        raise damaged(path, error) from error
    return db


def damaged(path: Path, error: Exception) -> RunError:
    """The one line about a ledger that SQLite cannot read."""
    return RunError(
        f"{path} is damaged ({error})",
        expected="a ledger as askesis wrote it",
        hint="restore this file from a copy; the Parquet files beside it are readable without it",
    )


def make(path: Path, meta: Mapping[str, str]) -> None:
    """Write a new ledger file, complete and closed."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("pragma synchronous = off")  # the caller flushes the finished file
        db.execute("pragma journal_mode = wal")
        db.executescript(f"begin; {SCHEMA}")
        rows = [("format", str(FORMAT)), *meta.items()]
        db.executemany("insert into meta values (?, ?)", rows)
        db.execute("commit")
    finally:
        db.close()


@contextmanager
def transaction(db: sqlite3.Connection, stage: str, *, durable: bool = False) -> Iterator[None]:
    """All of it or none, at points `<stage>.write` and `<stage>.commit`.

    durable: the commit also survives a power cut, not only the end of the process.
    """
    if durable:
        db.execute(f"pragma synchronous = {_DURABLE}")
    try:
        files.do(f"{stage}.write", db.execute, "begin immediate")
        yield
        files.do(f"{stage}.commit", db.execute, "commit")
    except Exception:
        if db.in_transaction:
            db.execute("rollback")
        raise
    if durable:
        db.execute(f"pragma synchronous = {_CHEAP}")


def last_segment(db: sqlite3.Connection) -> Segment | None:
    """The last closed segment."""
    row = db.execute("select number, round from segments order by number desc limit 1").fetchone()
    return Segment(*row) if row else None


def seal(db: sqlite3.Connection, number: int) -> str:
    """Digest over everything a segment made durable, and over the seal before it."""
    before = db.execute("select seal from segments where number = ?", (number - 1,)).fetchone()
    state = hashlib.blake2b((before[0] if before else "").encode(), digest_size=16)
    for query in _SEALED:
        for row in db.execute(query, (number,)):
            state.update(repr(row).encode("utf-8", "surrogatepass"))
        state.update(b"\n")
    return state.hexdigest()


def insert(db: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]], width: int) -> None:
    """Insert rows that have all `width` columns of a table."""
    marks = ",".join("?" * width)
    db.executemany(f"insert into {table} values ({marks})", rows)


def add_round(
    db: sqlite3.Connection,
    segment: int,
    index: int,
    phase: str,
    snapshots: str,
    plain: Sequence[str],
    metrics: Mapping[str, float],
) -> None:
    """The rows of one round; `plain` are costs, seconds and note as codec text."""
    db.execute(
        "insert into rounds values (?,?,?,?,?,?,?)", (index, segment, phase, snapshots, *plain)
    )
    insert(db, "metrics", [(index, k, float(v)) for k, v in metrics.items()], 3)


def add_buffered(
    db: sqlite3.Connection,
    segment: int,
    events: Sequence[tuple[int, str, str]],
    errors: Sequence[tuple[int, str, str, str, str]],
) -> None:
    """Events and errors that waited for this commit, in the order they happened."""
    for table, rows in (("events", events), ("errors", errors)):
        if rows:
            top = db.execute(f"select coalesce(max(seq), 0) from {table}").fetchone()[0]
            numbered = [(top + 1 + i, segment, *row) for i, row in enumerate(rows)]
            insert(db, table, numbered, 2 + len(rows[0]))


def delete_after(db: sqlite3.Connection, number: int) -> None:
    """Delete every row that belongs to a segment after `number`."""
    db.execute(
        "delete from metrics where round in (select round from rounds where segment > ?)", (number,)
    )
    tables = ("rounds", "events", "errors", "states", "snapshots", "saves", "files")
    for table in tables:
        db.execute(f"delete from {table} where segment > ?", (number,))
    db.execute("delete from segments where number > ?", (number,))


def read_meta(db: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """Configuration and manifest, checked against their digest."""
    found = dict(db.execute("select key, value from meta"))
    if found.get("digest") != meta_digest(found):
        raise damaged(path, ValueError("its configuration does not match its digest"))
    return {k: codec.from_text(found[k]) for k in ("config", "manifest")}


def meta_rows(config: Any, manifest: Any) -> dict[str, str]:
    """The rows of `meta` for a run."""
    rows = {"config": codec.to_text(config), "manifest": codec.to_text(manifest)}
    return {**rows, "digest": meta_digest(rows)}


def config_file(config: Any) -> bytes:
    """The configuration as people read it, in config.json."""
    return (json.dumps(config, indent=1, default=str) + "\n").encode()


def meta_digest(rows: Mapping[str, str]) -> str:
    text = f"{rows.get('config')}\n{rows.get('manifest')}"
    return hashlib.blake2b(text.encode("ascii", "replace"), digest_size=16).hexdigest()
