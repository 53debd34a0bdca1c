"""The work of a GRPO round, and the processes that do it in turn.

What `benchmarks.grpo_round` measures, `benchmarks.our_side` and `benchmarks.trl_side` do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

WORLD = "countdown?difficulty=0.7"
PROMPTS, ATTEMPTS, MAX_TOKENS = 64, 8, 32
POOL_SEED = 1  # pool 0 is what the warm start demonstrated
KL_COEF, LEARNING_RATE = 0.04, 1e-6
ROOT = Path(__file__).resolve().parent.parent


def tasks() -> tuple[Any, list[Any]]:
    """The world, and the tasks of every round on both sides."""
    from askesis.tasks.uniform import distinct_tasks, pool_key
    from askesis.worlds.open import open_world

    world = open_world(WORLD)
    return world, distinct_tasks(world, pool_key(POOL_SEED), PROMPTS, None)


class Side:
    """A process that makes one round for every line it is given: `with Side(...) as side`.

    Its own output other than the answers goes to a file, whose end is shown where it fails.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.took: list[dict[str, Any]] = []
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        environment |= {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.ready: str = self._line()["ready"]

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()  # it has nothing to save
        self._process.wait()
        self._log.close()

    def round(self) -> dict[str, Any]:
        """What the next round took."""
        assert self._process.stdin is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            last = [x for x in self._log.read().splitlines() if x.strip()][-5:]
            raise RuntimeError(f"{self.name} ended: " + " / ".join(last))
        found: dict[str, Any] = json.loads(line)
        return found


def our_command(model: Path, options: Sequence[tuple[str, str]], kl_coef: float) -> list[str]:
    return [sys.executable, "-m", "benchmarks.our_side", str(model), "--kl-coef",
            str(kl_coef), *(f"--option={key}={value}" for key, value in options)]  # fmt: skip


def trl_command(python: str, model: Path, at: Sequence[Any], kl_coef: float) -> list[str]:
    precision, rows, threads = at
    return [python, "-m", "benchmarks.trl_side", str(model), "--precision", precision, "--rows",
            str(rows), "--threads", str(threads), "--kl-coef", str(kl_coef)]  # fmt: skip
