"""Is every file still what the ledger says? Sizes on opening, contents on demand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from askesis.errors import RunError
from askesis.store import files, ledger

_FILES = "select path, size, digest, segment from files where removed = 0"


def check_sizes(directory: Path, db: sqlite3.Connection) -> None:
    """Raise RunError naming the first file that is missing or has another size."""
    for path, size, _, segment in db.execute(_FILES).fetchall():
        trouble = _size_trouble(directory / path, size)
        if trouble and _still_known(db, path):
            raise _damaged(directory, db, path, trouble, segment)


def check_contents(directory: Path, db: sqlite3.Connection, under: str) -> None:
    """Raise RunError naming the first file below `under` whose content was altered."""
    query = f"{_FILES} and substr(path, 1, ?) = ?"
    for path, size, digest, segment in db.execute(query, (len(under), under)).fetchall():
        trouble = _trouble(directory / path, size, digest)
        if trouble and _still_known(db, path):
            raise _damaged(directory, db, path, trouble, segment)


def problems(directory: Path, db: sqlite3.Connection) -> Iterator[str]:
    """Everything that is not as the ledger says, one line each, beginning with the file's name."""
    for path, size, digest, _ in db.execute(_FILES + " order by path").fetchall():
        trouble = _trouble(directory / path, size, digest)
        if trouble and _still_known(db, path):
            yield f"{path}: {trouble}"
    for (row,) in db.execute("pragma integrity_check(3)").fetchall():
        if row != "ok":
            yield f"{ledger.NAME}: {row}"
    seals = db.execute("select number, seal from segments order by number").fetchall()
    for number, sealed in seals:
        if ledger.seal(db, number) != sealed:
            yield f"{ledger.NAME}: rows of segment {number} were altered"


def _size_trouble(path: Path, size: int) -> str:
    try:
        found = path.stat().st_size
    except OSError:
        return "it is missing"
    if found < size:
        return f"it is truncated to {found:,} of {size:,} bytes"
    return "" if found == size else f"it has {found:,} bytes instead of {size:,}"


def _trouble(path: Path, size: int, digest: str) -> str:
    return _size_trouble(path, size) or (
        "" if files.digest(path) == digest else "its content was altered"
    )


def _still_known(db: sqlite3.Connection, path: str) -> bool:
    """Whether the ledger still counts the file: a clean-up may just have removed it."""
    row = db.execute("select removed from files where path = ?", (path,)).fetchone()
    return row is not None and not row[0]


def _damaged(
    directory: Path, db: sqlite3.Connection, path: str, trouble: str, segment: int
) -> RunError:
    before = db.execute("select max(round) from segments where number < ?", (segment,)).fetchone()[
        0
    ]
    hint = "restore it from a copy"
    if before is not None:
        hint += f", or continue from before it: askesis fork {directory} --at {before + 1}"
    return RunError(
        f"{directory / path} is not the file that was committed",
        expected="the size and content in the ledger",
        found=f"that {trouble}",
        hint=hint,
    )
