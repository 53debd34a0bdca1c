"""The share of a run spent outside sampling, scoring and learning: loop, driver, records, store.

    python -m benchmarks.overhead

Two runs of `rft` on countdown with the tiny model: a few large rounds, and two thousand small
ones (one task, two short attempts). Time inside engines and the optimiser is taken by wrapping
them; everything else is overhead, verifying and selecting counted apart.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.machine import write

LARGE = {"world": "countdown?difficulty=0.7", "rounds": 16, "tasks.num": 256, "explore.num-attempts": 8}
SMALL = {
    "world": "countdown?difficulty=0.7",
    "rounds": 2000,
    "tasks.num": 1,
    "explore.num-attempts": 2,
    "explore.max-tokens": 8,
    "measure-every": 100000,
}


class Clock:
    """Sums the seconds spent inside wrapped methods, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def wrap(self, thing: Any, method: str, name: str) -> None:
        inner = getattr(thing, method)

        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*args, **options)
            finally:
                self.seconds[name] += time.perf_counter() - began

        object.__setattr__(thing, method, timed)


def measure(options: dict[str, Any]) -> dict[str, float]:
    """Seconds and shares of one run."""
    from askesis.lab.begin import begin, plan_for

    plan = plan_for("rft", list(options.items()))
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = begin(plan, Path(folder) / "run", say=lambda line: None)
        engine, _ = run.speakers.engine("policy", "")
        clock.wrap(engine, "say", "sampling")
        clock.wrap(run.store, "append", "store")
        clock.wrap(run.store, "commit_round", "store")
        clock.wrap(run, "_close_segment", "segments")
        began = time.perf_counter()
        run.improve()
        seconds = time.perf_counter() - began
        rounds = run.store.rounds()
        stages: dict[str, float] = defaultdict(float)
        for row in rounds:
            for stage, spent in row["seconds"].items():
                stages[stage] += spent
        counts = dict(run.meter.counts)
        run.close()
    work = clock.seconds["sampling"] + stages["learn"] + stages["judge"] + stages["tasks"]
    return {
        "seconds": seconds,
        "rounds": len(rounds),
        "attempts": counts["attempts"],
        "generated_tokens": counts["generated/train"],
        "sampling_tokens_per_s": counts["generated/train"] / max(1e-9, clock.seconds["sampling"]),
        "trained_tokens_per_s": counts.get("trained", 0) / max(1e-9, stages["learn"]),
        "sampling_share": clock.seconds["sampling"] / seconds,
        "learn_share": stages["learn"] / seconds,
        "judge_share": stages["judge"] / seconds,
        "tasks_share": stages["tasks"] / seconds,
        "select_share": stages["select"] / seconds,
        "store_share": (clock.seconds["store"] + clock.seconds["segments"]) / seconds,
        "overhead_share": 1 - work / seconds,
    }


def main() -> None:
    figures = {name: measure(options) for name, options in (("large", LARGE), ("small", SMALL))}
    for name, found in figures.items():
        print(name)
        for key, value in found.items():
            print(f"  {key:24s} {value:12.3f}")
    print("written to", write("overhead", figures, "python -m benchmarks.overhead"))


if __name__ == "__main__":
    main()
