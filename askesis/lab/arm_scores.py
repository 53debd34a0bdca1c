"""What the snapshots of a finished arm scored, and what the run had cost by then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from askesis.lab.arm import Arm, ArmResult, Point, write_whole


def looked(
    arm: Arm, folder: Path, core_seconds: float, reason: str, say: Callable[[str], None]
) -> ArmResult:
    """Score what the arm's look asks for. reason: why its run stopped."""
    from askesis.config import from_tree
    from askesis.lab.looks.kinds import beside, looked_at
    from askesis.lab.snapshots import kept, resolve
    from askesis.store.run_store import RunStore

    path = folder / "run"
    store = RunStore.open(path)
    try:
        model = looked_at(from_tree(store.config), arm.look)
        rows = kept(store, model)
        last = resolve(store, "last", model)  # after a revert not the youngest
        if arm.look.snapshots == "ends":
            rows = [rows[0], last] if len(rows) > 1 else rows
        elif arm.look.snapshots == "none":
            rows = []
        others = [list(beside(store, arm.look, row).values()) for row in rows]
        rounds = store.rounds()
        measured = _measured(store)
        alarms = tuple({"round": e["round"], **e["data"]} for e in store.events("alarm"))
    finally:
        store.close()
    spent = dict(_spending(rounds))
    points = []
    for row, more in zip(rows, others, strict=True):
        say(f"scoring {row['id']} on {arm.look.num_tasks:,} {arm.look.role} tasks")
        after = max((n for n in spent if n < row["round"]), default=-1)  # rounds before it
        points.append(_point(arm, folder, row, spent.get(after, {}), more))
    whole = dict(spent[max(spent)]) if spent else {}
    whole["core_seconds"] = core_seconds
    return ArmResult(arm, reason, whole, tuple(points), tuple(measured), alarms)


def _point(
    arm: Arm,
    folder: Path,
    row: Mapping[str, Any],
    spent: Mapping[str, float],
    others: Sequence[Mapping[str, Any]],
) -> Point:
    """Score one snapshot, or take it from where the same weights were scored the same way.

    others: snapshots that the look opens beside it.
    """
    place = folder.parent / "scores" / f"{_weights(arm, row, *others)}.json"
    if place.exists():
        found = json.loads(place.read_text())
    else:
        found = _SEEN.get(arm.look.kind, _looked_at)(arm, folder, row)
        write_whole(place, found)
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


def _looked_at(arm: Arm, folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    from askesis.lab.looks.kinds import look_at

    return look_at(folder / "run", row["id"], arm.look)


_SEEN = {"answers": _scored, "pairs": _ranked}


def _weights(arm: Arm, *rows: Mapping[str, Any]) -> str:
    """Names weights together with the look at them and the world they are looked at on."""
    digest = hashlib.blake2b(digest_size=12)
    for row in rows:
        _add_files(digest, Path(row["path"]))
    world = arm.look.world or dict(arm.options).get("world") or f"of {arm.recipe}"
    digest.update(json.dumps([arm.look.plain(), world]).encode())
    return digest.hexdigest()


def _add_files(digest: Any, path: Path) -> None:
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(file.name.encode())
            digest.update(file.read_bytes())


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
