"""Run a comparison and write what came out: `compare.json`, which the page and the table read."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from askesis.errors import ConfigError, RunError
from askesis.formulas.crossed import crossed_mean, performance_profile, probability_of_improvement
from askesis.lab.arm import ArmResult
from askesis.lab.arms import Progress, run_arms
from askesis.lab.compare import tuning
from askesis.lab.compare.contest import Contest
from askesis.lab.compare.curves import (
    alarms_of,
    curve,
    ended,
    plain,
    profile_marks,
    table_at,
)
from askesis.lab.compare.record import AXES, NAME, VERSION
from askesis.lab.compare.tuning import tune
from askesis.lab.compare.words import conclusions, rankings

DRAWS_SEED = 20_261_121  # of the bootstrap: the same results give the same file


def compare(
    contest: Contest,
    folder: Path,
    *,
    workers: int | None = None,
    command: str = "",
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Run what is not run yet, read the curves, write `folder/compare.json`; its content.

    Goes on where an earlier call was interrupted. Raises ConfigError before anything runs where an
    arm cannot be, and RunError where the folder holds another comparison.
    """
    check(contest)
    _claim(folder, contest)
    tuned = tune(contest, folder / "trials", workers, on_progress)
    arms = {
        (w, e.name): contest.arms(w, e, tuned[w, e.name].chosen)
        for w in contest.worlds
        for e in contest.entrants
    }
    every = [arm for some in arms.values() for arm in some]
    done = iter(run_arms(every, folder / "arms", workers=workers, on_progress=on_progress))
    results = {key: [next(done) for _ in some] for key, some in arms.items()}
    found = summary(contest, results, command) | {"tuned": tuning.plain(tuned)}
    aside = folder / f".{NAME}"
    aside.write_text(json.dumps(found, indent=1))
    aside.replace(folder / NAME)
    return found


def check(contest: Contest) -> None:
    """Every arm's plan can be made, and a round fits the budget in sight.

    Raises what is wrong, with the arm's name.
    """
    from askesis.lab.begin import open_worlds, plan_for

    for world in contest.worlds:
        for entrant in contest.entrants:
            tried = tuning.grid(contest.tune)
            arm = contest.arms(world, entrant, tried[0] if tried else ())[0]
            plan = plan_for(arm.recipe, [*arm.options, ("seed", str(arm.seed))])
            open_worlds(plan)
            _fits(contest, entrant.name, plan)


def _fits(contest: Contest, name: str, plan: Any) -> None:
    """A budget smaller than one round would compare noise: at least two tokens an attempt of the
    first round are needed, whatever the answers are."""
    tokens = contest.budget.get("tokens")
    parts = plan.phases[0].parts
    num = getattr(getattr(parts, "tasks", None), "num", 0) or 0
    each = getattr(getattr(parts, "explore", None), "num_attempts", 1)
    if tokens is not None and num * each * 2 > tokens:
        raise ConfigError(
            f"the budget is too small for one round of {name}",
            expected=f"at least {num * each * 2:,} tokens ({num} tasks, {each} attempts each)",
            found=f"{tokens:,.0f}",
            hint="raise --budget.tokens or lower --tasks.num",
        )


def _claim(folder: Path, contest: Contest) -> None:
    """The folder belongs to one comparison."""
    folder.mkdir(parents=True, exist_ok=True)
    place, mine = folder / "contest.json", json.dumps(asdict(contest), indent=1)
    usual = {"tune": [], "tune_share": 1.0}  # folders of before there was tuning
    if place.exists() and usual | json.loads(place.read_text()) != json.loads(mine):
        raise RunError(
            f"{folder} holds another comparison",
            hint="give another folder with --out, or the same arms, worlds, budget and seeds",
        )
    place.write_text(mine)


# ---------------------------------------------------------------- what came out


def summary(
    contest: Contest, results: Mapping[tuple[str, str], Sequence[ArmResult]], command: str = ""
) -> dict[str, Any]:
    """All figures as plain values (docs/compare.md lists them)."""
    failed = [
        {"world": w, "arm": name, "seed": r.arm.seed, "why": r.error}
        for (w, name), some in results.items()
        for r in some
        if r.error
    ]
    whole = {
        w: {
            e.name: [r for r in results[w, e.name] if not r.error and r.points]
            for e in contest.entrants
        }
        for w in contest.worlds
    }
    worlds = {w: {n: some for n, some in arms.items() if some} for w, arms in whole.items()}
    found: dict[str, Any] = {
        "version": VERSION,
        "command": command,
        "date": date.today().isoformat(),
        "machine": _machine(),
        "worlds": list(contest.worlds),
        "budget": dict(contest.budget),
        "axis": contest.axis,
        "metric": contest.metric,
        "metrics": list(contest.metrics),
        "arms": [e.name for e in contest.entrants],
        "recipes": {e.name: e.recipe for e in contest.entrants},
        "seeds": list(contest.seeds),
        "num_tasks": contest.num_tasks,
        "num_attempts": contest.num_attempts,
        "options": {e.name: dict((*contest.options, *e.options)) for e in contest.entrants},
        "failed": failed,
        "conclusions": [],
    }
    for part in (
        "curves",
        "at_budget",
        "start",
        "improvement",
        "cost",
        "alarms",
        "ranking",
        "ended",
    ):
        found[part] = {}
    rng = np.random.default_rng(DRAWS_SEED)
    figures: dict[str, dict[str, list[float]]] = {}
    for world, arms in worlds.items():
        if arms:
            _world(contest, world, arms, found, figures, rng)
    found["profile"] = _profile(figures, rng)
    return found


def _world(
    contest: Contest,
    world: str,
    arms: Mapping[str, Sequence[ArmResult]],
    found: dict[str, Any],
    figures: dict[str, dict[str, list[float]]],
    rng: np.random.Generator,
) -> None:
    axes = [a for a in AXES if any(ended(r, a) > 0 for some in arms.values() for r in some)]
    mark = float(contest.budget[contest.axis])
    found["curves"][world] = {
        name: {axis: curve(some, axis, contest.metric) for axis in axes}
        for name, some in arms.items()
    }
    found["at_budget"][world] = {
        name: {metric: _at_budget(contest, some, mark, metric) for metric in contest.metrics}
        for name, some in arms.items()
    }
    first = next(iter(arms.values()))
    found["start"][world] = {
        m: plain(crossed_mean(table_at(first[:1], contest.axis, 0.0, m).repeat(2, 0)))
        for m in contest.metrics
    }
    ends = {n: found["at_budget"][world][n][contest.metric]["per_seed"] for n in arms}
    for name, xs in ends.items():
        figures.setdefault(name, {})[world] = xs
    found["improvement"][world] = {
        a: {b: _probability(ends[b], ends[a], rng) for b in arms if b != a} for a in arms
    }
    found["cost"][world] = {
        name: {k: float(np.mean([r.spent.get(k, 0.0) for r in some])) for k in AXES}
        for name, some in arms.items()
    }
    found["alarms"][world] = {name: alarms_of(some) for name, some in arms.items()}
    found["ranking"][world] = rankings(contest, arms, axes)
    found["ended"][world] = {name: sorted({r.reason for r in some}) for name, some in arms.items()}
    found["conclusions"] += conclusions(contest, world, arms)


def _at_budget(
    contest: Contest, some: Sequence[ArmResult], mark: float, metric: str
) -> dict[str, Any]:
    table = table_at(some, contest.axis, mark, metric)
    return plain(crossed_mean(table)) | {"per_seed": [float(x) for x in table.mean(1)]}


def _probability(
    first: Sequence[float], second: Sequence[float], rng: np.random.Generator
) -> dict[str, float | None]:
    e = plain(probability_of_improvement(first, second, rng))
    return {"probability": e["value"], "low": e["low"], "high": e["high"]}


def _profile(
    figures: Mapping[str, Mapping[str, Sequence[float]]], rng: np.random.Generator
) -> dict[str, Any]:
    marks = profile_marks(figures)
    arms = {}
    for name, worlds in figures.items():
        bands = [plain(e) for e in performance_profile(worlds, marks, rng)]
        arms[name] = {k: [b[k] for b in bands] for k in ("value", "low", "high")}
    return {"thresholds": marks, "arms": arms}


def _machine() -> dict[str, Any]:
    import os
    from importlib.metadata import version

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }
