"""What goes wrong is one line; nothing committed is lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from askesis.cli.failures import guarded
from askesis.cli.main import main
from askesis.errors import ConfigError, StageError
from tests.lab.letters_run import RECIPE


def failing(error: BaseException):
    def action() -> int:
        raise error

    return action


def test_a_users_mistake_is_one_line_without_traceback(capsys, monkeypatch):
    monkeypatch.delenv("ASKESIS_DEBUG", raising=False)
    assert guarded(failing(ConfigError("no such thing", hint="type another"))) == 2
    assert capsys.readouterr().err == "askesis: no such thing. type another\n"


def test_debugging_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("ASKESIS_DEBUG", "1")
    assert guarded(failing(ConfigError("no such thing"))) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("odd\nthing"), 1), (MemoryError(), 1), (RecursionError("deep"), 1)],
)
def test_the_unexpected_is_one_line_and_its_traceback_is_kept(capsys, monkeypatch, error, code):
    monkeypatch.delenv("ASKESIS_DEBUG", raising=False)
    assert guarded(failing(error)) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    path = Path(err.rpartition("traceback in ")[2].strip().rstrip(")"))
    assert type(error).__name__ in path.read_text()
    path.unlink()


def test_a_failure_inside_a_part_names_stage_part_and_round(capsys, monkeypatch):
    monkeypatch.delenv("ASKESIS_DEBUG", raising=False)
    error = StageError("explore", "explore.main", 4, "task-7", ZeroDivisionError("by zero"))
    assert guarded(failing(error)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for word in ("explore", "round 4", "task-7", "ZeroDivisionError"):
        assert word in err


def test_a_full_disk_is_one_line(capsys):
    assert guarded(failing(OSError(errno.ENOSPC, "No space left on device"))) == 2
    err = capsys.readouterr().err
    assert "the disk is full" in err
    assert "askesis resume" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_full_disk_during_a_run_loses_nothing(capsys, tmp_path, monkeypatch):
    from askesis.store import files
    from askesis.store.run_store import RunStore

    seen = 0

    def full(point: str) -> None:
        nonlocal seen
        seen += point == "segment.rename:before"
        if seen == 3:  # the run's beginning and its first round are committed
            raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "r"
    monkeypatch.setattr(files, "on_point", full)
    assert main(["run", RECIPE, "--out", str(path), "--segment-s", "0"]) == 2
    err = capsys.readouterr().err
    assert "the disk is full" in err
    assert f"askesis resume {path}" in err
    assert err.count("\n") == 1
    monkeypatch.setattr(files, "on_point", None)
    assert main(["resume", str(path)]) == 0
    assert main(["run", RECIPE, "--out", str(tmp_path / "whole")]) == 0
    with RunStore.open(path) as resumed, RunStore.open(tmp_path / "whole") as whole:
        assert resumed.content_digest("samples") == whole.content_digest("samples")
        assert resumed.verify() == []


@pytest.mark.slow
def test_an_interrupt_in_a_stage_says_how_to_go_on(capsys, tmp_path, monkeypatch):
    from askesis.judge.verifier import Verifier
    from askesis.store.run_store import RunStore

    calls = 0
    judge = Verifier.judge

    async def interrupted(self, ctx, group):
        nonlocal calls
        calls += 1
        if calls == 12:  # in the second round
            raise KeyboardInterrupt
        return await judge(self, ctx, group)

    path = tmp_path / "r"
    monkeypatch.setattr(Verifier, "judge", interrupted)
    assert main(["run", RECIPE, "--out", str(path), "--segment-s", "0"]) == 130
    err = capsys.readouterr().err
    assert f"Go on with: askesis resume {path}" in err
    assert err.count("\n") == 1
    assert main(["show", str(path)]) == 0
    assert "interrupted" in capsys.readouterr().out
    monkeypatch.setattr(Verifier, "judge", judge)
    assert main(["resume", str(path)]) == 0
    assert main(["run", RECIPE, "--out", str(tmp_path / "whole")]) == 0
    with RunStore.open(path) as resumed, RunStore.open(tmp_path / "whole") as whole:
        assert resumed.content_digest("attempts") == whole.content_digest("attempts")


@pytest.mark.slow
def test_ctrl_c_ends_the_command_with_130(tmp_path):
    path = tmp_path / "r"
    words = ["run", RECIPE, "--out", str(path), "--segment-s", "0", "--rounds", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "askesis.cli.main", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": "."},
        # who runs the tests in the background of a shell hands on an interrupt that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        waited = time.monotonic() + 60
        while not list(path.glob("segments/000003")) and time.monotonic() < waited:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"askesis resume {path}" in err
    assert err.count("\n") == 1
