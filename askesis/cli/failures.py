"""What a person sees when something went wrong: one line, never a traceback by surprise."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from askesis.errors import AskesisError, StageError

USER, UNEXPECTED, INTERRUPTED = 2, 1, 130
FULL = (errno.ENOSPC, errno.EDQUOT)


class Interrupted(Exception):
    """Ctrl-C, with the line to say about it. (Typer swallows a KeyboardInterrupt's words.)"""


def guarded(action: Callable[[], int]) -> int:
    """Run a command; its exit code. 0 done, 2 a mistake the user can mend, 130 Ctrl-C, else 1.

    ASKESIS_DEBUG=1 shows tracebacks; otherwise those of unexpected errors and of failures
    inside a part are written to a file that is named.
    """
    try:
        return action()
    except (Interrupted, KeyboardInterrupt) as stop:
        say(str(stop) or "stopped; what was committed before is safe")
        return INTERRUPTED
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except StageError as error:
        say(f"{error}{_traceback(error)}")
        return USER
    except AskesisError as error:
        if debugging():
            traceback.print_exception(error)
        say(str(error))
        return USER
    except OSError as error:
        trouble = _disk(error)
        if trouble:
            say(trouble + ("" if error.errno in FULL else _traceback(error)))
            return USER
        say(f"unexpected {type(error).__name__}: {error}{_traceback(error)}")
        return UNEXPECTED
    except MemoryError as error:
        say(
            "the machine has too little memory for this; try fewer attempts or tasks in a round "
            f"(askesis run ... --dry-run says what a run needs){_traceback(error)}"
        )
        return UNEXPECTED
    except Exception as error:
        say(f"unexpected {type(error).__name__}: {_short(str(error))}{_traceback(error)}")
        return UNEXPECTED


def say(message: str) -> None:
    """One line to the person, on stderr."""
    print(f"askesis: {' '.join(message.split())}", file=sys.stderr, flush=True)


def debugging() -> bool:
    return os.environ.get("ASKESIS_DEBUG", "") not in ("", "0")


def _short(text: str, length: int = 400) -> str:
    return text if len(text) <= length else text[:length] + "..."


def _traceback(error: BaseException) -> str:
    """Keep the traceback where it can be found; words that say where."""
    if debugging():
        traceback.print_exception(error)
        return ""
    try:
        name = f"askesis-traceback-{os.getpid()}.txt"
        path = Path(tempfile.gettempdir()) / name
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return " (ASKESIS_DEBUG=1 shows the traceback)"
    return f" (traceback in {path})"


def _disk(error: OSError) -> str:
    if error.errno in FULL:
        return "the disk is full; what was committed is safe. Make room, then: askesis resume RUN"
    where = f" {error.filename}" if error.filename else ""
    if isinstance(error, FileNotFoundError):
        return f"there is no file{where}. Check the path"
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError):
        return f"the path{where} cannot be used ({error.strerror}). Choose another one"
    return ""
