"""A run killed anywhere ends as the uninterrupted one: same attempts, states, weights."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from askesis.errors import RunError
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from askesis.retain.replay import Replay
from askesis.run import Run
from askesis.select.threshold import Threshold
from askesis.store import files
from askesis.store.run_store import RunStore
from tests.probes.house import Draw, LetterWorld


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def plan(rounds: int = 4) -> Plan:
    parts = Parts(
        tasks=Draw(num=3), explore=SampleAttempts(num_attempts=3, max_tokens=3), judge=Verifier(),
        select={"policy": Threshold()}, learn={"policy": Learn(learning_rate=0.05)},
    )  # fmt: skip
    main = Phase(parts=parts, retain=(Replay(),), until=Until(rounds=rounds))
    return Plan(recipe="kill", phases=(main,), seed=3)


def things() -> tuple[dict, dict]:
    return {"main": LetterWorld()}, {"policy": TabularModel("policy", "abxy")}


def finish(path: Path, rounds: int = 4) -> Run:
    """Begin or continue, to the end. A directory that never became a run is begun again."""
    if (path / "ledger.sqlite").exists():
        run = Run.resume(path, *things(), segment_s=0)
    else:
        run = Run.create(plan(rounds), path, *things(), segment_s=0)
    try:
        run.improve()
    finally:
        run.close()  # what the kernel does for a killed process: handles and lock are gone
    return run


def outcome(path: Path, run: Run) -> dict[str, object]:
    """Everything that must be equal: records, weights, optimiser, states, costs."""
    store = RunStore.open(path)
    point = store.resume_point()
    found = {
        "records": {
            t: store.content_digest(t) for t in ("tasks", "attempts", "verdicts", "samples")
        },
        "rounds": [(r["round"], r["phase"], r["costs"]) for r in store.rounds()],
        "metrics": [m for m in store.metrics() if not m["key"].endswith("_s")],
        "weights": run.models["policy"].module.logits.detach().numpy().tobytes(),
        "states": repr(point.states),
        "optimizer": (point.models / "policy" / "optimizer.safetensors").read_bytes(),
        "problems": store.verify(),
    }
    store.close()
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict[str, object]:
    path = tmp_path_factory.mktemp("whole") / "run"
    return outcome(path, finish(path))


def with_hook(hook: Callable[[str], None] | None, path: Path, rounds: int) -> Run | None:
    files.on_point = hook
    try:
        return finish(path, rounds)
    except Killed:
        return None
    finally:
        files.on_point = None


def count_points(path: Path, rounds: int) -> int:
    seen = 0

    def count(point: str) -> None:
        nonlocal seen
        seen += 1

    with_hook(count, path, rounds)
    return seen


def kill_at(path: Path, number: int, rounds: int = 4) -> Run | None:
    left = number

    def hook(point: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed(point)

    return with_hook(hook, path, rounds)


@pytest.mark.slow
def test_a_kill_before_and_after_every_write_flush_rename_and_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # reached, but nobody waits
    whole = outcome(tmp_path / "whole", finish(tmp_path / "whole", 2))
    total = count_points(tmp_path / "counted", 2)
    assert total > 100
    for number in range(total):
        path = tmp_path / f"run{number}"
        assert kill_at(path, number, 2) is None
        assert outcome(path, finish(path, 2)) == whole, f"killed at point {number}"


@pytest.mark.slow
def test_kills_at_a_sample_of_points_in_a_row_still_end_the_same(tmp_path, uninterrupted):
    """The same run killed again and again, at random points of each resumption."""
    rng = random.Random(1)
    path, run = tmp_path / "run", None
    for _ in range(6):
        run = kill_at(path, rng.randrange(5, 60))
        if run is not None:
            break
    assert outcome(path, run or finish(path)) == uninterrupted


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_costs_nothing_committed(tmp_path, uninterrupted):
    for nth in (1, 4, 8, 13, 19):
        path, left = tmp_path / f"run{nth}", nth

        def full(point: str) -> None:
            nonlocal left
            if point.endswith("write:before"):
                left -= 1
                if left < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        files.on_point = full
        try:
            with pytest.raises(RunError, match="disk is full") as error:
                finish(path)
        finally:
            files.on_point = None
        assert "\n" not in str(error.value)
        assert outcome(path, finish(path)) == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["draw", "explore", "judge", "select", "learn", "settle"])
def test_ctrl_c_in_any_stage_loses_nothing_committed(tmp_path, uninterrupted, monkeypatch, stage):
    owner = {"draw": Draw, "explore": SampleAttempts, "judge": Verifier, "select": Threshold,
             "learn": Learn, "settle": Run}[stage]  # fmt: skip
    method = "commit" if stage == "settle" else stage
    inner, calls = getattr(owner, method), 0

    def interrupted(*args, **options):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return inner(*args, **options)

    path = tmp_path / "run"
    monkeypatch.setattr(owner, method, interrupted)
    run = Run.create(plan(), path, *things(), segment_s=0)
    with pytest.raises(KeyboardInterrupt):
        run.improve()
    run.close()
    monkeypatch.setattr(owner, method, inner)
    assert outcome(path, finish(path)) == uninterrupted


def killed_after(seconds: float, path: Path) -> None:
    """A process that works on the run and gets SIGKILL after so long."""
    child = os.fork()
    if child == 0:
        try:
            finish(path, 40)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.slow
def test_twenty_random_kills_of_the_process_end_as_the_uninterrupted_run(tmp_path):
    whole = finish(tmp_path / "whole", 40)
    rng, path = random.Random(2), tmp_path / "run"
    for _ in range(20):
        killed_after(rng.random() * 0.25, path)
    assert outcome(path, finish(path, 40)) == outcome(tmp_path / "whole", whole)
