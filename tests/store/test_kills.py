"""A run directory after a kill, a full disk or damage, at every named point one by one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from askesis.errors import RunError
from askesis.store import files, ledger
from askesis.store.run_store import RunStore
from tests.store import house


def whole_run(path: Path) -> None:
    store = house.create(path)
    house.play(store)
    store.close()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The points a run reaches, its end, and how it stood after every segment."""
    path = tmp_path_factory.mktemp("whole") / "run"
    points: list[str] = []
    with house.heard(points.append):
        whole_run(path)
    after = {}
    for rounds in (0, house.NUM_ROUNDS):
        part = path.with_name(f"part{rounds}")
        store = house.create(part)
        house.play(store, rounds)
        store.close()
        after[rounds - 1] = house.fingerprint(part)
    return points, after


def start_and_die(path: Path, hook) -> None:
    """Run until the hook ends it; leaves the directory as a kill does."""
    store = None
    with house.heard(hook):
        try:
            store = house.create(path)
            house.play(store)
        except house.Killed:
            pass
        else:
            raise AssertionError("nothing was killed")
        finally:
            if store is not None:
                store.close()


def test_a_run_reaches_every_point_of_a_segment(uninterrupted):
    points, _ = uninterrupted
    reached = {p.rpartition(":")[0] for p in points}
    stages = ("create.", "rows.", "round.", "segment.")
    assert reached == {p for p in files.POINTS if p.startswith(stages)}
    assert points.count("segment.commit:before") == 2


@pytest.mark.slow
def test_a_kill_at_any_point_leaves_the_last_closed_segment_exactly(uninterrupted, tmp_path):
    points, after = uninterrupted
    end = after[house.NUM_ROUNDS - 1]
    for number, point in enumerate(points):
        path = tmp_path / str(number)
        start_and_die(path, house.at(number, house.Killed()))
        store = house.reopen(path)
        last = len(store.rounds()) - 1
        assert house.fingerprint(path) == after[last], f"after a kill at {point}"
        house.play(store)
        store.close()
        assert house.fingerprint(path) == end, f"resumed after a kill at {point}"
        shutil.rmtree(path)


def test_a_kill_during_a_rollback_is_mended_by_the_next(uninterrupted, tmp_path):
    points, after = uninterrupted
    late = max(n for n, p in enumerate(points) if p == "segment.write:before")
    start_and_die(tmp_path / "dead", house.at(late, house.Killed()))
    assert (tmp_path / "dead/segments/000001").exists()  # renamed, yet not committed
    for number in range(100):
        path = tmp_path / str(number)
        shutil.copytree(tmp_path / "dead", path)
        store = RunStore.open(path, write=True)
        try:
            with house.heard(house.at(number, house.Killed())):
                store.rollback()
            finished = True
        except house.Killed:
            finished = False
        store.close()
        store = RunStore.open(path, write=True)
        store.rollback()
        store.close()
        assert house.fingerprint(path) == after[-1]
        if finished:
            break
    assert 6 <= number < 100


@pytest.mark.slow
def test_a_full_disk_at_any_write_is_one_clear_line_and_loses_nothing(uninterrupted, tmp_path):
    points, after = uninterrupted
    wanted = ("write", "open", "flush", "commit", "close", "rename", "directory", "checkpoint")
    numbers = [n for n, p in enumerate(points) if p.endswith(":before") and p[:-7].endswith(wanted)]
    assert len(numbers) == len(points) / 2
    for number in numbers:
        path = tmp_path / str(number)
        full = OSError(errno.ENOSPC, "No space left on device")
        store = None
        with house.heard(house.at(number, full)):
            try:
                store = house.create(path)
                house.play(store)
                raise AssertionError(f"nothing failed at {points[number]}")
            except RunError as error:
                message = str(error)
        if not points[number].startswith("create.directory"):
            assert "the disk is full" in message, points[number]
        assert "\n" not in message
        assert str(path) in message
        if store is not None:
            assert "askesis resume" in message
            with pytest.raises(RunError, match="earlier failure"):
                store.commit_round(99, "main", metrics={})
            store.close()
        store = house.reopen(path)
        house.play(store)
        store.close()
        assert house.fingerprint(path) == after[house.NUM_ROUNDS - 1], points[number]
        shutil.rmtree(path)


DYING = """
import os, resource, signal, sys
from pathlib import Path
from askesis.store import files
from tests.store import house
path, how, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[4])
def hook(point):
    global count
    if point == sys.argv[3]:
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
if how == "kill":
    files.on_point = hook
store = house.create(path)
if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
house.play(store)
"""


@pytest.mark.slow
def test_processes_that_really_die_leave_runs_that_resume(uninterrupted, tmp_path):
    """SIGKILL at two points; and a limit on file size, which fails real writes half-way."""
    _, after = uninterrupted
    deaths = [
        ("kill", "segment.rename:after", 2),
        ("kill", "segment.commit:before", 2),
        ("full", "-", 3000),  # bytes: within a Parquet file
    ]
    root = Path(__file__).parents[2]
    running = []
    for number, (how, point, count) in enumerate(deaths):
        command = [sys.executable, "-c", DYING, str(tmp_path / str(number)), how, point, str(count)]
        env = {**os.environ, "PYTHONPATH": str(root)}
        running.append(
            subprocess.Popen(command, cwd=root, env=env, stderr=subprocess.PIPE, text=True)
        )
    for number, (process, death) in enumerate(zip(running, deaths, strict=True)):
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == (-9 if death[0] == "kill" else 1), stderr
        if death[0] == "full":
            assert "askesis.errors.RunError: the disk" in stderr
        store = house.reopen(tmp_path / str(number))
        house.play(store)
        store.close()
        assert house.fingerprint(tmp_path / str(number)) == after[house.NUM_ROUNDS - 1], death


def test_truncated_files_are_named_when_the_run_is_opened(tmp_path):
    whole_run(tmp_path / "run")
    names = [
        p.relative_to(tmp_path / "run").as_posix()
        for place in ("segments", "snapshots")
        for p in files.files_under(tmp_path / "run" / place)
    ]
    assert len(names) == 4 + 2 + 2  # tables of one segment, models and snapshots of two
    for number, name in enumerate(names):
        path = tmp_path / str(number)
        shutil.copytree(tmp_path / "run", path)
        os.truncate(path / name, (path / name).stat().st_size - 1)
        for write in (False, True):
            with pytest.raises(RunError, match="truncated") as caught:
                RunStore.open(path, write=write)
            assert name in str(caught.value)
        (path / name).unlink()
        with pytest.raises(RunError, match="missing"):
            RunStore.open(path)


def test_altered_files_are_named_by_verify_and_before_resuming(tmp_path):
    whole_run(tmp_path / "run")
    for name in (
        "segments/000001/attempts.parquet",
        "segments/000001/models/policy.bin",
        "snapshots/policy@0/model.safetensors",
    ):
        data = bytearray((tmp_path / "run" / name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / "run" / name).write_bytes(bytes(data))
        store = RunStore.open(tmp_path / "run")
        assert store.verify() == [f"{name}: its content was altered"]
        if "models" in name:
            with pytest.raises(RunError, match=r"policy\.bin.*altered.*--at 0"):
                store.resume_point()
        data[len(data) // 2] ^= 1
        (tmp_path / "run" / name).write_bytes(bytes(data))
        assert store.verify() == []
        store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "update metrics set value = 0.99 where round = 1",
        "delete from events where round = 0",
        "update states set value = x'00' where segment = 1",
        "update rounds set costs = '{}' where round = 1",
    ],
)
def test_altered_ledger_rows_are_noticed(tmp_path, sql):
    whole_run(tmp_path / "run")
    store = RunStore.open(tmp_path / "run", write=True)
    store.db.execute(sql)
    found = store.verify()
    assert found
    assert all(line.startswith("ledger.sqlite: rows of segment") for line in found)
    store.close()


def test_a_segment_cannot_be_altered_and_sealed_anew(tmp_path):
    store = house.create(tmp_path / "run")
    house.play(store, 3, (0, 1, 2))
    store.db.execute("update metrics set value = 0.99 where round = 0")
    again = ledger.seal(store.db, 1)
    store.db.execute("update segments set seal = ? where number = 1", (again,))
    assert store.verify() == ["ledger.sqlite: rows of segment 2 were altered"]
    store.close()


def test_a_damaged_or_emptied_ledger_is_named(tmp_path):
    whole_run(tmp_path / "run")
    place = tmp_path / "run/ledger.sqlite"
    data = place.read_bytes()
    for wrong in (b"", b"not a database at all" * 100, data[: len(data) // 2], data[:-5000]):
        place.write_bytes(wrong)
        with pytest.raises(RunError, match=r"ledger\.sqlite") as caught:
            RunStore.open(tmp_path / "run", write=True)
        assert "\n" not in str(caught.value)
