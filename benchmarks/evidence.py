"""Is a claim seen on small models? Tune, run, compare, write: the rules are in docs/evidence.md.

    python -m benchmarks.evidence grpo rloo ... [--workers 2] [--folder runs/evidence]
    python -m benchmarks.evidence --all

Reads `results/NAME.plan.toml` (see benchmarks/evidence_plan.py), which must be committed, and
writes `results/NAME.md` and `results/NAME.json`. Arms are processes with one thread each; equal
arms of several plans are run once; a killed command goes on where it was. Arms whose options have
several trials are tuned first, each trial for the whole budget, on decide tasks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from askesis.formulas.intervals import detectable_difference, t_interval
from askesis.lab.arm import Arm, ArmResult, Point
from askesis.lab.arms import Progress, default_workers, run_arms
from askesis.lab.compare.curves import per_task
from askesis.lab.looks.kinds import KINDS
from askesis.store.run_store import RunStore
from benchmarks.evidence_page import page
from benchmarks.evidence_plan import NOTHING, RESULTS, START, Comparison, EvidencePlan, read_plan
from benchmarks.machine import commit, describe

FOLDER = Path("runs") / "evidence"


@dataclass(frozen=True)
class Runs:
    """What the arms of a plan came to: the trial chosen, and a result for each seed."""

    chosen: Mapping[str, Mapping[str, str]]
    tuned: Mapping[str, Sequence[tuple[str, float]]]  # trial in words, metric on decide tasks
    results: Mapping[str, Mapping[int, ArmResult]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true", help="every plan in results/")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument(
        "--first-seeds",
        action="store_true",
        help="leave more seeds for undecided ones to a later call",
    )
    given = parser.parse_args()
    every = sorted(p.name.removesuffix(".plan.toml") for p in RESULTS.glob("*.plan.toml"))
    names = [n for n in every if n != "demo"] if given.all else given.names
    plans = [read_plan(name) for name in names]
    if not plans:
        parser.error(f"name a plan: {', '.join(every)}")
    for plan in plans:
        _committed(plan.name)
    tune_all(plans, given.folder, given.workers)
    for plan in plans:
        evidence(plan, given.folder, given.workers, more=not given.first_seeds)


def _committed(name: str) -> None:
    """A plan that could still change is no plan."""
    path = RESULTS / f"{name}.plan.toml"
    command = ["git", "status", "--porcelain", "--", str(path)]
    changed = subprocess.run(command, capture_output=True, text=True, cwd=RESULTS, check=False)
    if changed.stdout.strip():
        raise SystemExit(f"{path} is not committed: commit the plan before its first run")


# ---------------------------------------------------------------- running


def tune_all(plans: Sequence[EvidencePlan], folder: Path, workers: int) -> None:
    """All trials of all plans in one go, so that no core waits at a plan's end; their starts
    before."""
    begin_all(plans, folder, workers)
    arms = [t for plan in plans for arm in plan.arms.values() for t in plan.trials(arm)]
    run_arms(arms, folder, workers=workers, on_progress=_follow("tuning"))


def begin_all(plans: Sequence[EvidencePlan], folder: Path, workers: int) -> None:
    """The starts that arms share beyond the warm starts of worlds."""
    starts = [arm for plan in plans for arm in plan.starts.values()]
    done = run_arms(starts, folder, workers=workers, on_progress=_follow("starts"))
    for arm in done:
        if arm.error:
            raise SystemExit(f"{arm.arm.name} failed: {arm.error}")


def evidence(plan: EvidencePlan, folder: Path, workers: int, more: bool = True) -> None:
    """Run a plan's arms for its seeds, more of them where five decide nothing, and write it up."""
    runs = run_plan(plan, plan.seeds, folder, workers)
    found = [compare(c, runs) for c in plan.comparisons]
    if more and plan.more_seeds and any(f["verdict"] == UNDECIDED for f in found):
        runs = run_plan(plan, (*plan.seeds, *plan.more_seeds), folder, workers)
        found = [compare(c, runs) for c in plan.comparisons]
    write(plan, runs, found, folder)


def run_plan(plan: EvidencePlan, seeds: tuple[int, ...], folder: Path, workers: int) -> Runs:
    """The trials, the choice, and the chosen arms for every seed."""
    begin_all([plan], folder, workers)
    chosen: dict[str, Mapping[str, str]] = {}
    tuned: dict[str, list[tuple[str, float]]] = {}
    wanted: list[tuple[str, int, Arm]] = []
    for name, arm in plan.arms.items():
        trials = run_arms(plan.trials(arm), folder, workers=workers, on_progress=_follow("tuning"))
        scores = [_score(r, plan.metric) for r in trials]
        best = int(np.nanargmax(scores)) if scores else 0
        chosen[name] = arm.trials[best]
        tuned[name] = list(zip([_words(t) for t in arm.trials], scores, strict=False))
        runs = plan.runs(arm, chosen[name], seeds)
        wanted += [(name, seed, run) for seed, run in zip(seeds, runs, strict=True)]
    every = [run for _, _, run in wanted]
    done = run_arms(every, folder, workers=workers, on_progress=_follow(plan.name))
    results: dict[str, dict[int, ArmResult]] = {name: {} for name in plan.arms}
    for (name, seed, run), result in zip(wanted, done, strict=True):
        if result.error:
            raise SystemExit(f"{run.name} failed: {result.error}")
        results[name][seed] = result
    return Runs(chosen, tuned, results)


def _score(result: ArmResult, metric: str) -> float:
    """A trial that failed or diverged counts as the worst there is."""
    return float(figures(result.points[-1], metric).mean()) if result.points else -np.inf


def _words(trial: Mapping[str, str]) -> str:
    return ", ".join(f"{k.rpartition('.')[2]} {v}" for k, v in trial.items()) or "as given"


def _follow(what: str) -> Any:
    last = ""

    def told(p: Progress) -> None:
        nonlocal last
        line = f"{what}: {p.done} of {p.num} arms"
        if line != last and p.num:
            left = f", {p.left_s / 60:.0f} min left" if p.done else ""
            print(line + left + (f", {p.failed} failed" if p.failed else ""), flush=True)
        last = line

    return told


# ---------------------------------------------------------------- comparing

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"


def figures(point: Point, metric: str) -> np.ndarray:
    """The metric of every task, or what an answer takes in tokens."""
    if metric in point.figures:
        return np.array(point.figures[metric])
    if metric == "tokens":
        return np.array([point.mean_tokens])
    return per_task(point, metric)


def compare(c: Comparison, runs: Runs) -> dict[str, Any]:
    """The difference, paired by seed and task, with a t interval over seeds, and its verdict."""

    def of(name: str, seed: int) -> np.ndarray:
        if name == NOTHING:
            return np.zeros(1)
        points = runs.results[c.second if name == START else name][seed].points
        return figures(points[0 if name == START else -1], c.metric)

    seeds = sorted(runs.results[c.second])
    differences = [float((of(c.second, s) - of(c.first, s)).mean()) for s in seeds]
    found = t_interval(differences)
    if found.low > 0:
        verdict = HOLDS
    elif found.high < c.smallest_effect:
        verdict = FAILS
    else:
        verdict = UNDECIDED
    error = float(np.std(differences, ddof=1) / np.sqrt(len(differences)))
    return {
        "what": c.what, "first": c.first, "second": c.second, "metric": c.metric,
        "smallest_effect": c.smallest_effect, "differences": differences,
        "value": found.value, "low": found.low, "high": found.high, "verdict": verdict,
        "could_have_seen": detectable_difference(error),
    }  # fmt: skip


def write(plan: EvidencePlan, runs: Runs, comparisons: list[dict[str, Any]], folder: Path) -> None:
    """results/NAME.json with every figure, results/NAME.md for people."""
    metrics = sorted({plan.metric, *plan.beside, *(c.metric for c in plan.comparisons)})
    whole: dict[str, Any] = {
        "command": f"python -m benchmarks.evidence {plan.name}",
        "commit": commit(),
        "date": date.today().isoformat(),
        "machine": describe(),
        "claim": plan.claim,
        "source": plan.source,
        "metric": plan.metric,
        "budget": dict(plan.budget),
        "tasks": plan.tasks,
        "attempts": plan.attempts,
        **({"look": plan.look, "look_options": dict(plan.look_options)} if seen_as(plan) else {}),
        **({"look_world": plan.look_world} if plan.look_world else {}),
        **({"starts": _starts(plan)} if plan.starts else {}),
        "comparisons": comparisons,
        "arms": {name: _arm(plan, name, runs, metrics, folder) for name in plan.arms},
    }
    (RESULTS / f"{plan.name}.json").write_text(json.dumps(whole, indent=1) + "\n")
    (RESULTS / f"{plan.name}.md").write_text(page(plan.name, whole))
    for c in comparisons:
        print(f"{plan.name}: {c['what']}: {c['verdict']} ({c['value']:+.4f})", flush=True)


def seen_as(plan: EvidencePlan) -> bool:
    """Whether the page has to say how snapshots were looked at."""
    return plan.look in KINDS


def _arm(
    plan: EvidencePlan, name: str, runs: Runs, metrics: list[str], folder: Path
) -> dict[str, Any]:
    results = runs.results[name]
    rows = []
    for seed, result in sorted(results.items()):
        ends = (result.points[0], result.points[-1])
        rows.append(
            {
                "seed": seed,
                "start": {m: float(figures(ends[0], m).mean()) for m in metrics},
                "end": {m: float(figures(ends[1], m).mean()) for m in metrics},
                "mean_tokens": [p.mean_tokens for p in ends],
                "spent": dict(result.spent),
                "reason": result.reason,
                "curve": _curve(result, plan.metric, folder / result.arm.key / "run"),
            }
        )
    arm = plan.arms[name]
    return {
        "recipe": arm.recipe,
        "world": arm.world,
        "options": dict(arm.options),
        **({"start": arm.start} if arm.start else {}),
        "chosen": dict(runs.chosen[name]),
        "tuned": [list(t) for t in runs.tuned[name]],
        "seeds": rows,
    }


def _starts(plan: EvidencePlan) -> dict[str, Any]:
    """By name what a start was made by."""
    made = {}
    for name, arm in plan.starts.items():
        options = dict(arm.options)
        made[name] = {"recipe": arm.recipe, "world": options.pop("world"), "options": options}
    return made


def _curve(result: ArmResult, metric: str, run: Path) -> list[list[float]]:
    """(tokens, figure) on the way: the run's own on decide tasks where it took three or more,
    else how right its attempts were, which it made before it learnt from them."""
    found = [
        [row["tokens"], round(row[f"measure/{metric}"], 4)]
        for row in result.measured
        if f"measure/{metric}" in row
    ]
    return found if len(found) > 2 else _attempted(run)


def _attempted(run: Path) -> list[list[float]]:
    """Mean verdict of the verifier over ten equal stretches of rounds."""
    with RunStore.open(run) as store:
        spent, total = {}, 0.0
        for row in store.rounds():
            total += sum(v for k, v in row["costs"].items() if k == "generated/train")
            spent[row["round"]] = total
        table = store.query(
            "select round, avg(value) as value from verdicts where judge like 'verifier%' "
            "or judge like 'turn-verifier%' or judge = 'return' group by round order by round"
        ).to_pylist()
    size = max(1, -(-len(table) // 10))
    parts = [table[i : i + size] for i in range(0, len(table), size)]
    return [
        [spent[part[-1]["round"]], round(sum(r["value"] for r in part) / len(part), 4)]
        for part in parts
    ]


if __name__ == "__main__":
    main()
