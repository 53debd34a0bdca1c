"""The measures in a real run: killed and resumed, stored and read again, without truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from askesis.config import from_tree, override, to_tree
from askesis.errors import TruthError
from askesis.judge.self_consistency import SelfConsistency
from askesis.measure.ability import Ability
from askesis.measure.audit import Audit
from askesis.measure.exploration import Exploration
from askesis.measure.habits import Habits
from askesis.measure.sharpness import Sharpness
from askesis.models.tabular import TabularModel
from askesis.plan import Plan, Until
from askesis.run import Run, Watcher
from askesis.store import codec
from askesis.store.run_store import RunStore
from askesis.worlds.views import Blind, RunView
from tests.runs.test_kill_and_resume import Killed, plan

MEASURES = (
    Ability(num_tasks=4, num_attempts=3, num_bins=2, judge=SelfConsistency(min_share=0.0)),
    Exploration(),
    Audit(num_attempts=6),
    Habits(),
)


def measured_plan(rounds: int) -> Plan:
    kill = plan(rounds)
    phase = replace(kill.phases[0], measure=MEASURES, measure_every=1, until=Until(rounds=rounds))
    return replace(kill, phases=(phase,))


def things() -> tuple[dict, dict]:
    from tests.probes.house import LetterWorld

    return {"main": RunView(LetterWorld())}, {"policy": TabularModel("policy", "abxy")}


class KillIn(Watcher):
    def __init__(self, round: int) -> None:
        self.round = round

    def round_ended(self, rd, metrics) -> None:
        if rd.index == self.round:
            raise Killed


def said(path: Path) -> tuple:
    with RunStore.open(path) as store:
        metrics = [(m["round"], m["key"], m["value"]) for m in store.metrics()]
        states = codec.dumps(store.resume_point().states)
    return [m for m in metrics if not m[1].endswith("_s")], states


@pytest.mark.slow
def test_measures_with_memory_survive_a_kill_to_the_bit(tmp_path):
    whole = Run.create(measured_plan(4), tmp_path / "whole", *things(), segment_s=0)
    whole.improve()
    whole.close()
    killed = Run.create(
        measured_plan(4), tmp_path / "killed", *things(), segment_s=0, watchers=[KillIn(1)]
    )
    with pytest.raises(Killed):
        killed.improve()
    killed.close()
    again = Run.resume(tmp_path / "killed", *things(), segment_s=0)
    again.improve()
    again.close()
    metrics, states = said(tmp_path / "whole")
    assert said(tmp_path / "killed") == (metrics, states)
    keys = {key for _, key, _ in metrics}
    assert {"measure/tasks_tried", "measure/audit/accuracy", "measure/best_of@3"} <= keys
    tried = [value for _, key, value in metrics if key == "measure/tasks_tried"]
    assert tried == sorted(tried) and tried[-1] > tried[0]  # it remembers earlier rounds


def test_true_verdicts_of_an_audit_go_to_their_own_table_and_no_other(tmp_path):
    run = Run.create(measured_plan(2), tmp_path / "run", *things(), segment_s=0)
    run.improve()
    run.close()
    with RunStore.open(tmp_path / "run") as store:
        truths, verdicts = list(store.read("audits")), list(store.read("verdicts"))
    assert truths and {v.judge for v in truths} == {"truth:letters-v1"}
    assert not [v for v in verdicts if v.judge.startswith("truth")]
    assert {v.value for v in truths} <= {0.0, 1.0}


def test_measures_are_stored_with_the_plan_and_set_by_path():
    made = measured_plan(2)
    assert from_tree(to_tree(made)) == made
    changed = override(made, "measure.ability.num-bins", "5")
    assert changed.phases[0].measure[0].num_bins == 5
    changed = override(changed, "measure.exploration.by", "answer")
    assert changed.phases[0].measure[1].by == "answer"


def test_an_audit_in_a_run_without_truth_ends_it_with_one_line(tmp_path):
    (world,), models = things()[0].values(), things()[1]
    kill = replace(measured_plan(1), truth="none")
    parts = kill.phases[0].parts
    parts = type(parts)(**{**dict(parts), "judge": SelfConsistency(min_share=0.0)})
    phase = replace(kill.phases[0], parts=parts, measure=(Audit(),))
    run = Run.create(
        replace(kill, phases=(phase,)), tmp_path / "run", {"main": Blind(world._world)}, models
    )
    with pytest.raises(TruthError, match=r"askesis\.lab\.audit"):
        run.improve()
    run.close()


@pytest.mark.slow
def test_a_world_without_listed_answers_leaves_no_option_of_sharpness_unread(tmp_path):
    kill = plan(1)
    phase = replace(kill.phases[0], measure=(Sharpness(),), until=Until(rounds=1))
    run = Run.create(replace(kill, phases=(phase,)), tmp_path / "run", *things())
    run.improve()
    run.close()
    assert not [key for _, key, _ in said(tmp_path / "run")[0] if "sharpness" in key]
