"""The worker process behind `askesis.worlds.workers`: `python -m askesis.worlds.checker CPU_S`.

Reads one job a line, [function, arguments], and writes one line, {"value", "why"}. It may only
call functions of `askesis.worlds`. Ends when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

_MEMORY_BYTES = 4 << 30


class _TimeIsUp(BaseException):
    """Not an Exception: the libraries called here swallow those."""


def _time_is_up(*_: Any) -> None:
    raise _TimeIsUp


def main() -> None:
    cpu_s = int(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    _limit_memory()
    if hasattr(signal, "SIGVTALRM"):
        signal.signal(signal.SIGVTALRM, _time_is_up)
    for line in sys.stdin:
        function, arguments = json.loads(line)
        answers.write(json.dumps(_answer(function, arguments, cpu_s)) + "\n")
        answers.flush()


def _answer(function: str, arguments: list[Any], cpu_s: int) -> dict[str, Any]:
    try:
        module, _, name = function.partition(":")
        if not module.startswith("askesis.worlds."):
            raise PermissionError(f"{function} may not be called here")
        call = getattr(importlib.import_module(module), name)
        prepare = getattr(importlib.import_module(module), "prepare_worker", None)
        if prepare is not None:
            prepare()  # imports do not count as the job's time
        _limit_time(cpu_s)
        value = call(*arguments)
        return {"value": value, "why": ""}
    except _TimeIsUp:
        return {"value": None, "why": f"the check took more than {cpu_s} processor seconds"}
    except (Exception, RecursionError, MemoryError) as error:
        return {"value": None, "why": f"{type(error).__name__}: {error}"[:200]}
    finally:
        _limit_time(0)


def _limit_time(cpu_s: int) -> None:
    """Interrupt after `cpu_s` processor seconds; die two seconds later (0: no limit)."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        import resource
    except ImportError:  # not on this system: the parent's clock remains
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    so_far = int(used.ru_utime + used.ru_stime) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = so_far + cpu_s + 2 if cpu_s else hard
    if hard != resource.RLIM_INFINITY and limit > hard:
        limit = hard
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _limit_memory() -> None:
    try:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, hard))
    except (ImportError, ValueError, OSError):
        pass  # a limit below the one already set, or none on this system


if __name__ == "__main__":
    main()
