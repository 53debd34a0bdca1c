"""The demonstration: a tiny model improves itself, and one can tell whether it did.

Warm start, rounds of a recipe, then both ends of the run on claim tasks it never saw. What the
demonstration is made of is the table below.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askesis.lab.begin import begin, plan_for
from askesis.lab.evaluate import Evaluation, OnProgress, evaluate
from askesis.run import Watcher

RECIPE = "rft"
WORLD = "countdown?difficulty=0.7"
OPTIONS: tuple[tuple[str, str], ...] = (
    ("rounds", "36"),
    ("tasks.num", "384"),
    ("explore.num-attempts", "8"),
    ("learn.policy.epochs", "2"),
    ("learn.policy.learning-rate", "1e-3"),
    ("learn.policy.batch-tokens", "2048"),
    ("learn.policy.micro-batch-tokens", "1024"),
    ("measure-every", "12"),
)
NUM_TASKS = 1000  # claim tasks
NUM_ATTEMPTS = 8
SEGMENT_S = 20.0
CONTROL = Path("results") / "demo_control.json"


@dataclass(frozen=True)
class Demonstration:
    """What came out. `control` is what `results/demo_control.json` says, or None."""

    path: Path
    reason: str
    evaluation: Evaluation
    control: dict[str, Any] | None
    checkpoint: Path


def demonstrate(
    path: Path,
    *,
    seed: int = 0,
    seconds: float | None = None,
    watchers: Sequence[Watcher] = (),
    say: Callable[[str], None] = print,
    on_progress: OnProgress | None = None,
    options: Sequence[tuple[str, str]] = (),
    num_tasks: int | None = None,
) -> Demonstration:
    """Run it in an empty directory. seconds: stop the rounds after so long (a run that stops by
    the clock is not exactly repeatable). options: beside and over `OPTIONS`. num_tasks: claim
    tasks, `NUM_TASKS` by default."""
    given = [("world", WORLD), *OPTIONS, ("seed", str(seed)), *options]
    if seconds is not None:
        given.append(("budget.seconds", str(seconds)))
    plan = plan_for(RECIPE, given)
    run = begin(plan, path, watchers, say, segment_s=SEGMENT_S)
    try:
        reason = run.improve()
    finally:
        run.close()
    num_tasks = num_tasks or NUM_TASKS
    say(f"Measuring the first and the last weights on {num_tasks:,} tasks no round has seen")
    found = evaluate(
        path, num_tasks=num_tasks, num_attempts=NUM_ATTEMPTS, by="askesis demo",
        on_progress=on_progress,
    )  # fmt: skip
    last = found.scores[-1].snapshot
    return Demonstration(path, reason, found, control(), path / "snapshots" / last)


def control() -> dict[str, Any] | None:
    """The control arm: the same start with the same seconds of more supervised training.

    Measured once and kept as {"pass@1": {"value", "low", "high"}, "pass@8": ..., "seconds",
    "seeds"}; None where the file is not there.
    """
    for root in (Path.cwd(), Path(__file__).parents[2]):
        try:
            found = json.loads((root / CONTROL).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and isinstance(found.get("pass@1"), dict):
            return found
    return None
