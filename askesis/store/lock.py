"""One writer per run directory. The lock is the kernel's and dies with its process.

POSIX record locks are used because child processes do not inherit them: a killed run whose
worker processes still live must not look like a running one. They do not see two owners within
one process, so those are kept apart by a table here.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from askesis.errors import RunError

_held: set[str] = set()


class Lock:
    """Holds the writer's lock of a run directory from construction to `release`.

    Raises RunError, naming the process, where another writer has it.
    """

    def __init__(self, directory: Path) -> None:
        self._name = os.path.realpath(directory / "lock")
        self._handle = -1
        if self._name in _held:
            raise _taken(directory, "this process")
        handle = os.open(self._name, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            who = os.read(handle, 32).decode("ascii", "replace").strip()
            os.close(handle)
            raise _taken(directory, f"process {who}" if who else "another process") from error
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._handle = handle
        _held.add(self._name)

    def release(self) -> None:
        """Give the lock up; a second call does nothing."""
        if self._handle >= 0:
            _held.discard(self._name)
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        if getattr(self, "_handle", -1) >= 0:
            self.release()


def is_held(directory: Path) -> bool:
    """Whether somebody is writing a run directory right now; takes and changes nothing."""
    name = os.path.realpath(directory / "lock")
    if name in _held:
        return True  # opening and closing it here would drop this process's own lock
    try:
        handle = os.open(name, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _taken(directory: Path, who: str) -> RunError:
    return RunError(
        f"{directory} is already being written",
        found=f"its lock held by {who}",
        hint="wait for it to end or stop it; show, query and report work meanwhile",
    )
