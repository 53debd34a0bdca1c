"""Search in steps: does a level cost what it adds, or what lies above it?

    python -m benchmarks.tree_search [--repeats 3] [--prompt 128] [--step 16]

256 problems, eight levels. At each level the node at hand is expanded: eight children are sampled
as steps (to a newline, or 16 tokens), the likeliest is kept, and the next level extends its path.
All of it through driver coroutines, speakers and the native engine with the tiny model (random
weights: what is said has no meaning, what it costs has). Prompts of 128 tokens, so that the last
level reads about 250. Three ways to do the same search:

    kept       the engine keeps what it computed: a level reads its new step alone
    cleared    `engine.clear()` before every level: each node's whole prefix is read again, once
               for its eight children
    re-sent    every child reads the whole prefix by itself, as a client does that sends one
               request a child to a server which keeps nothing (256 rows at a time)

The clock runs inside the engine; making weights ready again after `clear` is not counted. The
three are interleaved, figures are medians. Wanted: `kept` costs at the last level at most 1.25
times what it costs at the first, and the whole search at least 3 times less than `re-sent`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.engines.native import NativeEngine
from askesis.models.tiny import tiny_model
from askesis.records import Start, Task, Turn
from askesis.requests import All, Said, Sampling, SayTokens
from benchmarks.machine import write

PROBLEMS, WIDTH, LEVELS = 256, 8, 8
LAST_TO_FIRST, FASTER = 1.25, 3.0
Row = dict[str, float]


class Expand:
    """The search of one problem: greedy over steps by their mean log-probability."""

    def __init__(self, step_tokens: int) -> None:
        self.sampling = Sampling(max_tokens=step_tokens, stop=("\n",))

    async def explore(self, ctx: Any, start: Start) -> list[Turn]:
        path: list[Turn] = []
        for _ in range(LEVELS):
            asked = [
                ctx.say("policy", start, path, draw=child, sampling=self.sampling)
                for child in range(WIDTH)
            ]
            children = await All(asked)
            path.append(max(children, key=lambda turn: float(turn.logp_model.mean())))
        return path


class Metered:
    """Stands before `engine.say` and notes what each level (one call a level) costs."""

    def __init__(self, engine: NativeEngine, how: str) -> None:
        self.engine, self.how = engine, how
        self.inner: Callable[[Sequence[SayTokens]], list[Said]] = type(engine).say.__get__(engine)
        self.levels: list[Row] = []

    def __call__(self, requests: Sequence[SayTokens]) -> list[Said]:
        before, spent, processor = replace(self.engine.gauge), 0.0, 0.0
        found: list[Said | None] = [None] * len(requests)
        for part in self.parts(len(requests)):
            some = [requests[i] for i in part]
            if self.how != "kept":
                self.engine.clear()
                ready = SayTokens(np.array([0], np.int32), Sampling(max_tokens=1), 0, ())
                self.inner([ready])  # weights are packed again outside the clock
            began, busy = time.perf_counter(), time.process_time()
            said = self.inner(some)
            spent += time.perf_counter() - began
            processor += time.process_time() - busy
            for i, answer in zip(part, said, strict=True):
                found[i] = answer
        after = self.engine.gauge
        self.levels.append(
            {
                "seconds": spent,
                "processor_s": processor,
                "tokens_read": after.num_read - before.num_read,
                "tokens_reused": after.num_reused - before.num_reused,
                "tokens_said": sum(len(answer.tokens) for answer in found if answer is not None),
                "context": statistics.mean(len(r.context) for r in requests),
            }
        )
        return found  # type: ignore[return-value]

    def parts(self, num: int) -> list[range]:
        """Which requests go together: all, or where nothing is shared one child of each node."""
        return (
            [range(k, num, WIDTH) for k in range(WIDTH)] if self.how == "re-sent" else [range(num)]
        )


def search(
    host: Any, prompts: list[str], how: str, step_tokens: int
) -> tuple[list[Row], float, Any]:
    """Costs of the levels, seconds in all (driver and speakers too), and the paths found."""
    engine = host.speakers.voice("policy").engine
    engine.clear()
    metered = engine.say = Metered(engine, how)
    ctx, part = host.context(), Expand(step_tokens)
    starts = [Start(Task(f"t{i}", "sums-v1", prompt)) for i, prompt in enumerate(prompts)]
    began = time.perf_counter()
    outcomes = host.drive([lambda s=s: part.explore(ctx, s) for s in starts])
    seconds = time.perf_counter() - began
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    paths = [[turn.tokens.tobytes() for turn in outcome.value] for outcome in outcomes]
    return metered.levels, seconds, paths


def same(one: Any, other: Any) -> float:
    """Share of first-to-last steps that two searches have in common."""
    pairs = [a == b for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return sum(pairs) / len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=128, help="tokens of a prompt")
    parser.add_argument("--step", type=int, default=16, help="tokens a step may have")
    options = parser.parse_args()
    from tests.explore.host import Host, Sums

    rng = np.random.default_rng(0)
    prompts = [
        "".join(chr(c) for c in rng.integers(97, 123, options.prompt - 2)) for _ in range(PROBLEMS)
    ]
    host = Host({"policy": tiny_model()}, Sums())
    ways = ("kept", "cleared", "re-sent")
    runs: dict[str, list[tuple[list[Row], float, Any]]] = {how: [] for how in ways}
    search(host, prompts, "kept", options.step)  # a first one, to warm up
    for _ in range(options.repeats):
        for how in ways:
            runs[how].append(search(host, prompts, how, options.step))
    figures: dict[str, Any] = {}
    for how, found in runs.items():
        levels = [
            {key: statistics.median(run[0][n][key] for run in found) for key in found[0][0][0]}
            for n in range(LEVELS)
        ]
        figures[how] = {
            "levels": [{k: round(v, 4) for k, v in level.items()} for level in levels],
            "engine_s": round(sum(level["seconds"] for level in levels), 3),
            "whole_s": round(statistics.median(run[1] for run in found), 3),
            "last_to_first": round(
                statistics.median(run[0][-1]["seconds"] / run[0][0]["seconds"] for run in found), 3
            ),
            "same_steps_as_kept": round(same(found[0][2], runs["kept"][0][2]), 4),
        }
    print(f"{PROBLEMS} problems, {LEVELS} levels of {WIDTH} steps of at most {options.step} tokens")
    print("level  context  " + "  ".join(f"{how:>8s} s {'read':>9s}" for how in ways))
    for n in range(LEVELS):
        rows = [figures[how]["levels"][n] for how in ways]
        cells = [f"{row['seconds']:10.3f} {row['tokens_read']:9,.0f}" for row in rows]
        print(f"{n + 1:5d} {rows[0]['context']:8.1f}  " + "  ".join(cells))
    for how in ways:
        one = figures[how]
        print(
            f"{how:8s} {one['engine_s']:7.2f} s in the engine, {one['whole_s']:.2f} s in all, "
            f"last level {one['last_to_first']:.2f} of the first, "
            f"{100 * one['same_steps_as_kept']:.1f} % of the steps as with `kept`"
        )
    kept = figures["kept"]
    faster = {
        how: {
            clock: round(
                statistics.median(
                    sum(row[clock] for row in other[0]) / sum(row[clock] for row in mine[0])
                    for mine, other in zip(runs["kept"], runs[how], strict=True)
                ),
                2,
            )
            for clock in ("seconds", "processor_s")
        }
        for how in ways[1:]
    }
    figures["kept_is_faster_by"] = faster
    figures["holds"] = {
        "last_to_first": kept["last_to_first"] <= LAST_TO_FIRST,
        "faster": faster["re-sent"]["seconds"] >= FASTER,
    }
    print(f"last level / first level {kept['last_to_first']:.2f}, wanted at most {LAST_TO_FIRST}")
    for how, wanted in (("re-sent", f", wanted at least {FASTER:g}"), ("cleared", "")):
        by = faster[how]
        print(
            f"kept against {how} {by['seconds']:.2f} times "
            f"({by['processor_s']:.2f} in processor time){wanted}"
        )
    command = "python -m benchmarks.tree_search"
    command += f" --repeats {options.repeats} --prompt {options.prompt} --step {options.step}"
    print("written to", write("tree_search", figures, command))


if __name__ == "__main__":
    main()
