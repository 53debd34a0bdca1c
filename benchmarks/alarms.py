"""How often alarms are wrong, and how early they are right.

    python -m benchmarks.alarms [--workers 2] [--folder runs/alarms]
    python -m benchmarks.alarms --set          (20 clean runs of other seeds: where thresholds go)
    python -m benchmarks.alarms --kinds clean errs --only 2                  (to try it: no pages)

Counts, over 60 clean runs, how many raise each alarm; and over 20 runs of each provocation in
`benchmarks/provoked.py`, how many raise it and how many rounds before the damage. *Damage* is
read from snapshots on claim tasks, which no alarm sees: the first snapshot whose score is more
than `DAMAGE` below the best earlier one, at 95 %, paired by task.

Runs are arms of `askesis.lab.arms`, one process each; a killed command goes on where it was. Of
every finished run its figures are kept as `history.json` and the rest is deleted, so a change of
thresholds needs no new runs. Writes results/alarms.json, results/alarms.md and the table in
docs/alarms.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from askesis.formulas.intervals import paired_difference
from askesis.lab.arm import Arm, ArmResult, Look
from askesis.lab.arms import Progress, default_workers, run_arms
from askesis.measure.alarms.history import History
from askesis.measure.alarms.monitor import Monitor, open_alarms, rows_of
from askesis.store.run_store import RunStore
from benchmarks.alarms_page import counted, table, write_pages
from benchmarks.machine import describe

FOLDER = Path("runs") / "alarms"
HERE = "benchmarks/provoked.py"
DAMAGE = 0.03
CONFIDENCE = 0.95
SET_SEEDS = range(1000, 1020)
CLEAN_SEEDS = range(60)
PROVOKED_SEEDS = range(20)
ROUNDS = 16
NUM_SNAPSHOTS = 12


@dataclass(frozen=True)
class Kind:
    """A plan of provoked.py. expected: the alarms it should raise. began: the first round (from
    0) in which something goes wrong. k: damage is to pass@k. tokens: what a run may spend; its
    snapshots are that far apart that NUM_SNAPSHOTS fit."""

    plan: str
    options: tuple[tuple[str, str], ...]
    expected: tuple[str, ...] = ()
    began: int = 0
    k: int = 1
    tokens: float = 80_000


_ROUNDS = (("rounds", str(ROUNDS)),)
CLEAN = (
    Kind("clean_gradients", _ROUNDS),
    Kind("clean_imitation", _ROUNDS),
    Kind(
        "clean_imitation",  # at a rate of 1e-3 imitation there forgets what it could: not clean
        (*_ROUNDS, ("world", "chain_arithmetic"), ("tasks.num", "24"), ("rate", "1e-4")),
    ),
)
PROVOKED = (
    Kind("pays_for_length", _ROUNDS, ("reward_hacking", "length_gaming"), tokens=150_000),
    Kind("errs", _ROUNDS, ("judge_drift",)),
    Kind("collapses", _ROUNDS, ("diversity_collapse",), k=4, tokens=150_000),
    Kind("forgets", (("phases.second.until.rounds", "11"),), ("forgetting",), 5, tokens=200_000),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alarms")
    parser.add_argument("--set", action="store_true", help="runs to set thresholds on")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--kinds", nargs="*", default=["clean", *(k.plan for k in PROVOKED)])
    parser.add_argument("--only", type=int, default=None, help="so many runs of each, to try it")
    given = parser.parse_args()
    if given.set:
        arms = list(_some(clean_arms(SET_SEEDS), given.only))
        strongest(finish(arms, given.folder, given.workers), given.folder)
        return
    kinds = [k for k in PROVOKED if k.plan in given.kinds]
    clean = list(_some(clean_arms(CLEAN_SEEDS), given.only)) if "clean" in given.kinds else []
    provoked = {k.plan: list(_some(provoked_arms(k), given.only)) for k in kinds}
    finish([*clean, *(a for arms in provoked.values() for a in arms)], given.folder, given.workers)
    figures = count(clean, provoked, given.folder)
    whole = {
        "command": "python -m benchmarks.alarms",
        "date": date.today().isoformat(),
        "machine": describe(),
        "rounds": ROUNDS,
        "damage": DAMAGE,
        "confidence": CONFIDENCE,
        **figures,
    }
    print(table(whole))
    if given.only is None and clean and len(kinds) == len(PROVOKED):
        write_pages(whole)


def _some(arms: Iterator[Arm], num: int | None) -> Iterator[Arm]:
    for i, arm in enumerate(arms):
        if num is None or i < num:
            yield arm


def clean_arms(seeds: Sequence[int]) -> Iterator[Arm]:
    """The clean plans in turn, a seed each; scored at both ends, to see that they are clean."""
    for i, seed in enumerate(seeds):
        kind = CLEAN[i % len(CLEAN)]
        yield _arm(kind, seed, {}, Look(num_tasks=200, num_attempts=4), 0)


def provoked_arms(kind: Kind) -> Iterator[Arm]:
    """One provocation with every seed; every snapshot scored."""
    for seed in PROVOKED_SEEDS:
        look = Look(num_tasks=400, num_attempts=4, snapshots="all")
        yield _arm(kind, seed, {"tokens": kind.tokens}, look, NUM_SNAPSHOTS)


def _arm(kind: Kind, seed: int, budget: Mapping[str, float], look: Look, num: int) -> Arm:
    name, recipe = f"{kind.plan} {seed}", f"{HERE}:{kind.plan}"
    return Arm(name, recipe, kind.options, seed, budget, look, num_snapshots=num)


# ---------------------------------------------------------------- running


def finish(arms: Sequence[Arm], folder: Path, workers: int) -> list[ArmResult]:
    """Run what is not run yet, some at a time, and keep only figures."""
    found: list[ArmResult] = []
    for start in range(0, len(arms), 4 * workers):
        some = arms[start : start + 4 * workers]
        print(f"runs {start + 1} to {start + len(some)} of {len(arms)}", flush=True)
        for arm, result in zip(
            some, run_arms(some, folder, workers=workers, on_progress=_say), strict=True
        ):
            if result.error:
                raise SystemExit(f"{arm.name} failed: {result.error}")
            _keep(folder / arm.key)
            found.append(result)
    return found


def _say(progress: Progress) -> None:
    for name, line in progress.lines.items():
        print(f"  {progress.done} of {progress.num}  {name}: {line}", flush=True)


def _keep(place: Path) -> None:
    """The run's figures and alarms as JSON; weights and attempts are deleted."""
    run = place / "run"
    if not run.exists():
        return
    store = RunStore.open(run, check=False)
    rows = rows_of(store.metrics(), store.rounds())
    live = [[e["round"], e["data"]["name"]] for e in store.events("alarm")]
    store.close()
    aside = place / "history.aside"
    aside.write_text(json.dumps({"rows": rows, "live": live}))
    aside.replace(place / "history.json")
    shutil.rmtree(run)


def history_of(place: Path) -> tuple[list[tuple[int, str, dict[str, float]]], list[list[Any]]]:
    """(rounds as an alarm sees them, [round, name] of what was raised live) of a finished run."""
    found = json.loads((place / "history.json").read_text())
    return [(r, p, m) for r, p, m in found["rows"]], found["live"]


# ---------------------------------------------------------------- counting


def strongest(results: Sequence[ArmResult], folder: Path) -> None:
    """How large every alarm's figure got in each clean run: thresholds go above that."""
    alarms = open_alarms(("all",))
    for alarm in alarms:
        largest = []
        for result in results:
            history, seen = History(), [-np.inf]
            for row in history_of(folder / result.arm.key)[0]:
                history.add(*row)
                sign = alarm.strongest(history)
                seen.append(-np.inf if sign is None else sign.value)
            largest.append(max(seen))
        shown = " ".join(f"{v:.2f}" for v in sorted(largest, reverse=True)[:8])
        print(f"{alarm.name:26} limit {alarm.limit:5.2f}   largest {shown}")


def count(
    clean: Sequence[Arm], provoked: Mapping[str, Sequence[Arm]], folder: Path
) -> dict[str, Any]:
    """What the pages show: false alarms, and found, delay and lead of each provocation."""
    false: dict[str, int] = {a.name: 0 for a in open_alarms(("all",))}
    changes = []
    for arm in clean:
        for name in first_raised(folder / arm.key):
            false[name] += 1
        _, changed = damage_round(folder / arm.key, 1)
        changes.append(changed)
    every = [*clean, *(a for arms in provoked.values() for a in arms)]
    found = {}
    for kind in (k for k in PROVOKED if k.plan in provoked):
        runs = [_one(folder / arm.key, kind) for arm in provoked[kind.plan]]
        found[kind.plan] = {
            "began": kind.began,
            "pass_at": kind.k,
            "num": len(runs),
            "damaged": sum(r["damage"] is not None for r in runs),
            "alarms": {name: counted(runs, name, kind.began) for name in kind.expected},
            "others": _others(runs, kind.expected),
            "runs": runs,
        }
    return {
        "clean": {
            "num": len(clean),
            "raised": false,
            "mean_change": float(np.mean(changes)) if changes else 0.0,
            "fell": sum(c < -DAMAGE for c in changes),
        },
        "not_as_live": sum(not _as_live(folder / a.key) for a in every),
        "provoked": found,
    }


def first_raised(place: Path) -> dict[str, int]:
    """The first round (from 0) after which each alarm was raised, with today's thresholds."""
    found: dict[str, int] = {}
    for alarm in Monitor(open_alarms(("all",))).replay(history_of(place)[0]):
        found.setdefault(alarm.name, alarm.round)
    return found


def _as_live(place: Path) -> bool:
    """Whether the run itself raised what its figures raise now: so unless thresholds changed."""
    rows, live = history_of(place)
    again = Monitor(open_alarms(("all",))).replay(rows)
    return [[a.round, a.name] for a in again] == live


def _one(place: Path, kind: Kind) -> dict[str, Any]:
    damaged, changed = damage_round(place, kind.k)
    return {"raised": first_raised(place), "damage": damaged, "change": changed}


def _others(runs: Sequence[Mapping[str, Any]], expected: Sequence[str]) -> dict[str, int]:
    """How many runs raised what was not asked about."""
    names = [n for run in runs for n in run["raised"] if n not in expected]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def damage_round(place: Path, k: int) -> tuple[int | None, float]:
    """(the round, from 0, after which a snapshot was first clearly below the best earlier one, or
    None; how much the last differs from the first), in pass@1 or, with k above 1, in tasks that
    any attempt solved."""
    found = json.loads((place / "result.json").read_text())["points"]
    per_task = [np.array(p["scores"]) >= 1 for p in found]
    scores = [s.any(1).astype(float) if k > 1 else s.mean(1) for s in per_task]
    changed = float(scores[-1].mean() - scores[0].mean())
    for i in range(1, len(scores)):
        best = max(scores[:i], key=lambda s: float(s.mean()))
        if paired_difference(best, scores[i], CONFIDENCE).high < -DAMAGE:
            return int(found[i]["round"]) - 1, changed  # a snapshot counts rounds done
    return None, changed


if __name__ == "__main__":
    main()
