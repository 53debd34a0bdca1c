"""Our side of the benchmark of a GRPO round, as a process that answers on stdin and stdout.

    python -m benchmarks.our_side MODEL [--option PATH=VALUE ...]

A run of the recipe `grpo` on the tasks of `benchmarks.grpo_sides`, from a directory in Hugging Face
layout. It stands still after every round until it reads a line; each is answered with what the
next one took, in seconds, from the line to the round's commit:

    {"seconds": ..., "sampling": ..., "judging": ..., "learning": ..., "stages": ..., "tokens": ...}

"stages" are all stages together; what is missing to "seconds" are loop, records and store. A
segment of the store closes once a minute, and so in the round after a long wait.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from askesis.lab.begin import begin, plan_for
from askesis.run import Watcher
from benchmarks.grpo_sides import (
    ATTEMPTS,
    KL_COEF,
    LEARNING_RATE,
    MAX_TOKENS,
    POOL_SEED,
    PROMPTS,
    WORLD,
)


def improve(model: str, options: Sequence[str], kl_coef: float) -> None:
    """Runs the recipe; every round waits for a line and is answered with what it took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(told: Any) -> None:
        print(json.dumps(told), file=answers, flush=True)

    class Steps(Watcher):
        def run_began(self, run: Any) -> None:
            self.run, self.tokens = run, 0.0
            answer({"ready": "askesis"})
            self._wait()

        def round_ended(self, rd: Any, metrics: Any) -> None:
            seconds = time.perf_counter() - self.began
            tokens = float(self.run.meter.counts["generated/train"])
            answer(
                {
                    "seconds": seconds,
                    "sampling": rd.seconds["explore"],
                    "judging": rd.seconds["judge"],
                    "learning": rd.seconds["learn"],
                    "stages": sum(rd.seconds.values()),
                    "tokens": tokens - self.tokens,
                    "metrics": {k: v for k, v in metrics.items() if isinstance(v, int | float)},
                }
            )
            self.tokens = tokens
            self._wait()

        def _wait(self) -> None:
            if not sys.stdin.readline():
                os._exit(0)
            self.began = time.perf_counter()

    chosen: list[tuple[str, Any]] = [
        ("world", WORLD),
        ("rounds", 10**6),
        ("measure-every", 10**6),
        ("num-attempts", ATTEMPTS),
        ("kl-coef", kl_coef),
        ("tasks.num", PROMPTS),
        ("tasks.pool-size", PROMPTS),
        ("tasks.pool-seed", POOL_SEED),
        ("explore.max-tokens", MAX_TOKENS),
        ("learn.policy.learning-rate", LEARNING_RATE),
        ("models.policy.source", model),
    ]
    chosen += [(key, value) for key, _, value in (o.partition("=") for o in options)]
    with tempfile.TemporaryDirectory() as folder:
        begin(plan_for("grpo", chosen), Path(folder) / "run", [Steps()], lambda _: None).improve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--option", action="append", default=[], help="PATH=VALUE, of the plan")
    parser.add_argument("--kl-coef", type=float, default=KL_COEF)
    options = parser.parse_args()
    improve(options.model, options.option, options.kl_coef)


if __name__ == "__main__":
    main()
