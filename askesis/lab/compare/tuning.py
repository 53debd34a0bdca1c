"""Every arm's options from the same grid, chosen on decide tasks before the comparison begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from askesis.errors import ConfigError, RunError
from askesis.lab.arm import Arm, ArmResult, Look
from askesis.lab.arms import Progress, run_arms
from askesis.lab.compare.contest import Contest, Entrant
from askesis.lab.compare.curves import per_task

SEED = 100  # of every trial; a comparison's own seeds are others
NUM_TASKS, NUM_ATTEMPTS = 400, 4

Options = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tuning:
    """What was tried for one arm in one world: options and the metric they reached on decide
    tasks, in the grid's order, and which was taken."""

    tried: tuple[tuple[Options, float], ...] = ()
    chosen: Options = ()


def grid(tune: Sequence[tuple[str, Sequence[str]]]) -> list[Options]:
    """Every combination of the values of every option."""
    paths = [path for path, _ in tune]
    return [tuple(zip(paths, each, strict=True)) for each in product(*(v for _, v in tune))]


def tune(
    contest: Contest,
    folder: Path,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Mapping[tuple[str, str], Tuning]:
    """By world and arm, what was chosen: the same trials for all, each for the same part of the
    budget, with a seed that is none of the comparison's.

    Raises RunError where every trial of an arm failed.
    """
    keys = [(w, e) for w in contest.worlds for e in contest.entrants]
    tried = grid(contest.tune)
    if len(tried) < 2:
        only = tried[0] if tried else ()
        return {(w, e.name): Tuning(chosen=only) for w, e in keys}
    arms = [trial(contest, w, e, options) for w, e in keys for options in tried]
    results = run_arms(arms, folder, workers=workers, on_progress=on_progress)
    found = {}
    for i, (world, entrant) in enumerate(keys):
        mine = results[i * len(tried) : (i + 1) * len(tried)]
        scores = [_score(r, contest.metric) for r in mine]
        if max(scores) == -np.inf:
            raise RunError(f"every trial of {entrant.name} on {world} failed", found=mine[0].error)
        best = tried[int(np.argmax(scores))]
        found[world, entrant.name] = Tuning(tuple(zip(tried, scores, strict=True)), best)
    return found


def trial(contest: Contest, world: str, entrant: Entrant, options: Options) -> Arm:
    """One trial: the arm with these options, for its part of the budget, on decide tasks."""
    if SEED in contest.seeds:
        raise ConfigError(f"seed {SEED} is that of tuning", hint="take other seeds")
    arm = contest.arms(world, entrant, options)[0]
    words = ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in options)
    return replace(
        arm,
        name=f"{entrant.name} on {world}, {words}",
        seed=SEED,
        budget={k: v * contest.tune_share for k, v in contest.budget.items()},
        look=Look("decide", NUM_TASKS, max(NUM_ATTEMPTS, contest.num_attempts)),
        num_snapshots=0,
    )


def plain(tunings: Mapping[tuple[str, str], Tuning]) -> dict[str, Any]:
    """As values that JSON knows: world, arm, what was tried and chosen."""
    found: dict[str, Any] = {}
    for (world, name), one in tunings.items():
        if one.chosen:
            found.setdefault(world, {})[name] = {
                "chosen": dict(one.chosen),
                "tried": [
                    {"options": dict(o), "value": s if np.isfinite(s) else None}
                    for o, s in one.tried
                ],
            }
    return found


def _score(result: ArmResult, metric: str) -> float:
    """A trial that failed counts as the worst there is, as does one that is not a number."""
    if result.error or not result.points:
        return -np.inf
    value = float(per_task(result.points[-1], metric).mean())
    return value if np.isfinite(value) else -np.inf
