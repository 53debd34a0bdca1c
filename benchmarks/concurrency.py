"""Memory of thousands of concurrent attempts: bounded by what runs, not by what waits.

    python -m benchmarks.concurrency [--attempts 1000,10000]

One coroutine an attempt, one process, the driver and the native engine with the tiny model: 24
tokens of prompt (all different), 48 new ones, 512 rows at a time in the engine. Three columns of
memory above what the process needed before (imports, weights, a first call with all rows), read
every two milliseconds; each line is a process of its own:

    lazy     the driver lets 512 coroutines exist at a time
    waiting  all of them exist at once and wait: what an attempt costs that only waits
    results  as `lazy`, and every turn is kept, as a round does: what an attempt's record costs
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any

from benchmarks.machine import write
from benchmarks.memory import resident_mib

PROMPT, NEW, ROWS = 24, 48, 512
HOW = ("lazy", "waiting", "results")


class Peak:
    """The highest resident memory while the block ran, in MiB."""

    def __enter__(self) -> Peak:
        self.mib, self._over = resident_mib(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.002):
            self.mib = max(self.mib, resident_mib())

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self.mib = max(self.mib, resident_mib())


def measure(how: str, num: int) -> dict[str, float]:
    """Memory and seconds of `num` attempts in this process."""
    from askesis.driver import Driver
    from askesis.engines.native import NativeEngine
    from askesis.models.tiny import tiny_model
    from askesis.records import Start, Task
    from tests.explore.host import Host, Sums

    host = Host({"policy": tiny_model()}, Sums())
    host.speakers.open_engine = lambda name, model: NativeEngine(model, max_rows=ROWS)
    ctx = host.context()

    async def attempt(number: int) -> Any:
        start = Start(Task(f"t{number}", Sums.id, f"{number:0{PROMPT - 2}d}"))
        turn = await ctx.say("policy", start, max_tokens=NEW)
        return turn if how == "results" else len(turn.tokens)

    def run(first: int, count: int, max_running: int) -> list[Any]:
        driver = Driver(host.speakers.servers(), max_running)
        outcomes = driver.run(partial(attempt, n) for n in range(first, first + count))
        return [outcome.value for outcome in outcomes]

    run(10**9, 2 * ROWS, ROWS)
    host.speakers.clear()
    gc.collect()
    gc.freeze()
    before = resident_mib()
    with Peak() as peak:
        began = time.perf_counter()
        said = run(0, num, num if how == "waiting" else ROWS)
        seconds = time.perf_counter() - began
    tokens = sum(n if isinstance(n, int) else len(n.tokens) for n in said)
    return {
        "before_mib": round(before, 1),
        "peak_above_mib": round(peak.mib - before, 1),
        "seconds": round(seconds, 2),
        "tokens": tokens,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", default="1000,10000,20000")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)  # how,attempts: the child
    options = parser.parse_args()
    if options.one:
        how, num = options.one.split(",")
        print(json.dumps(measure(how, int(num))))
        return
    numbers = [int(n) for n in options.attempts.split(",")]
    figures: dict[str, dict[str, Any]] = {how: {} for how in HOW}
    print(
        f"{'peak above the start, MiB':28s}" + "".join(f"{n:>10,d}" for n in numbers) + "  attempts"
    )
    for how in HOW:
        for num in numbers:
            command = [sys.executable, "-m", "benchmarks.concurrency", "--one", f"{how},{num}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures[how][str(num)] = json.loads(done.stdout.splitlines()[-1])
        row = [figures[how][str(n)]["peak_above_mib"] for n in numbers]
        print(f"{how:28s}" + "".join(f"{mib:10.1f}" for mib in row), flush=True)
    more = numbers[-1] - numbers[0]
    for how in HOW:
        grown = figures[how][str(numbers[-1])]["peak_above_mib"]
        grown -= figures[how][str(numbers[0])]["peak_above_mib"]
        figures[how]["kib_a_further_attempt"] = round(1024 * grown / max(1, more), 2)
        print(f"  {how}: {figures[how]['kib_a_further_attempt']} KiB for each attempt more")
    command_line = f"python -m benchmarks.concurrency --attempts {options.attempts}"
    print("written to", write("concurrency", figures, command_line))


if __name__ == "__main__":
    main()
