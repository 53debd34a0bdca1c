"""Is the advice of `askesis diagnose` right? Diagnose pairs of model and world, run recipes, judge.

    python -m benchmarks.diagnose_study [--workers 2] [--folder runs/diagnose]

Every pair's start is made on the spot: a tiny model warm-started on more or fewer demonstrations
of an easier or harder world. It is diagnosed, then every recipe is run from it with every seed and
its snapshots are scored on claim tasks. The rules are judged on each pair with their constants
fitted on the other pairs. Writes `results/diagnose.md` and `.json`, and the constants, fitted on
all pairs, to the package. A killed command goes on where it was. `--diagnose-only` stops before
the runs; with other `--results` than the usual the package is left alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from askesis.lab.arm import Arm, ArmResult, Look
from askesis.lab.arms import Progress, default_workers, run_arms
from askesis.lab.diagnose.diagnosis import diagnose
from askesis.lab.diagnose.facts import FAMILIES, RecipeFacts, recipe_facts
from askesis.lab.diagnose.gains import Gains, Outcome, fit_gains, growth, seen_drivers, write_gains
from askesis.lab.warm_start import WarmStart, warm_model
from askesis.plan import ModelSpec
from benchmarks.diagnose_judging import Study, judged
from benchmarks.diagnose_page import page
from benchmarks.machine import commit, describe

RESULTS = Path(__file__).parents[1] / "results"
FOLDER = Path("runs") / "diagnose"
TOKENS = 100_000  # generated, or trained where a recipe generates none
SEEDS = (0, 1)

# The same for every pair, chosen before the study: those of the evidence plans, where a rate of
# 1e-4 was best on decide tasks of chain_arithmetic (of 1e-4, 2e-4, 4e-4) for rft, grpo and rloo.
RECIPES: dict[str, dict[str, str]] = {
    "rft": {
        "tasks.num": "64",
        "learn.policy.epochs": "2",
        "learn.policy.learning-rate": "1e-4",
    },
    "grpo": {"tasks.num": "16", "learn.policy.learning-rate": "1e-4"},
    "rloo": {"tasks.num": "32", "learn.policy.learning-rate": "1e-4"},
    "sft": {"learn.policy.learning-rate": "1e-4"},
}


@dataclass(frozen=True)
class Pair:
    """A model and a world: how the model is made, and where it is tried."""

    name: str
    world: str
    start: WarmStart


def _few(demonstrations: int) -> WarmStart:
    return WarmStart(demonstrations=demonstrations, held_out=100)


PAIRS = (
    Pair("countdown, 1500", "countdown", WarmStart()),
    Pair("countdown, 300", "countdown", _few(300)),
    Pair("hard countdown, 1500", "countdown?difficulty=0.7", WarmStart()),
    Pair("chain, 1500", "chain_arithmetic", WarmStart()),
    Pair("chain, 300", "chain_arithmetic", _few(300)),
    Pair("addition of 3 digits, 150", "addition?difficulty=0.25", _few(150)),
    Pair("addition of 4 digits, 400", "addition?difficulty=0.35", _few(400)),
    Pair("maze, 400", "maze?difficulty=0.4", _few(400)),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnose_study")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pairs", type=int, nargs="*", help="numbers of pairs, from 0; all")
    parser.add_argument("--recipes", nargs="*", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--tokens", type=float, default=TOKENS)
    parser.add_argument("--num-tasks", type=int, default=200, help="asked by diagnose")
    parser.add_argument("--claim-tasks", type=int, default=500)
    parser.add_argument("--diagnose-only", action="store_true")
    given = parser.parse_args()
    pairs = [PAIRS[i] for i in given.pairs] if given.pairs else list(PAIRS)
    options = {name: RECIPES[name] for name in given.recipes}
    found = {p.name: diagnosed(p, given.folder, given.num_tasks) for p in pairs}
    if given.diagnose_only:
        return
    arms = [
        arm(pair, recipe, seed, given.folder, given.tokens, given.claim_tasks)
        for pair in pairs
        for recipe in options
        for seed in given.seeds
    ]
    results = run_arms(arms, given.folder, workers=given.workers, on_progress=_follow)
    study = study_of(pairs, list(options), given.seeds, found, arms, results)
    write(study, options, found, given)


# ---------------------------------------------------------------- making


def start_of(pair: Pair, folder: Path) -> Path:
    """The folder of a pair's model, made where it is not there yet."""
    place = folder / "starts" / pair.name.replace(", ", "-").replace(" ", "-")
    if not (place / "config.json").exists():
        spec = ModelSpec(source="tiny")
        model = warm_model("policy", spec, {"main": pair.world}, pair.start, _say)
        aside = place.with_name(f"{place.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        model.save(aside)
        aside.rename(place)
    return place


def diagnosed(pair: Pair, folder: Path, num_tasks: int) -> dict[str, Any]:
    """A pair's diagnosis as plain values, from the folder where it has been made."""
    path = start_of(pair, folder)
    written = folder / "diagnoses" / f"{path.name}-{num_tasks}.json"
    if not written.exists():
        found = diagnose(str(path), pair.world, num_tasks=num_tasks, seconds=0, say=_say)
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(json.dumps(found.plain()))
        one, most = found.figures["pass@1"], found.figures["pass@64"]
        _say(f"{pair.name}: pass@1 {one.value:.1%}, pass@64 {most.value:.1%}")
    plain: dict[str, Any] = json.loads(written.read_text())
    return plain


def arm(pair: Pair, recipe: str, seed: int, folder: Path, tokens: float, tasks: int) -> Arm:
    """One run: a recipe from a pair's start, until so many tokens are generated. Demonstrations
    are not generated: there so many are learnt."""
    options = {"world": pair.world, "model": str(start_of(pair, folder)), **RECIPES[recipe]}
    return Arm(
        f"{pair.name}: {recipe}, seed {seed}",
        recipe,
        tuple(options.items()),
        seed,
        {"trained_tokens" if FAMILIES[recipe] == "demonstrations" else "tokens": tokens},
        Look("claim", tasks, 4, "all"),
        num_snapshots=3,
    )


def study_of(
    pairs: Sequence[Pair],
    recipes: Sequence[str],
    seeds: Sequence[int],
    found: Mapping[str, Mapping[str, Any]],
    arms: Sequence[Arm],
    results: Sequence[ArmResult],
) -> Study:
    """Figures before and gains after, as arrays. The place of a run that failed is taken by the
    mean of its other seeds; raises SystemExit where none is left."""
    failed: list[str] = []
    gains = np.zeros((len(pairs), len(recipes), len(seeds)))
    curves: list[list[tuple[float, float]]] = []
    for i, (one, result) in enumerate(zip(arms, results, strict=True)):
        place = np.unravel_index(i, gains.shape)
        if result.error or len(result.points) < 2:
            failed.append(f"{one.name}: {result.error or 'it made no snapshot'}".splitlines()[-1])
            gains[place] = np.nan
            continue
        score = [np.mean([np.mean(np.array(s) >= 1) for s in p.scores]) for p in result.points]
        gains[place] = score[-1] - score[0]
        spent = [p.spent.get("tokens", 0.0) for p in result.points]
        if spent[-1]:
            curves.append([(t, s - score[0]) for t, s in zip(spent, score, strict=True)][1:])
    if np.isnan(gains).all(2).any():
        raise SystemExit(f"all seeds of a recipe on a pair failed: {'; '.join(failed)}")
    gains = np.where(np.isnan(gains), np.nanmean(gains, 2, keepdims=True), gains)
    figures = [{k: e["value"] for k, e in found[p.name]["figures"].items()} for p in pairs]
    can = [{a["recipe"]: a["verdict"] != "cannot" for a in found[p.name]["advice"]} for p in pairs]
    facts = {f.name: f for f in recipe_facts("countdown", RECIPES, recipes)}
    goals = [[goal(facts[r], f) for r in recipes] for f in figures]
    return Study(
        pairs=tuple(p.name for p in pairs),
        recipes=tuple(recipes),
        families=tuple(FAMILIES[r] for r in recipes),
        figures=tuple(figures),
        gains=gains,
        eligible=np.array([[c.get(r, True) for r in recipes] for c in can]),
        headroom=np.array(goals),
        curves=tuple(tuple(c) for c in curves),
        failed=tuple(failed),
    )


def goal(recipe: RecipeFacts, figures: Mapping[str, float]) -> float:
    """How far above pass@1 lies what a recipe learns from: pass@k of its own k for attempts, the
    vote, or the reference among 64 draws for demonstrations."""
    if recipe.family == "demonstrations":
        return figures.get("reference/covered@64", 0.0) - figures["pass@1"]
    if recipe.family == "own votes":
        return figures.get("vote_gain", 0.0)
    known = [int(k[5:]) for k in figures if k.startswith("pass@")]
    nearest = min(known, key=lambda k: abs(k - recipe.num_attempts))
    return figures[f"pass@{nearest}"] - figures["pass@1"]


# ---------------------------------------------------------------- judging and writing


def time_constant(curves: Sequence[Sequence[tuple[float, float]]]) -> float:
    """tau of gain(T) = gain(end) (1 - exp(-T / tau)) / (1 - exp(-end / tau)), least squares over a
    grid; 0 where no run has a point on the way."""
    ways = [c for c in curves if len(c) > 1]
    if not ways:
        return 0.0

    def error(tau: float) -> float:
        return sum(
            (g - way[-1][1] * growth(t, tau) / growth(way[-1][0], tau)) ** 2
            for way in ways
            for t, g in way[:-1]
        )

    return float(min(np.geomspace(1e4, 1e7, 61), key=error))


def outcomes_of(study: Study) -> list[Outcome]:
    """One outcome a run."""
    return [
        Outcome(pair, recipe, study.families[r], study.figures[p], float(gain))
        for p, pair in enumerate(study.pairs)
        for r, recipe in enumerate(study.recipes)
        for gain in study.gains[p, r]
    ]


def write(
    study: Study,
    options: Mapping[str, Mapping[str, str]],
    found: Mapping[str, Mapping[str, Any]],
    given: argparse.Namespace,
) -> None:
    """Judge, write the page and its figures, and the constants."""
    about = {
        "command": "python -m benchmarks.diagnose_study",
        "date": date.today().isoformat(),
        "commit": commit(),
        "machine": describe(),
        "num_pairs": len(study.pairs),
        "num_runs": int(study.gains.size),
    }
    outcomes = outcomes_of(study)
    gains = Gains(
        fit_gains(outcomes),
        seen_drivers(outcomes),
        given.tokens,
        time_constant(study.curves),
        options,
        about,
    )
    whole = {
        **about,
        "tokens": given.tokens,
        "claim_tasks": given.claim_tasks,
        "seeds": given.seeds,
        "options": options,
        "tau_tokens": gains.tau_tokens,
        **judged(study, outcomes),
        "diagnoses": {name: d["figures"] for name, d in found.items()},
    }
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "diagnose.json").write_text(json.dumps(whole, indent=1) + "\n")
    (given.results / "diagnose.md").write_text(page(whole, gains))
    if given.results == RESULTS:
        write_gains(gains)
    else:
        write_gains(gains, given.results / "gains.json")
    _say(f"written to {given.results / 'diagnose.md'}")


def _say(line: str) -> None:
    print(line, flush=True)


_last = ""


def _follow(p: Progress) -> None:
    global _last
    line = f"{p.done} of {p.num} runs"
    if p.num and line != _last:
        left = f", {p.left_s / 60:.0f} min left" if p.done else ""
        _say(line + left + (f", {p.failed} failed" if p.failed else ""))
    _last = line


if __name__ == "__main__":
    main()
