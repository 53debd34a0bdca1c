"""Trackers get what a run says, go on where they were, and never take the run with them.

W&B and MLflow are replaced by objects that take the calls their libraries take (checked once against
wandb 0.31.0 offline and mlflow-skinny 3.17.2 on files, 2026-11-21); TensorBoard's files are read back
with its own reader.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from askesis.budget import Meter
from askesis.errors import ConfigError, RunError
from askesis.lab.trackers import TRACKERS, allowed, flat, open_tracker, open_trackers, read_notes
from askesis.measure.alarms.alarm import Alarm
from tests.lab.letters import letters

ALARM = Alarm("wasted_groups", 1, "measure/groups_effective", 4.5, 3.0, "", "", "")


class Calls:
    """Notes every call; `ids` are what the library would have given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.summary: dict[str, str] = {}
        self.id = "w1"
        self.info = SimpleNamespace(run_id="m1")

    def __getattr__(self, name: str) -> Any:
        def called(*args: Any, **kwargs: Any) -> Calls:
            self.calls.append((name, args, kwargs))
            return self

        return called

    def named(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(args, kwargs) for n, args, kwargs in self.calls if n == name]


@pytest.fixture
def library(monkeypatch) -> Calls:
    """wandb and mlflow, noted instead of done."""
    calls = Calls()
    for name in ("wandb", "mlflow"):
        module = ModuleType(name)
        module.__getattr__ = lambda n: getattr(calls, n)  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def a_run(path: Path, total: int = 0) -> Any:
    meter = Meter({"generated/train": 64, "attempts": 32})
    position = SimpleNamespace(total=total)
    store = SimpleNamespace(path=path)
    return SimpleNamespace(store=store, plan=letters(), position=position, meter=meter, seconds=2.5)


def tell(
    tracker: Any, path: Path, rounds: range = range(2), reason: str = "the plan is done"
) -> None:
    """What a run says, from its beginning to its end."""
    tracker.run_began(a_run(path, rounds.start))
    for index in rounds:
        rd = SimpleNamespace(index=index, seconds={"learn": 0.5})
        tracker.round_ended(rd, {"measure/pass@1": 0.25 * (index + 1), "measure/pass@1/low": 0.1})
    tracker.alarmed(ALARM)
    tracker.run_ended(reason)


def test_wandb_gets_every_round_with_its_number(library, tmp_path):
    tell(open_tracker("wandb"), tmp_path)
    ((_, begun),) = library.named("init")
    assert begun["name"] == tmp_path.name
    assert begun["id"] is None
    assert begun["config"]["recipe"] == "letters"
    first, second, alarm = library.named("log")
    assert first == (
        (
            {
                "measure/pass@1": 0.25, "measure/pass@1/low": 0.1, "seconds/learn": 0.5,
                "cost/generated/train": 64.0, "cost/attempts": 32.0, "cost/seconds": 2.5,
            },
        ),
        {"step": 1},
    )  # fmt: skip
    assert second[1] == {"step": 2}
    assert alarm == (({"alarm/wasted_groups": 4.5},), {"step": 2})
    assert library.summary == {"stopped": "the plan is done"}
    assert library.named("finish") == [((), {"exit_code": 0})]


def test_a_resumed_run_goes_on_in_the_same_record(library, tmp_path):
    for name in ("wandb", "mlflow"):
        tell(open_tracker(name), tmp_path, reason="")
        tell(open_tracker(name), tmp_path, range(2, 3))
    assert read_notes(tmp_path) == {"wandb": "w1", "mlflow": "m1"}
    assert [k["id"] for _, k in library.named("init")] == [None, "w1"]
    assert library.named("start_run") == [((), {"run_name": tmp_path.name}), ((), {"run_id": "m1"})]
    assert len(library.named("log_params")) == 1
    assert library.named("finish")[0] == ((), {"exit_code": 1})
    assert library.named("end_run") == [(("KILLED",), {}), (("FINISHED",), {})]


def test_mlflow_gets_names_it_can_store_and_no_infinities(library, tmp_path):
    tracker = open_tracker("mlflow")
    tracker.run_began(a_run(tmp_path))
    tracker.round_ended(
        SimpleNamespace(index=0, seconds={}), {"measure/pass@1": 0.5, "learn/policy/loss": math.nan}
    )
    ((args, kwargs),) = library.named("log_metrics")
    assert kwargs == {"step": 1}
    assert args[0]["measure/pass_at_1"] == 0.5
    assert "learn/policy.loss" not in args[0]


def test_a_name_is_never_another_names_folder():
    keys = ["learn/policy/loss", "learn/policy/loss/first", "measure/pass@1", "measure/pass@1/low"]
    made = [allowed(k) for k in keys]
    assert made == [
        "learn/policy.loss", "learn/policy.loss.first", "measure/pass_at_1", "measure/pass_at_1.low"
    ]  # fmt: skip
    assert not any(a.startswith(f"{b}/") for a in made for b in made)
    assert allowed("what?is=this") == "what_is_this"


def test_a_tracker_that_fails_is_left_behind_with_one_line(library, tmp_path):
    said: list[str] = []
    tracker = open_tracker("wandb", said.append)
    tracker.run_began(a_run(tmp_path))

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no\nnetwork")

    tracker.record = SimpleNamespace(log=fail, finish=fail)
    for index in range(3):
        tracker.round_ended(SimpleNamespace(index=index, seconds={}), {"k": 1.0})
    tracker.run_ended("the plan is done")
    assert said == ["wandb failed and is left alone from here on: ConnectionError: no network"]


def test_one_that_cannot_be_opened_says_how_the_run_goes_on(library, tmp_path, monkeypatch):
    def fail(**_: Any) -> None:
        raise OSError("no key")

    tracker = open_tracker("wandb")
    monkeypatch.setattr(tracker, "library", SimpleNamespace(init=fail))
    with pytest.raises(RunError, match=r"wandb cannot be opened.*no key.*askesis resume"):
        tracker.run_began(a_run(tmp_path))


def test_a_missing_library_names_the_extra(monkeypatch):
    for name, kind in TRACKERS.items():
        monkeypatch.setitem(sys.modules, kind.needs, None)
        with pytest.raises(ConfigError, match=f"pip install 'askesis\\[{kind.extra}\\]'"):
            open_tracker(name)


def test_a_wrong_name_gets_the_nearest_one(library):
    with pytest.raises(ConfigError, match="Did you mean 'mlflow'"):
        open_tracker("mlfow")
    assert open_trackers("") == []
    assert [t.name for t in open_trackers("wandb, mlflow,wandb")] == ["wandb", "mlflow"]


def test_a_configuration_becomes_dotted_paths():
    found = flat({"a": {"b": [1, {"c": "x"}]}, "d": None})
    assert found == {"a.b.0": 1, "a.b.1.c": "x", "d": None}


def test_a_wrong_tracker_is_told_before_anything_is_made(tmp_path, capsys):
    from askesis.cli.main import main
    from tests.lab.letters_run import RECIPE

    for words in (["run", RECIPE, "--out", str(tmp_path / "r")], ["resume", str(tmp_path / "r")]):
        assert main([*words, "--track", "tensorbord"]) == 2
        assert "Did you mean 'tensorboard'?" in "".join(capsys.readouterr())
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_tensorboards_own_reader_sees_a_real_run(tmp_path):
    """A whole run through the command, then rounds of it made again: no point is there twice."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from askesis.cli.main import main
    from tests.lab.letters_run import RECIPE

    path = tmp_path / "r"
    run = ["run", RECIPE, "--out", str(path), "--segment-s", "0", "--track", "tensorboard"]
    assert main(run) == 0
    tell(open_tracker("tensorboard"), path, range(2, 4))  # as if resumed after two rounds
    read = EventAccumulator(str(path / "tensorboard")).Reload()
    scores = read.Scalars("measure/pass@1")
    assert [e.step for e in scores] == [1, 2, 3, 4]
    assert [e.value for e in scores[2:]] == [0.75, 1.0]
    assert {"seconds/learn", "cost/generated/train", "alarm/wasted_groups"} <= set(
        read.Tags()["scalars"]
    )
    assert "letters" in str(read.Tensors("configuration/text_summary")[0].tensor_proto)
