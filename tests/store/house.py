"""What the store's tests share: records of every shape, and a small run that can be killed.

The small run is a stand-in for `askesis.run`: every round is a pure function of what the last
closed segment holds, so a killed and resumed one must end as the uninterrupted one did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from askesis.records import (
    About,
    Attempt,
    Sample,
    Sequence,
    Start,
    StopReason,
    Task,
    Turn,
    Verdict,
    VerdictKind,
)
from askesis.store import files
from askesis.store.run_store import RunStore

NUM_ROUNDS = 2
CLOSED_AFTER = (1,)  # rounds that end a segment, beside the beginning


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


def task(name: str, **more: Any) -> Task:
    return Task(f"sums-v1:{name}", "sums-v1", f"what is {name}?", "7", 0.5, data=more)


def attempt(name: str, of: Task, tokens: list[int] | None = None, **more: Any) -> Attempt:
    ids = np.array(tokens if tokens is not None else [3, 4, 5], np.int32)
    logp = np.linspace(-1, -0.1, len(ids)).astype(np.float32)
    turn = Turn("policy", "it is 7", "policy@0", np.array([1, 2], np.int32), ids, None, logp, logp)
    return Attempt(name, Start(of), (turn,), StopReason.ENDED, "policy@0", **more)


def verdict(about: str, value: float | None = 1.0) -> Verdict:
    return Verdict("verifier-v1", About(about), VerdictKind.OUTCOME, value)


def sample(source: str, model: str = "policy") -> Sample:
    tokens = np.array([1, 2, 3], np.int32)
    row = Sequence(tokens, {"weight": np.array([0, 1, 1], np.float32)})
    return Sample(model, (row,), {"label": 1.0}, (source,))


def create(path: Path) -> RunStore:
    """A run whose beginning is a closed segment."""
    return begun(RunStore.create(path, config={"rounds": NUM_ROUNDS}, manifest={"seed": 1}))


def begun(store: RunStore) -> RunStore:
    """Close the first segment; a store that fails at it is closed, as `askesis.run` does."""
    try:
        close(store, -1, {"total": 0, "rng": np.arange(4, dtype=np.uint64)})
    except BaseException:
        store.close()
        raise
    return store


def reopen(path: Path) -> RunStore:
    """Continue as a resumed run does; begins anew where nothing was committed."""
    if not (path / "ledger.sqlite").exists():
        return create(path)
    store = RunStore.open(path, write=True)
    store.rollback()
    return store if store.resume_point() is not None else begun(store)


def play(
    store: RunStore, rounds: int = NUM_ROUNDS, closed_after: tuple[int, ...] = CLOSED_AFTER
) -> None:
    """Rounds until the end, from wherever the store is."""
    point = store.resume_point()
    assert point is not None
    state = point.states["parts"]
    weights = int((point.models / "policy.bin").read_bytes()[0])
    assert weights == state["total"]
    for index in range(point.round + 1, rounds):
        one = task(str(index), target=index)
        store.append("tasks", [one], round=index, phase="main")
        attempts = [attempt(f"{index}#{i}", one, [int(state["rng"][i]), i]) for i in range(2)]
        store.append("attempts", attempts, round=index, phase="main")
        store.append("verdicts", [verdict(a.id) for a in attempts], round=index, phase="main")
        store.append("samples", [sample(attempts[0].id)], round=index, phase="main")
        store.event("learnt", index, model="policy")
        store.error(index, "judge", "judge", one.id, "ValueError: no")
        state = {"total": state["total"] + 1, "rng": state["rng"] * np.uint64(3)}
        store.commit_round(
            index, "main", metrics={"learn/loss": 1 / (1 + index)}, costs={"trained": 6.0},
            seconds={"learn": 0.5}, note={"snapshots": {"policy": f"policy@{index + 1}"}},
        )  # fmt: skip
        if index in closed_after:
            close(store, index, state)


def close(store: RunStore, index: int, state: dict[str, Any]) -> None:
    total = state["total"]

    def save(directory: Path) -> None:
        (directory / "policy.bin").write_bytes(bytes([total]) * 100)

    def export(directory: Path) -> None:
        (directory / "model.safetensors").write_bytes(bytes([total]) * 50)

    lineage = [[f"policy@{total}", "policy", total, [f"policy@{total - 1}"], []]]
    store.close_segment(
        index,
        states={"parts": state},
        save_models=save,
        snapshots={f"policy@{total}": export},
        counters={"lineage": lineage, "total": total},
    )


def fingerprint(path: Path) -> dict[str, Any]:
    """Everything a run directory holds that matters; Parquet files as bytes."""
    store = RunStore.open(path)
    point = store.resume_point()
    found: dict[str, Any] = {
        "rounds": store.rounds(),
        "metrics": store.metrics(),
        "events": store.events(),
        "errors": store.errors(),
        "snapshots": store.snapshots(),
        "seals": store.db.execute("select * from segments").fetchall(),
        "state": None if point is None else repr(point.states),
        "files": {
            p.relative_to(path).as_posix(): p.read_bytes()
            for place in ("segments", "snapshots", "aside")
            for p in sorted((path / place).rglob("*"))
            if p.is_file()
        },
    }
    for row in found["snapshots"]:
        row["path"] = row["path"] and row["path"].name
    store.close()
    return found


@contextmanager
def heard(hook: Any) -> Iterator[None]:
    """Let `hook` hear every point."""
    assert files.on_point is None
    files.on_point = hook
    try:
        yield
    finally:
        files.on_point = None


def at(number: int, what: BaseException) -> Any:
    """A hook that raises at the number-th point it hears, and is silent afterwards."""
    count = 0

    def hook(point: str) -> None:
        nonlocal count
        count += 1
        if count == number + 1:
            raise what

    return hook
