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
from collections.abc import Callable, Iterator, Mapping
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
    (`askesis.lab.ranking`). role: "claim" or "decide". snapshots: "ends" (the first and the last)
    or "all" that were kept. world: "" for the run's own.
    """

    role: str = "claim"
    num_tasks: int = 1000
    num_attempts: int = 4
    snapshots: str = "ends"
    temperature: float = 1.0
    world: str = ""
    kind: str = "answers"


@dataclass(frozen=True)
class Arm:
    """What to run. Two arms with equal fields are the same arm and are run once.

    name: for people. recipe, options: as on the command line. budget: limits by name (tokens,
    trained_tokens, updates, seconds); the run goes on until the first is reached.
    num_snapshots: snapshots on the way, at equal parts of the budget (0: only the ends).
    """

    name: str
    recipe: str
    options: tuple[tuple[str, str], ...]
    seed: int
    budget: Mapping[str, float]
    look: Look = field(default_factory=Look)
    num_snapshots: int = 0

    @property
    def key(self) -> str:
        """Names the arm's folder; depends on everything but the name."""
        what = {k: v for k, v in asdict(self).items() if k != "name"} | {"version": ARM_VERSION}
        digest = hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=6)
        return f"{self.recipe.rpartition(':')[2]}-{self.seed}-{digest.hexdigest()}"

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Arm:
        options = tuple((str(k), str(v)) for k, v in found["options"])
        return Arm(**{**found, "options": options, "look": Look(**found["look"])})


@dataclass(frozen=True)
class Point:
    """A snapshot and what it scored; `spent` is what the run had cost by then, by name.

    scores: per task the scores of its attempts.
    """

    snapshot: str
    round: int
    spent: Mapping[str, float]
    scores: tuple[tuple[float, ...], ...]
    mean_tokens: float
    cut_off_fraction: float


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
    seconds, reason = _improve(arm, folder, say)
    result = _looked(arm, folder, seconds, reason, say)
    _write(written, asdict(result))
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
        rounds = [] if any(k == "rounds" for k, _ in arm.options) else _last_phase(arm)
        given = [*rounds, *arm.options, *limits, ("seed", str(arm.seed))]
        run = begin(plan_for(arm.recipe, given), path, say=say, **options)
    try:
        follow: Any = _Follow(say, arm.budget)
        run.watchers.append(follow)
        reason = run.improve()
    finally:
        run.close()
        _write(clock, before + time.process_time() - began)
    return before + time.process_time() - began, reason


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


# ---------------------------------------------------------------- looking


def _looked(
    arm: Arm, folder: Path, core_seconds: float, reason: str, say: Callable[[str], None]
) -> ArmResult:
    from askesis.config import from_tree
    from askesis.lab.snapshots import kept, resolve, speaking_model
    from askesis.store.run_store import RunStore

    path = folder / "run"
    store = RunStore.open(path)
    try:
        model = speaking_model(from_tree(store.config))
        rows = kept(store, model)
        last = resolve(store, "last", model)  # after a revert not the youngest
        rounds = store.rounds()
        measured = _measured(store)
        alarms = tuple({"round": e["round"], **e["data"]} for e in store.events("alarm"))
    finally:
        store.close()
    if arm.look.snapshots == "ends":
        rows = [rows[0], last] if len(rows) > 1 else rows
    spent = dict(_spending(rounds))
    points = []
    for row in rows:
        say(f"scoring {row['id']} on {arm.look.num_tasks:,} {arm.look.role} tasks")
        after = max((n for n in spent if n < row["round"]), default=-1)  # rounds before it
        points.append(_point(arm, folder, row, spent.get(after, {})))
    whole = dict(spent[max(spent)]) if spent else {}
    whole["core_seconds"] = core_seconds
    return ArmResult(arm, reason, whole, tuple(points), tuple(measured), alarms)


def _point(arm: Arm, folder: Path, row: Mapping[str, Any], spent: Mapping[str, float]) -> Point:
    """Score one snapshot, or take it from where the same weights were scored the same way."""
    place = folder.parent / "scores" / f"{_weights(Path(row['path']), arm)}.json"
    if place.exists():
        found = json.loads(place.read_text())
    else:
        found = _ranked(arm, folder, row) if arm.look.kind == "pairs" else _scored(arm, folder, row)
        _write(place, found)
    per_task = tuple(tuple(s) for s in found.pop("scores"))
    return Point(row["id"], row["round"], dict(spent), per_task, **found)


def _scored(arm: Arm, folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    from askesis.lab.evaluate import evaluate

    look = arm.look
    scores = evaluate(
        folder / "run",
        snapshots=(row["id"],),
        world=look.world,
        role=look.role,
        num_tasks=look.num_tasks,
        num_attempts=look.num_attempts,
        temperature=look.temperature,
        by="askesis.lab.arm",
    ).scores[0]
    return {
        "scores": scores.task_scores,
        "mean_tokens": scores.mean_tokens,
        "cut_off_fraction": scores.cut_off_fraction,
    }


def _ranked(arm: Arm, folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    from askesis.lab.ranking import rank_pairs

    look = arm.look
    found = rank_pairs(
        folder / "run", row["id"], world=look.world, role=look.role, num_pairs=look.num_tasks
    )
    return {"scores": [(x,) for x in found], "mean_tokens": 0.0, "cut_off_fraction": 0.0}


def _weights(path: Path, arm: Arm) -> str:
    """Names weights together with the look at them and the world they are looked at on."""
    digest = hashlib.blake2b(digest_size=12)
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
    world = arm.look.world or dict(arm.options).get("world") or f"of {arm.recipe}"
    digest.update(json.dumps([asdict(arm.look), world]).encode())
    return digest.hexdigest()


def _spending(rounds: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, float]]]:
    """What the run had cost after each round, by name."""
    total = {"tokens": 0.0, "trained_tokens": 0.0, "updates": 0.0, "flops": 0.0, "seconds": 0.0}
    for row in rounds:
        for key, amount in row["costs"].items():
            counts = key.startswith(("generated/", "scored/")) and not key.endswith("/measure")
            total["tokens"] += amount if counts else 0.0
        total["trained_tokens"] += row["costs"].get("trained", 0.0)
        total["updates"] += row["costs"].get("updates", 0.0)
        total["flops"] += row["costs"].get("flops", 0.0)
        total["seconds"] += sum(row["seconds"].values())
        yield row["round"], dict(total)


def _measured(store: Any) -> list[dict[str, float]]:
    """The run's own measured figures, with what it had cost by then."""
    spent = dict(_spending(store.rounds()))
    rows: dict[int, dict[str, float]] = {}
    for row in store.metrics():
        if row["key"].startswith("measure/"):
            round = row["round"]
            begun = {"round": round, "tokens": spent[round]["tokens"]}
            rows.setdefault(round, begun)[row["key"]] = row["value"]
    return list(rows.values())


def _write(path: Path, value: Any) -> None:
    """Whole or not at all."""
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
        _write(folder / "failed.json", str(error))
        return 1
    except Exception:
        _write(folder / "failed.json", traceback.format_exc()[-2000:])
        return 1
    with suppress(FileNotFoundError):
        (folder / "failed.json").unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
