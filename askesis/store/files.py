"""Every write, flush, rename and commit of the store, each behind a named point.

A run directory must survive a kill at any instant, and that can only be tested where every
instant has a name. So whatever changes the disk goes through `do`, which tells `on_point`
before and after. Nothing here catches what the hook raises: a test that raises a
`BaseException` there sees exactly what a kill would leave.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from askesis.errors import AskesisError, RunError

Result = TypeVar("Result")

on_point: Callable[[str], None] | None = None  # tests hear every point here

POINTS = frozenset(
    {
        "create.directory",
        "create.ledger.write",
        "create.ledger.flush",
        "create.config.write",
        "create.config.flush",
        "create.rename",
        "create.flush_directory",
        "rows.directory",
        "rows.open",
        "rows.write",
        "round.write",
        "round.commit",
        "segment.rows.close",
        "segment.models.write",
        "segment.snapshot.write",
        "segment.flush",
        "segment.flush_directory",
        "segment.rename",
        "segment.snapshot.rename",
        "segment.write",
        "segment.commit",
        "segment.checkpoint",
        "rollback.write",
        "rollback.commit",
        "rollback.delete",
        "look.write",
        "look.commit",
        "gc.write",
        "gc.commit",
        "gc.delete",
        "fork.directory",
        "fork.link",
        "fork.ledger.write",
        "fork.ledger.flush",
        "fork.config.write",
        "fork.config.flush",
        "fork.flush_directory",
        "fork.rename",
    }
)
_CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def do(point: str, action: Callable[..., Result], *args: Any) -> Result:
    """Run `action(*args)` as the named point. `point` must be one of `POINTS`."""
    hook = on_point
    if hook is None:
        return action(*args)
    assert point in POINTS, f"{point!r} is not declared in POINTS"
    hook(f"{point}:before")
    result = action(*args)
    hook(f"{point}:after")
    return result


def write_and_flush(stage: str, path: Path, data: bytes) -> None:
    """Write a small file whole, at points `<stage>.write` and `<stage>.flush`."""
    do(f"{stage}.write", path.write_bytes, data)
    do(f"{stage}.flush", flush, path)


def flush(path: Path) -> None:
    """Push a file's bytes (or a directory's entries) to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_and_digest(path: Path) -> tuple[int, str]:
    """Push a file to the disk; its size in bytes and the digest of its content."""
    with path.open("rb") as file:
        size, found = _digest(file)
        os.fsync(file.fileno())
    return size, found


def digest(path: Path) -> str:
    """Content hash of a file, hexadecimal (BLAKE2b, 128 bits)."""
    with path.open("rb") as file:
        return _digest(file)[1]


def _digest(file: Any) -> tuple[int, str]:
    state, size = hashlib.blake2b(digest_size=16), 0
    while chunk := file.read(_CHUNK):
        state.update(chunk)
        size += len(chunk)
    return size, state.hexdigest()


def files_under(directory: Path) -> list[Path]:
    """Every file below a directory, in a fixed order."""
    return sorted(p for p in directory.rglob("*") if p.is_file())


def directories_under(directory: Path) -> list[Path]:
    """A directory and every directory below it, the deepest first."""
    below = sorted((p for p in directory.rglob("*") if p.is_dir()), reverse=True)
    return [*below, directory]


def remove(path: Path) -> None:
    """Delete a file or a whole directory; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Give a file a second place: a hard link where the disk can, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def disk_errors(where: Path, hint: str = "") -> Iterator[None]:
    """Turn whatever a disk can do to a writer into one clear `RunError` about `where`."""
    try:
        yield
    except AskesisError:
        raise
    except Exception as error:
        found = disk_trouble(error)
        if not found:
            raise
        raise RunError(f"{found} while writing to {where}", hint=hint) from error


def disk_trouble(error: BaseException) -> str:
    """What is wrong with the disk, in words; "" where the error is about something else."""
    text = str(error)
    if isinstance(error, OSError):
        if error.errno in _FULL or "os error 28" in text or "No space left" in text:
            return "the disk is full"
        return f"the disk refused ({error.strerror or text})"
    if isinstance(error, sqlite3.Error):
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            return "the disk is full"
        if isinstance(error, sqlite3.OperationalError):
            return f"the disk refused (ledger.sqlite: {text})"
    if "No space left" in text or "os error 28" in text:  # writers in other languages
        return "the disk is full"
    return ""
