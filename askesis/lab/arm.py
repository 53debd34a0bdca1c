"""One arm of an experiment: a run to the end of its budget, then its snapshots on given tasks.

    python -m askesis.lab.arm FOLDER

An arm lives in a folder: `arm.json` says what to do, `run/` is the run, `scores/` holds what each
snapshot scored, `result.json` is written last. Whatever is there already is not done again, so an
arm that was killed goes on where it was. `askesis.lab.arms` runs many.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from askesis.errors import AskesisError, RunError

ARM_VERSION = 1  # rises when the same arm would give other results
_FOR_EVER = 1_000_000  # rounds: an arm ends by its budget


@dataclass(frozen=True)
class Look:
    """Which snapshots are scored on what, after the run.

    kind: "answers" are verified; "pairs" are ranked by a reward model, one a task
    (`askesis.lab.ranking`); "turns", "walks", "sharpness" and "habits" see more than right and
    wrong, and have `options` by name (`askesis.lab.looks.kinds`). role: "claim" or "decide".
    snapshots: "ends" (the first and the last), "all" that were kept, or "none". world: "" for the
    run's own.
    """

    role: str = "claim"
    num_tasks: int = 1000
    num_attempts: int = 4
    snapshots: str = "ends"
    temperature: float = 1.0
    world: str = ""
    kind: str = "answers"
    options: tuple[tuple[str, str], ...] = ()

    def plain(self) -> dict[str, Any]:
        """Every field; those that came later only where they say something, so that what was looked
        at before keeps its name."""
        return {k: v for k, v in asdict(self).items() if v or k not in _LATER}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Look:
        options = tuple((str(k), str(v)) for k, v in found.get("options", ()))
        return Look(**{**found, "options": options})


_LATER = frozenset({"options"})


@dataclass(frozen=True)
class Arm:
    """What to run. Two arms with equal fields are the same arm and are run once.

    name: for people. recipe, options: as on the command line. budget: limits by name (tokens,
    trained_tokens, updates, seconds); the run goes on until the first is reached, and without any
    until its recipe's end.
    num_snapshots: snapshots on the way, at equal parts of the budget (0: only the ends). start: key
    of an arm beside this one with whose last weights the model begins (and others of the same
    name, such as a critic), "" for the recipe's own start; a stretch that many arms begin with is
    then made once.
    """

    name: str
    recipe: str
    options: tuple[tuple[str, str], ...]
    seed: int
    budget: Mapping[str, float]
    look: Look = field(default_factory=Look)
    num_snapshots: int = 0
    start: str = ""

    @property
    def key(self) -> str:
        """Names the arm's folder; depends on everything but the name."""
        what = {k: v for k, v in asdict(self).items() if k != "name"} | {"version": ARM_VERSION}
        what["look"] = self.look.plain()
        if not self.start:  # a field that came later: arms without it keep their names
            del what["start"]
        digest = hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=6)
        return f"{self.recipe.rpartition(':')[2]}-{self.seed}-{digest.hexdigest()}"

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Arm:
        options = tuple((str(k), str(v)) for k, v in found["options"])
        return Arm(**{**found, "options": options, "look": Look.from_json(found["look"])})


@dataclass(frozen=True)
class Point:
    """A snapshot and what it scored; `spent` is what the run had cost by then, by name.

    scores: per task the scores of its attempts. figures: by name one number a task, of looks that
    see more (`askesis.lab.looks.kinds`).
    """

    snapshot: str
    round: int
    spent: Mapping[str, float]
    scores: tuple[tuple[float, ...], ...]
    mean_tokens: float
    cut_off_fraction: float
    figures: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ArmResult:
    """What an arm came to. `points` are ordered by round; `spent` is the whole run's cost, with
    `seconds` of wall time and `core_seconds` of the processor."""

    arm: Arm
    reason: str
    spent: Mapping[str, float]
    points: tuple[Point, ...]
    measured: tuple[Mapping[str, float], ...]  # the run's own figures, one row a measured round
    alarms: tuple[Mapping[str, Any], ...] = ()  # name and round of every alarm raised
    error: str = ""


def finish(arm: Arm, folder: Path, say: Callable[[str], None] = print) -> ArmResult:
    """Run an arm, or what is left of it. Raises what the run raises."""
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "result.json"
    if written.exists():
        return read_result(folder)
    from askesis.lab.arm_scores import looked

    seconds, reason = _improve(arm, folder, say)
    result = looked(arm, folder, seconds, reason, say)
    write_whole(written, asdict(result))
    return result


def read_result(folder: Path) -> ArmResult:
    """A finished arm. Raises RunError where it is not finished."""
    try:
        found = json.loads((folder / "result.json").read_text())
    except FileNotFoundError:
        raise RunError(f"{folder} holds no finished arm", hint="run it again") from None
    points = tuple(
        Point(**{**p, "scores": tuple(tuple(s) for s in p["scores"])}) for p in found["points"]
    )
    lists = {name: tuple(found.get(name, ())) for name in ("measured", "alarms")}
    arm = Arm.from_json(found["arm"])
    return ArmResult(**{**found, "arm": arm, "points": points, **lists})


def _improve(arm: Arm, folder: Path, say: Callable[[str], None]) -> tuple[float, str]:
    """The run to its end; core seconds spent on it over all attempts, and why it stopped."""
    from askesis.lab.begin import begin, plan_for, resume

    clock, path = folder / "core_seconds.json", folder / "run"
    before = json.loads(clock.read_text()) if clock.exists() else 0.0
    began = time.process_time()
    options: dict[str, Any] = {"segment_s": 30.0}
    if arm.num_snapshots:
        options = {"segment_s": 1e9, "segments": arm.num_snapshots}
    if (path / "ledger.sqlite").exists():
        run = resume(path, say=say, **options)
    else:
        shutil.rmtree(path, ignore_errors=True)
        limits = [(f"budget.{k.replace('_', '-')}", str(v)) for k, v in arm.budget.items()]
        ends = not arm.budget or any(k == "rounds" for k, _ in arm.options)
        rounds = [] if ends else _last_phase(arm)
        model = _started(folder.parent / arm.start, arm) if arm.start else []
        given = [*rounds, *model, *arm.options, *limits, ("seed", str(arm.seed))]
        run = begin(plan_for(arm.recipe, given), path, say=say, **options)
    try:
        follow: Any = _Follow(say, arm.budget)
        run.watchers.append(follow)
        reason = run.improve()
    finally:
        run.close()
        write_whole(clock, before + time.process_time() - began)
    return before + time.process_time() - began, reason


def _started(folder: Path, arm: Arm) -> list[tuple[str, str]]:
    """Options that let the arm's models begin with the weights a finished arm ended with: the one
    that speaks, and others of the same name that learnt there. Raises RunError where it is not
    finished."""
    from askesis.config import from_tree
    from askesis.lab.begin import plan_for
    from askesis.lab.snapshots import resolve, speaking_model
    from askesis.store.run_store import RunStore

    read_result(folder)
    wanted = plan_for(arm.recipe, arm.options).models
    found = []
    with RunStore.open(folder / "run") as store:
        plan: Any = from_tree(store.config)
        speaks = speaking_model(plan)
        for name, spec in plan.models.items():
            if name == speaks or (name in wanted and spec.trainable):
                path = Path(resolve(store, "last", name)["path"]).resolve()
                option = "model" if name == speaks else f"models.{name}.source"
                found.append((option, str(path)))
    return found


def _last_phase(arm: Arm) -> list[tuple[str, str]]:
    """Rounds without end for the recipe's last phase: the budget is what ends it."""
    from askesis.lab.begin import plan_for

    phases = plan_for(arm.recipe).phases
    if len(phases) == 1:
        return [("rounds", str(_FOR_EVER))]
    return [(f"phases.{phases[-1].name}.until.rounds", str(_FOR_EVER))]


class _Follow:
    """Says how far it got, every ten seconds, and stops when whoever started this process is gone:
    a killed command must not leave arms behind that the next one would run into."""

    def __init__(self, say: Callable[[str], None], budget: Mapping[str, float]) -> None:
        self.say, self.budget, self.last = say, budget, 0.0
        self.run: Any = None
        self.parent = os.getppid()

    def run_began(self, run: Any) -> None:
        self.run = run

    def round_ended(self, rd: Any, metrics: Mapping[str, float]) -> None:
        if os.getppid() != self.parent:
            raise SystemExit(1)
        if self.run is None or time.monotonic() - self.last < 10:
            return
        self.last = time.monotonic()
        used = self.run.meter.budget_tokens
        of = f" of {self.budget['tokens']:,.0f}" if "tokens" in self.budget else ""
        self.say(f"round {rd.index + 1}, {used:,.0f}{of} tokens, {self.run.seconds:.0f} s")

    def __getattr__(self, name: str) -> Any:  # the other things a watcher may hear
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


def write_whole(path: Path, value: Any) -> None:
    """JSON into a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(value))
    aside.replace(path)


def main() -> int:
    """Finish the arm of a folder; 1 with a message where it cannot be."""
    folder = Path(sys.argv[1])
    arm = Arm.from_json(json.loads((folder / "arm.json").read_text()))
    try:
        finish(arm, folder, lambda line: print(line, flush=True))
    except AskesisError as error:
        write_whole(folder / "failed.json", str(error))
        return 1
    except Exception:
        write_whole(folder / "failed.json", traceback.format_exc()[-2000:])
        return 1
    with suppress(FileNotFoundError):
        (folder / "failed.json").unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
