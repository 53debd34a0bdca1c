"""A run that reverts: what goes back, what stays, what can be opened later, and kills."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.lab.snapshots import resolve
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from askesis.retain.keep_or_revert import KeepOrRevert
from askesis.retain.moving_average import MovingAverage
from askesis.run import Run, Watcher
from askesis.select.threshold import Threshold
from askesis.store.run_store import RunStore
from tests.probes.house import Draw, LetterWorld

SKILLS = (2.0, 5.0, 0.0, 4.9, 0.0)  # per round: better, better, worse, undecided, worse


class Killed(BaseException):
    """Stands for SIGKILL."""


@dataclass(frozen=True)
class Becomes:
    """Learning whose result is given: round by round another skill, and noise elsewhere."""

    def learn(self, ctx: Any, model: Any, samples: Any, hooks: Any) -> dict[str, float]:
        table = torch.as_tensor(ctx.generator("learn").normal(size=(6, 6)) * 0.01).float()
        table[0, 2] = table[1, 3] = SKILLS[ctx.round]
        table[2, 4] = table[3, 4] = 8.0  # then the end
        model.load({"logits": table})
        step = {"state": {}, "param_groups": [{"round": ctx.round}]}
        model.load_optimizer(step)
        for hook, hook_ctx in hooks:
            if hasattr(hook, "on_step_end"):
                hook.on_step_end(hook_ctx, model)
        return {"num_updates": 1}


def plan() -> Plan:
    parts = Parts(
        tasks=Draw(num=2), explore=SampleAttempts(num_attempts=2, max_tokens=1), judge=Verifier(),
        select={"policy": Threshold()}, learn={"policy": Becomes()},
    )  # fmt: skip
    retain = (MovingAverage(decay=0.5), KeepOrRevert(every=1, num_tasks=32, num_attempts=2))
    return Plan(
        recipe="revert", phases=(Phase(parts=parts, retain=retain, until=Until(rounds=5)),), seed=1
    )


class KillAfter(Watcher):
    def __init__(self, round: int) -> None:
        self.round = round

    def round_ended(self, rd: Any, metrics: Any) -> None:
        if rd.index == self.round:
            raise Killed


def go(path: Path, segment_s: float = 0.0, *watchers: Watcher) -> None:
    things = {"main": LetterWorld()}, {"policy": TabularModel("policy", "abxy")}
    options = {"segment_s": segment_s, "watchers": watchers}
    if (path / "ledger.sqlite").exists():
        run = Run.resume(path, *things, **options)
    else:
        run = Run.create(plan(), path, *things, **options)
    try:
        run.improve()
    finally:
        run.close()


def state(path: Path) -> dict[str, Any]:
    with RunStore.open(path) as store:
        point = store.resume_point()
        files = sorted(p for p in point.models.rglob("*") if p.is_file())
        return {
            "events": [(e["round"], e["kind"], e["data"]) for e in store.events()],
            "metrics": store.metrics(),
            "costs": [r["costs"] for r in store.rounds()],
            "snapshots": [r["snapshots"] for r in store.rounds()],
            "attempts": store.content_digest("attempts"),
            "tags": store.tags(),
            "models": {str(p.relative_to(point.models)): p.read_bytes() for p in files},
        }


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    go(path)
    return path


def test_the_run_goes_on_from_its_best_and_says_so(whole):
    found = state(whole)
    told = [data for _, kind, data in found["events"] if kind == "keep_or_revert"]
    assert [t["decision"] for t in told] == ["better", "better", "worse", "undecided", "worse"]
    # a learning after a revert gets a number of its own
    assert found["snapshots"] == [
        ["policy@1"], ["policy@2"], ["policy@2"], ["policy@4"], ["policy@2"],
    ]  # fmt: skip
    assert found["tags"]["policy:best"] == "policy@2"
    assert all(c["generated/probe"] > 0 for c in found["costs"])  # what was spent stays spent
    assert all(c["attempts"] == 4 for c in found["costs"])
    assert b'"round"' in found["models"]["policy/optimizer.json"]


def test_the_optimiser_and_the_average_are_those_of_the_best(whole):
    with RunStore.open(whole) as store:
        models = store.resume_point().models
    loaded = TabularModel("policy", "abxy")
    loaded.load_state(models / "policy")
    assert loaded.optimizer_state["param_groups"] == [{"round": 1}]
    assert loaded.module.logits[0, 2].item() == 5.0


SLOW = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize("killed", [pytest.param(n, marks=SLOW) for n in (0, 1, 3, 4)] + [2])
def test_a_kill_before_any_segment_closes_changes_nothing(whole, tmp_path, killed):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        go(path, 0.0, KillAfter(killed))
    go(path)
    assert state(path) == state(whole)


def test_best_and_last_are_what_they_say_although_a_worse_one_is_younger(tmp_path):
    path = tmp_path / "run"
    go(path, 1e9)  # one segment at the end: the best was never the last weights of one
    with RunStore.open(path) as store:
        assert resolve(store, "best")["id"] == resolve(store, "last")["id"] == "policy@2"
        row = resolve(store, "best")
        weights = load_file(row["path"] / "model.safetensors")["logits"]
    assert weights[0, 2] == 5.0


def test_last_is_the_end_of_the_run_also_where_rejected_weights_were_kept(whole):
    with RunStore.open(whole) as store:
        ids = [s["id"] for s in store.snapshots() if s["path"] is not None]
        assert "policy@4" in ids  # kept while undecided, younger than the best
        assert resolve(store, "last")["id"] == "policy@2"
