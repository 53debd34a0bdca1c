"""Checks that must not run in this process: slow, crash-prone, or fond of alarm signals.

A few worker processes read jobs as lines of JSON and answer in kind. A job that uses up its
processor seconds is interrupted, one that cannot be interrupted dies with its worker, which is
replaced; either way the job's outcome is an `Outcome` with a reason, and its neighbours are
unharmed. Limits count processor time, not the clock, so a busy machine changes no score.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CPU_S = 4  # processor seconds a job may use
STARTS_WITHIN_S = 120.0  # the first answer of a worker; it imports a large library
WALL_S = 120.0  # a job that neither computes nor answers


@dataclass(frozen=True, slots=True)
class Job:
    """One call of `function` ("askesis.worlds.module:name") with JSON arguments."""

    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job returned, or why it did not ("" where it did)."""

    value: Any
    why: str = ""


class Workers:
    """`num` processes that check. Started on the first job; `close` ends them."""

    def __init__(self, num: int = 2, cpu_s: int = CPU_S) -> None:
        self.num, self.cpu_s = num, cpu_s
        self._idle: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Do all jobs, spread over the workers; outcomes in the order of the jobs."""
        with self._lock:
            return self._run(list(jobs))

    def _run(self, jobs: list[Job]) -> list[Outcome]:
        outcomes: list[Outcome] = [Outcome(None, "not done")] * len(jobs)
        waiting = list(range(len(jobs)))[::-1]
        busy: dict[int, tuple[subprocess.Popen[bytes], int, float]] = {}  # by file number
        with selectors.DefaultSelector() as selector:
            while waiting or busy:
                while waiting and len(busy) < self.num:
                    worker = self._idle.pop() if self._idle else self._start()
                    index = waiting.pop()
                    assert worker.stdout is not None
                    number = worker.stdout.fileno()
                    _send(worker, jobs[index])
                    selector.register(number, selectors.EVENT_READ)
                    busy[number] = (worker, index, time.monotonic() + WALL_S + STARTS_WITHIN_S)
                ready = {key.fd for key, _ in selector.select(timeout=1.0)}
                for number, (worker, index, deadline) in list(busy.items()):
                    if number not in ready and time.monotonic() < deadline:
                        continue
                    selector.unregister(number)
                    del busy[number]
                    line = worker.stdout.readline() if number in ready and worker.stdout else b""
                    outcomes[index] = self._read(worker, line)
        return outcomes

    def _read(self, worker: subprocess.Popen[bytes], line: bytes) -> Outcome:
        if line.endswith(b"\n"):
            answer = json.loads(line)
            self._idle.append(worker)
            return Outcome(answer["value"], answer["why"])
        _end(worker)
        return Outcome(None, "the check used up its time or memory")

    def _start(self) -> subprocess.Popen[bytes]:
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p for p in paths if p),
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",  # set order decides how some libraries print and compare
        }
        return subprocess.Popen(
            [sys.executable, "-m", "askesis.worlds.checker", str(self.cpu_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the run, which then ends its workers itself
        )

    def close(self) -> None:
        """End the worker processes; a later job starts new ones."""
        with self._lock:
            while self._idle:
                _end(self._idle.pop())


def _send(worker: subprocess.Popen[bytes], job: Job) -> None:
    line = json.dumps([job.function, job.arguments]).encode() + b"\n"
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died while idle: reading finds that out
        worker.stdin.write(line)
        worker.stdin.flush()


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


_shared: Workers | None = None


def shared_workers() -> Workers:
    """The worker processes that all worlds of this process share."""
    global _shared
    if _shared is None:
        _shared = Workers()
        atexit.register(_shared.close)
    return _shared
