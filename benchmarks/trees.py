"""Trees per second: a search of 256 problems at once, and what of its time is not the engine's.

    python -m benchmarks.trees [--trees 256] [--generate-trees 64] [--repeats 3]

Each tree: 32 simulations of UCT, five draws a place, at most eight edges deep, one roll-out for a
value; on chains of eight operations (`chain_arithmetic?difficulty=0.75`, so that an answer is eight
steps long) with the tiny model, warm-started (made on first use, then cached). Temperature 1.6: at
one the five draws say nearly the same, and three trees in four are searched through before their
32 simulations are over. All through driver coroutines, speakers and the native engine, whose
caches are emptied before every search. Figures are medians.

    trees a second      of the whole: engine, driver, speakers, verifier, the tree itself
    outside             the share of that time which is not spent in `engine.say`; the profile
                        beside the figures (results/trees_profile.txt) says where, with the
                        engine's own time taken out of it
    against generate    the same search where every request sends its whole prefix to
                        `transformers.generate` (its key-value cache on within a call, 256 rows at a
                        time, no log-probabilities asked for). It is slow, so it grows fewer trees;
                        the comparison is per simulation, with the native engine at as many trees
    by depth            all trees go down together, one place of each a level, five draws, no
                        roll-out, temperature one: what a simulation costs at each depth, and what
                        a token does

Wanted: at most 15 % outside, and at the last depth at most 1.25 times the first depth's cost of a
token (steps grow longer with the numbers in them; the cost of a simulation stands beside).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from askesis.explore.search import Search
from askesis.lab.warm_start import warm_model
from askesis.plan import ModelSpec
from askesis.records import Group, Start
from askesis.requests import Said, SayTokens
from askesis.search.evaluate import Nothing
from askesis.search.expand import Draws
from askesis.search.frontier import DepthFirst
from askesis.worlds.open import open_world
from benchmarks.generate_side import ByGenerate
from benchmarks.machine import RESULTS, describe, write

BRANCHING, DEPTH, TEMPERATURE = 5, 8, 1.6
OUTSIDE, FLAT = 0.15, 1.25
SHOWN = 45  # functions of the profile
Row = dict[str, Any]


class Metered:
    """Stands before something that says tokens: seconds and sizes of every call.

    profile: is switched off while the other works, so that it sees everything else.
    """

    def __init__(self, say: Callable[..., list[Said]], profile: cProfile.Profile | None) -> None:
        self.inner, self.profile = say, profile
        self.calls: list[dict[str, float]] = []

    def __call__(self, requests: Sequence[SayTokens]) -> list[Said]:
        if self.profile is not None:
            self.profile.disable()
        began = time.perf_counter()
        said = self.inner(requests)
        seconds = time.perf_counter() - began
        self.calls.append(
            {
                "seconds": seconds,
                "requests": len(requests),
                "tokens": sum(len(s.tokens) for s in said),
                "context": float(np.mean([len(r.context) for r in requests])),
            }
        )
        if self.profile is not None:
            self.profile.enable()
        return said


class Side:
    """A host whose engine's `say` is the engine's own, or `generate`."""

    def __init__(self, model: Any, world: Any, say: Callable[..., list[Said]] | None = None):
        from tests.explore.host import Host

        self.host = Host({"policy": model}, world)
        self.engine = self.host.speakers.voice("policy").engine
        self.say = say or self.engine.say

    def search(
        self, part: Search, tasks: Sequence[Any], profile: cProfile.Profile | None = None
    ) -> tuple[Row, list[Group], list[dict[str, float]]]:
        """One search of all tasks: its figures, its trees, and the calls it made."""
        self.engine.clear()
        metered = self.engine.say = Metered(self.say, profile)
        ctx = self.host.context()
        began, busy = time.perf_counter(), time.process_time()
        if profile is not None:
            profile.enable()
        outcomes = self.host.drive([lambda t=t: part.explore(ctx, Start(t)) for t in tasks])
        if profile is not None:
            profile.disable()
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
        groups = [outcome.value for outcome in outcomes]
        inside = sum(c["seconds"] for c in metered.calls)
        simulations = sum(g.tree.spent["simulations"] for g in groups)
        tokens = sum(c["tokens"] for c in metered.calls)
        row = {
            "seconds": seconds,
            "engine_s": inside,
            "outside_share": 1 - inside / seconds,
            "trees_per_s": len(groups) / seconds,
            "simulations_per_s": simulations / seconds,
            "ms_per_simulation": 1000 * seconds / simulations,
            "processor_ms_per_simulation": 1000 * busy / simulations,
            "tokens_per_s": tokens / seconds,
            "tokens_per_simulation": tokens / simulations,
            "requests_per_call": float(np.mean([c["requests"] for c in metered.calls])),
        }
        return row, groups, metered.calls


def medians(rows: Sequence[Row]) -> Row:
    return {k: round(statistics.median(r[k] for r in rows), 4) for k in rows[0]}


def shapes(groups: Sequence[Group]) -> Row:
    """What the trees are like: whether they are the search that was asked for."""
    trees = [g.tree for g in groups if g.tree is not None]
    deepest = [max(n.depth for n in t.nodes) for t in trees]
    visited = [max(n.depth for n in t.nodes if n.visits) for t in trees]
    return {
        "simulations": round(float(np.mean([t.spent["simulations"] for t in trees])), 2),
        "nodes": round(float(np.mean([len(t.nodes) for t in trees])), 1),
        "deepest_node": round(float(np.mean(deepest)), 2),
        "deepest_visit": round(float(np.mean(visited)), 2),
        "attempts": round(float(np.mean([len(g.attempts) for g in groups])), 2),
        "ended": dict(sorted(Counter(t.ended for t in trees).items())),
    }


def by_depth(side: Side, tasks: Sequence[Any], repeats: int) -> list[Row]:
    """What each level costs when all trees go down together; one call of the engine a level."""
    part = Search(
        select=DepthFirst(),
        expand=Draws(num=BRANCHING, merge="none"),
        evaluate=Nothing(),
        end=Nothing(),
        num_simulations=DEPTH,
        max_depth=DEPTH,
    )
    runs = [side.search(part, tasks)[2] for _ in range(repeats)]
    levels = []
    for level in range(min(len(calls) for calls in runs)):
        calls = [run[level] for run in runs]
        seconds = statistics.median(c["seconds"] for c in calls)
        one = calls[0]
        places = one["requests"] / BRANCHING
        levels.append(
            {
                "places": places,
                "context": round(one["context"], 1),
                "us_per_simulation": round(1e6 * seconds / places, 1),
                "tokens_per_simulation": round(one["tokens"] / places, 2),
                "us_per_token": round(1e6 * seconds / max(1, one["tokens"]), 2),
            }
        )
    return levels


def flatness(levels: Sequence[Row]) -> Row:
    """The last depth against the first."""
    first, last = levels[0], levels[-1]
    return {
        key: round(last[key] / first[key], 3)
        for key in ("us_per_simulation", "us_per_token", "context")
    }


def told(profile: cProfile.Profile, header: str) -> str:
    """The profile as text, most time of its own first, without paths of the machine."""
    import pstats

    rows = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    whole = sum(own for _, (_, _, own, _, _) in rows)
    lines = [header, "", f"{'own s':>9} {'share':>6} {'below s':>9} {'calls':>10}  function"]
    ordered = sorted(rows, key=lambda item: -item[1][2])
    for (file, line, name), (_, num, own, below, _) in ordered[:SHOWN]:
        where = f"{_short(file)}:{line}" if line else ""
        function = re.sub(r" at 0x[0-9a-f]+", "", name)
        share = f"{100 * own / whole:.1f} %"
        lines.append(f"{own:9.3f} {share:>6} {below:9.3f} {num:10,}  {where} {function}".rstrip())
    return "\n".join(lines) + "\n"


def _short(file: str) -> str:
    """A file from its package on."""
    parts = Path(file).parts
    for mark in ("site-packages", "askesis", "benchmarks", "tests"):
        if mark in parts:
            last = len(parts) - 1 - parts[::-1].index(mark)
            return "/".join(parts[last + (mark == "site-packages") :])
    return parts[-1] if parts else file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", type=int, default=256)
    parser.add_argument("--generate-trees", type=int, default=64, help="0: leave it out")
    parser.add_argument("--simulations", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--to", type=Path, default=None, help="write both files to this folder")
    options = parser.parse_args()
    torch.manual_seed(0)  # generate draws from the global generator
    name = "chain_arithmetic?difficulty=0.75"
    world = open_world(name)
    model = warm_model("policy", ModelSpec(source="tiny"), {"main": "chain_arithmetic"})
    tasks = world.draw("decide", np.random.default_rng(0), options.trees)
    fewer = tasks[: options.generate_trees]
    part = Search(
        expand=Draws(num=BRANCHING, temperature=TEMPERATURE),
        num_simulations=options.simulations,
        max_depth=DEPTH,
    )
    native = Side(model, world)
    native.search(part, tasks[:8])  # weights made ready, code warm

    rows: dict[str, list[Row]] = {"native": [], "native_fewer": [], "generate": []}
    generate = Side(model, world, ByGenerate(model)) if fewer else None
    if generate is not None:
        generate.search(part, fewer[:2])  # as above
    groups: list[Group] = []
    others: list[Group] = []
    for _ in range(options.repeats):
        row, groups, _ = native.search(part, tasks)
        rows["native"].append(row)
        if generate is not None:
            rows["native_fewer"].append(native.search(part, fewer)[0])
            row, others, _ = generate.search(part, fewer)
            rows["generate"].append(row)
    figures: Row = {
        "trees": options.trees,
        "problem": name,
        "parameters": model.num_parameters,
        "search": {
            "simulations": part.num_simulations,
            "branching": part.expand.num,
            "depth": part.max_depth,
            "temperature": part.expand.temperature,
        },
        "native": medians(rows["native"]) | {"shape": shapes(groups)},
        "by_depth": {"native": by_depth(native, tasks, options.repeats)},
    }
    flat = figures["last_to_first"] = {"native": flatness(figures["by_depth"]["native"])}
    if generate is not None:
        figures["generate"] = medians(rows["generate"]) | {
            "trees": len(fewer), "shape": shapes(others),
        }  # fmt: skip
        figures["native_at_as_many"] = medians(rows["native_fewer"]) | {"trees": len(fewer)}
        for key, clock in (("times_generate", "ms"), ("processor_times_generate", "processor_ms")):
            ratios = [
                theirs[f"{clock}_per_simulation"] / ours[f"{clock}_per_simulation"]
                for ours, theirs in zip(rows["native_fewer"], rows["generate"], strict=True)
            ]
            figures[f"{key}_per_simulation"] = round(statistics.median(ratios), 2)
        figures["by_depth"]["generate"] = by_depth(generate, fewer, 1)
        flat["generate"] = flatness(figures["by_depth"]["generate"])
    figures["holds"] = {
        "outside": figures["native"]["outside_share"] <= OUTSIDE,
        "flat": flat["native"]["us_per_token"] <= FLAT,
    }
    profile = cProfile.Profile()
    native.search(part, tasks, profile)

    command = f"python -m benchmarks.trees --trees {options.trees}"
    command += f" --generate-trees {options.generate_trees} --simulations {options.simulations}"
    command += f" --repeats {options.repeats}"
    header = (
        f"Time outside the engine: {command}\n"
        f"cProfile of one search of {options.trees} trees, switched off while the engine works;\n"
        "the profile itself makes functions that are called often look slower than they are.\n"
        f"Without it {100 * figures['native']['outside_share']:.1f} % of the time is outside."
    )
    if options.to is None:
        (RESULTS / "trees_profile.txt").write_text(told(profile, header))
        print("written to", write("trees", figures, command))
    else:
        options.to.mkdir(parents=True, exist_ok=True)
        (options.to / "trees_profile.txt").write_text(told(profile, header))
        whole = {"command": command, "machine": describe(), "figures": figures}
        (options.to / "trees.json").write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
        print("written to", options.to)
    report(figures)


def report(figures: Row) -> None:
    """What came out, as lines."""
    one = figures["native"]
    print(
        f"{figures['trees']} trees: {one['trees_per_s']:.2f} trees/s, "
        f"{one['simulations_per_s']:.0f} simulations/s, {one['tokens_per_s']:,.0f} tokens/s, "
        f"{100 * one['outside_share']:.1f} % outside the engine, wanted at most {100 * OUTSIDE:.0f}"
    )
    print("a tree:", ", ".join(f"{k} {v}" for k, v in one["shape"].items()))
    if "generate" in figures:
        other, mine = figures["generate"], figures["native_at_as_many"]
        print(
            f"generate, {other['trees']} trees: {other['ms_per_simulation']:.2f} ms a simulation, "
            f"native at as many {mine['ms_per_simulation']:.2f}: "
            f"{figures['times_generate_per_simulation']:.1f} times "
            f"({figures['processor_times_generate_per_simulation']:.1f} in processor time)"
        )
        print("a tree of generate's:", ", ".join(f"{k} {v}" for k, v in other["shape"].items()))
    for side, levels in figures["by_depth"].items():
        print(f"{side}: depth, places, context, us a simulation, us a token")
        for depth, level in enumerate(levels, 1):
            print(
                f"{depth:4d} {level['places']:7.0f} {level['context']:8.1f} "
                f"{level['us_per_simulation']:10.1f} {level['us_per_token']:8.2f}"
            )
        print("  last depth / first:", figures["last_to_first"][side])


if __name__ == "__main__":
    main()
