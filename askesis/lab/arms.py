"""Many arms: run side by side, one per core with one thread each; whatever is finished stays.

    results = run_arms(arms, folder, workers=2, on_progress=print_line)

Every arm is a process of its own (`askesis.lab.arm`), so that a crash takes one arm with it and
threads do not fight. Killed in the middle, the same call goes on: finished arms are read, begun
ones are resumed. Arms with a budget in seconds must run alone (workers=1).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from askesis.errors import ConfigError, RunError
from askesis.lab.arm import Arm, ArmResult, read_result

TRIES = 2  # an arm that fails once (a full disk, a kill) is tried again


@dataclass(frozen=True)
class Progress:
    """How far a set of arms is. `lines` are the newest words of the arms under way."""

    done: int
    failed: int
    num: int
    seconds: float
    lines: Mapping[str, str]

    @property
    def left_s(self) -> float:
        """Seconds left if the rest takes as long as what was done; infinite before the first."""
        return self.seconds / self.done * (self.num - self.done) if self.done else float("inf")


def default_workers() -> int:
    """One process per core."""
    return os.cpu_count() or 1


def run_arms(
    arms: Sequence[Arm],
    folder: Path,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    every_s: float = 5.0,
) -> list[ArmResult]:
    """Finish all arms; their results in the order given, a failed one with its `error`.

    folder: where the arms live, each in a folder of its own; equal arms are run once.
    Raises ConfigError for seconds budgets that would run beside others.
    """
    workers = workers or default_workers()
    if workers > 1 and any("seconds" in arm.budget for arm in arms):
        raise ConfigError(
            "a budget in seconds is only fair to arms that run alone",
            expected="one worker",
            found=f"{workers}",
            hint="use --workers 1, or a budget in tokens",
        )
    wanted = {arm.key: arm for arm in arms}
    _warm_up([a for a in wanted.values() if not (folder / a.key / "result.json").exists()])
    todo = [key for key in wanted if not (folder / key / "result.json").exists()]
    began, num = time.monotonic(), len(todo)
    tries = dict.fromkeys(todo, 0)
    running: dict[str, subprocess.Popen[bytes]] = {}
    failed: set[str] = set()
    try:
        while todo or running:
            while todo and len(running) < workers:
                key = todo.pop(0)
                tries[key] += 1
                running[key] = _start(wanted[key], folder / key)
            for key, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[key]
                if not (folder / key / "result.json").exists():
                    if tries[key] < TRIES:
                        todo.append(key)
                    else:
                        failed.add(key)
            if on_progress is not None:
                lines = {wanted[key].name: _last_line(folder / key) for key in running}
                done = num - len(todo) - len(running) - len(failed)
                on_progress(Progress(done, len(failed), num, time.monotonic() - began, lines))
            _wait(running, every_s)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    return [_result(wanted[arm.key], folder / arm.key) for arm in arms]


def _warm_up(arms: Sequence[Arm]) -> None:
    """Make the starts that arms share once, before several processes would each make them."""
    from askesis.lab.begin import open_models, plan_for

    seen = set()
    for arm in arms:
        plan = plan_for(arm.recipe, arm.options)
        what = tuple(sorted(plan.worlds.items()))
        if what not in seen and any(spec.source == "tiny" for spec in plan.models.values()):
            open_models(plan, plan.seed)
        seen.add(what)


def _start(arm: Arm, place: Path) -> subprocess.Popen[bytes]:
    place.mkdir(parents=True, exist_ok=True)
    (place / "arm.json").write_text(json.dumps(asdict(arm)))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with (place / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "askesis.lab.arm", str(place)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **threads},
        )


def _wait(running: Mapping[str, subprocess.Popen[bytes]], every_s: float) -> None:
    """Until one has ended, or a while."""
    until = time.monotonic() + every_s
    while time.monotonic() < until and running:
        if any(process.poll() is not None for process in running.values()):
            return
        time.sleep(0.1)


def _last_line(place: Path) -> str:
    try:
        with (place / "log.txt").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 400))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""


def _result(arm: Arm, place: Path) -> ArmResult:
    try:
        found = read_result(place)
    except RunError as error:
        why = place / "failed.json"
        told = json.loads(why.read_text()) if why.exists() else f"{error} (killed?)"
        return ArmResult(arm, "failed", {}, (), (), error=told)
    return replace(found, arm=arm)
