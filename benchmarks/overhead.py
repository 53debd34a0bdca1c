"""The share of a run spent outside sampling, scoring and learning: loop, driver, records, store.

    python -m benchmarks.overhead

Two runs of `rft` on countdown with the tiny model: a few large rounds, and two thousand small
ones (one task, two short attempts). Time inside the engine is taken by wrapping it, time of the
stages from the run. Overhead is what remains after sampling, drawing, verifying, selecting,
learning and measuring: the loop, the driver, the records, the rendering and the store.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from askesis.run import Watcher
from benchmarks.machine import write

STAGES = ("tasks", "explore", "judge", "measure", "retain")

LARGE = {
    "world": "countdown?difficulty=0.7",
    "rounds": 16,
    "tasks.num": 256,
    "explore.num-attempts": 8,
}
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

    def wrap(self, thing: Any, method: str, name: str | Callable[[], str]) -> None:
        inner = getattr(thing, method)

        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*args, **options)
            finally:
                to = name if isinstance(name, str) else name()
                self.seconds[to] += time.perf_counter() - began

        object.__setattr__(thing, method, timed)


class Stage(Watcher):
    """Knows which stage is running."""

    now = ""

    def stage_began(self, stage: str, slot: str, num_in: int) -> None:
        self.now = stage


def measure(options: dict[str, Any]) -> dict[str, float]:
    """Seconds and shares of one run."""
    from askesis.lab.begin import begin, plan_for

    plan = plan_for("rft", list(options.items()))
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage()
        run = begin(plan, Path(folder) / "run", watchers=[stage], say=lambda line: None)
        engine = run.speakers.voice("policy").engine
        clock.wrap(engine, "say", lambda: stage.now)
        clock.wrap(run.store, "append", "store")
        clock.wrap(run.store, "commit_round", "store")
        clock.wrap(run, "_close_segment", "segments")
        began = time.perf_counter()
        run.improve()
        seconds = time.perf_counter() - began
        rounds = run.store.rounds()
        sampled = {name: spent for name, spent in clock.seconds.items() if name in STAGES}
        stages: dict[str, float] = defaultdict(float)
        for row in rounds:
            for stage, spent in row["seconds"].items():
                stages[stage] += spent
        counts = dict(run.meter.counts)
        run.close()
    sampling = sum(sampled.values())
    measuring = stages["measure"] - sampled.get("measure", 0.0)
    work = sampling + measuring + sum(stages[s] for s in ("tasks", "judge", "select", "learn"))
    return {
        "seconds": seconds,
        "rounds": len(rounds),
        "attempts": counts["attempts"],
        "generated_tokens": counts["generated/train"],
        "sampling_tokens_per_s": counts["generated/train"] / max(1e-9, sampling),
        "trained_tokens_per_s": counts.get("trained", 0) / max(1e-9, stages["learn"]),
        "sampling_share": sampling / seconds,
        "learn_share": stages["learn"] / seconds,
        "judge_share": stages["judge"] / seconds,
        "tasks_share": stages["tasks"] / seconds,
        "select_share": stages["select"] / seconds,
        "measure_share": measuring / seconds,
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
