"""Metrics also go to TensorBoard, Weights & Biases or MLflow: one small adapter each.

    run.watchers.append(open_tracker("tensorboard"))

The run directory stays the only truth: a tracker gets a copy, and one that fails in the middle of
a run is left behind with one line, never the run. A resumed run goes on in the same record; what
was tracked in rounds that are made again is written again. Their libraries are extras and are
imported when a tracker is opened.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from askesis.config import to_tree
from askesis.errors import ConfigError, RunError, nearest
from askesis.measure.alarms.alarm import Alarm
from askesis.run import Watcher

PROJECT = "askesis"  # the project or experiment that runs are filed under
NOTES = "trackers.json"  # in the run directory: the ids of the records, for resuming


class Tracker(Watcher):
    """What all have in common: which figures there are, and that failing is harmless.

    Figures of a round, with the number of the round (from 1) as step: its metrics under their own
    keys, `seconds/<stage>`, and since the run began `cost/<kind>` and `cost/seconds`; a raised
    alarm is `alarm/<name>`. `say` gets the one line about a tracker that failed.
    """

    name = ""  # as in --track
    needs = ""  # the module it is made with
    extra = ""  # what to install

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self.say = say
        self.failed_with = ""
        self.run: Any = None
        try:
            self.library: Any = importlib.import_module(self.needs)
        except ImportError as error:
            raise ConfigError(
                f"--track {self.name} needs a library that is not installed",
                expected=self.needs,
                found=str(error),
                hint=f"pip install 'askesis[{self.extra}]'",
            ) from error

    # ------------------------------------------------------------ what an adapter does

    def begin(self, path: Path, title: str, config: Mapping[str, Any], step: int) -> None:
        """Open the record of this run; `step` rounds of it are already made."""
        raise NotImplementedError

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Write figures of one round."""
        raise NotImplementedError

    def close(self, reason: str) -> None:
        """The run ended; "" where it was interrupted."""

    # ------------------------------------------------------------ what a run says

    def run_began(self, run: Any) -> None:
        self.run = run
        path = Path(run.store.path)
        try:
            self.begin(path, path.name, flat(to_tree(run.plan)), run.position.total)
        except Exception as error:
            raise RunError(
                f"{self.name} cannot be opened ({_line(error)})",
                hint=f"askesis resume {path} goes on, with or without --track {self.name}",
            ) from error

    def round_ended(self, rd: Any, metrics: Mapping[str, float]) -> None:
        figures = {k: float(v) for k, v in metrics.items()}
        figures |= {f"seconds/{stage}": float(s) for stage, s in rd.seconds.items()}
        figures |= {f"cost/{kind}": float(n) for kind, n in self.run.meter.counts.items()}
        figures["cost/seconds"] = float(self.run.seconds)
        self._try(lambda: self.log(figures, rd.index + 1))

    def alarmed(self, alarm: Alarm) -> None:
        self._try(lambda: self.log({f"alarm/{alarm.name}": float(alarm.value)}, alarm.round + 1))

    def run_ended(self, reason: str) -> None:
        self._try(lambda: self.close(reason))

    def _try(self, what: Callable[[], None]) -> None:
        if self.failed_with:
            return
        try:
            what()
        except Exception as error:
            self.failed_with = _line(error)
            self.say(f"{self.name} failed and is left alone from here on: {self.failed_with}")


class TensorBoard(Tracker):
    """Event files in RUN/tensorboard; `tensorboard --logdir runs` shows all runs together."""

    name, needs, extra = "tensorboard", "torch.utils.tensorboard", "tensorboard"

    def begin(self, path: Path, title: str, config: Mapping[str, Any], step: int) -> None:
        purge = {"purge_step": step + 1} if step else {}  # rounds that are made again
        self.writer = self.library.SummaryWriter(str(path / "tensorboard"), **purge)
        if not step:
            rows = "\n".join(f"| {k} | {v} |" for k, v in config.items())
            self.writer.add_text("configuration", f"| option | value |\n| --- | --- |\n{rows}")

    def log(self, figures: Mapping[str, float], step: int) -> None:
        for key, value in figures.items():
            self.writer.add_scalar(key, value, step)
        self.writer.flush()

    def close(self, reason: str) -> None:
        self.writer.close()


class WeightsAndBiases(Tracker):
    """A run of the project "askesis"; WANDB_PROJECT, WANDB_MODE=offline and the like count."""

    name, needs, extra = "wandb", "wandb", "wandb"

    def begin(self, path: Path, title: str, config: Mapping[str, Any], step: int) -> None:
        import os

        known = read_notes(path).get(self.name)
        self.record = self.library.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=title,
            id=known,
            resume="allow" if known else None,
            dir=str(path),
            config=dict(config),
        )
        write_note(path, self.name, str(self.record.id))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self.record.log(dict(figures), step=step)

    def close(self, reason: str) -> None:
        if reason:
            self.record.summary["stopped"] = reason
        self.record.finish(exit_code=0 if reason else 1)


class MLflow(Tracker):
    """A run of the experiment "askesis", where MLFLOW_TRACKING_URI says."""

    name, needs, extra = "mlflow", "mlflow", "mlflow"

    def begin(self, path: Path, title: str, config: Mapping[str, Any], step: int) -> None:
        import os

        known = read_notes(path).get(self.name)
        if known:
            self.record = self.library.start_run(run_id=known)
            return
        if "MLFLOW_EXPERIMENT_NAME" not in os.environ:
            self.library.set_experiment(PROJECT)
        self.record = self.library.start_run(run_name=title)
        write_note(path, self.name, str(self.record.info.run_id))
        self.library.log_params({allowed(k): str(v)[:500] for k, v in config.items()})

    def log(self, figures: Mapping[str, float], step: int) -> None:
        known = {allowed(k): v for k, v in figures.items() if math.isfinite(v)}
        self.library.log_metrics(known, step=step)

    def close(self, reason: str) -> None:
        if reason:
            self.library.set_tag("stopped", reason)
        self.library.end_run("FINISHED" if reason else "KILLED")


TRACKERS: dict[str, type[Tracker]] = {
    kind.name: kind for kind in (TensorBoard, WeightsAndBiases, MLflow)
}


def open_tracker(name: str, say: Callable[[str], None] = print) -> Tracker:
    """A tracker by its name, a watcher to give to a run.

    Raises ConfigError for a name that is not known and for a library that is not installed.
    """
    if name not in TRACKERS:
        raise ConfigError(f"there is no tracker {name!r}", hint=nearest(name, TRACKERS))
    return TRACKERS[name](say)


def open_trackers(names: str, say: Callable[[str], None] = print) -> list[Tracker]:
    """The trackers of an option: names with commas between them, "" for none."""
    wanted = [n.strip() for n in names.split(",") if n.strip()]
    return [open_tracker(n, say) for n in dict.fromkeys(wanted)]


# ---------------------------------------------------------------- small things


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A configuration as dotted paths to plain values."""
    if isinstance(tree, Mapping):
        items = [(str(k), v) for k, v in tree.items()]
    elif isinstance(tree, list | tuple):
        items = [(str(i), v) for i, v in enumerate(tree)]
    else:
        return {prefix: tree}
    found: dict[str, Any] = {}
    for key, value in items:
        found |= flat(value, f"{prefix}.{key}" if prefix else key)
    return found


def allowed(key: str) -> str:
    """A key as MLflow takes it: "measure/pass@1/low" becomes "measure/pass_at_1.low".

    Only the first slash stays, because in its stores of files a name cannot be a folder too.
    """
    stage, slash, rest = key.replace("@", "_at_").partition("/")
    return re.sub(r"[^\w\-. :/]", "_", stage + slash + rest.replace("/", "."))[:250]


def read_notes(path: Path) -> dict[str, str]:
    """Tracker -> id of its record of this run."""
    try:
        return dict(json.loads((path / NOTES).read_text()))
    except (OSError, ValueError):
        return {}


def write_note(path: Path, name: str, record: str) -> None:
    """Keep the id of a record for resuming."""
    notes = read_notes(path) | {name: record}
    (path / NOTES).write_text(json.dumps(notes, indent=2) + "\n")


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
