"""A finished run's judge against the truth, also where the run itself had none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from askesis.errors import ConfigError, RunError
from askesis.judge.self_consistency import SelfConsistency
from askesis.lab.audit import audit
from askesis.lab.begin import begin
from askesis.lab.evaluate import draw_distinct
from askesis.loop import improve
from askesis.measure.groups import Votes
from askesis.plan import Parts, Plan
from askesis.records import TaskRole
from askesis.store.run_store import RunStore
from tests.lab.letters import letters


def by_vote() -> Plan:
    """Letters without truth: the judge is the majority."""
    plan = letters()
    parts = Parts(**{**dict(plan.phases[0].parts), "judge": SelfConsistency(min_share=0.0)})
    phase = replace(plan.phases[0], parts=parts, measure=(Votes(),))
    return replace(plan, recipe="by_vote", phases=(phase,), truth="none")


@pytest.fixture(scope="module")
def blind_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("blind") / "run"
    run = begin(by_vote(), path, say=lambda _: None, segment_s=0)
    improve(run.plan, run)
    run.close()
    return path


def test_a_judge_without_truth_is_audited_afterwards(blind_run):
    found = audit(blind_run)
    assert [r.round for r in found.rounds] == [0, 1, 2]
    overall = found.overall
    assert overall["num_attempts"] <= 3 * 8 * 4
    # four answers at first, one of them right: the majority is mostly wrong, and passes its own
    assert overall["false_pass"] > 0.2
    assert 0 < overall["truth"] < 0.6
    assert overall["false_pass/low"] <= overall["false_pass"] <= overall["false_pass/high"]
    with RunStore.open(blind_run) as store:
        tasks = {t.answer for t in store.read("tasks")}
        values = {v.value for v in store.read("verdicts")}
    assert tasks == {None}  # the run never had an answer
    assert values <= {0.0, 1.0, None}
    assert audit(blind_run) == found  # the same attempts again


def test_auditing_writes_nothing(blind_run):
    before = {p: p.stat().st_size for p in blind_run.rglob("*.parquet")}
    audit(blind_run, num_attempts=8, num_rounds=1)
    with RunStore.open(blind_run) as store:
        assert store.looks() == []
        assert store.verify() == []
    assert {p: p.stat().st_size for p in blind_run.rglob("*.parquet")} == before


def test_a_verifier_agrees_with_itself(finished):
    found = audit(finished, num_rounds=2)
    assert [r.round for r in found.rounds] == [0, 2]
    assert found.overall["accuracy"] == 1.0
    assert found.overall["inflation"] == 0.0
    with pytest.raises(RunError, match="no verdicts of judge"):
        audit(finished, judge="somebody")
    with pytest.raises(ConfigError):
        audit(finished, num_rounds=0)
    with pytest.raises(RunError):
        audit(finished.parent / "nowhere")


def test_a_world_that_cannot_verify_what_was_kept_is_no_judge(blind_run, monkeypatch):
    from tests.lab import letters as module

    def blindly(self, task, answer):
        from askesis.requests import Checked

        return Checked(0.0, "the task has no reference answer")

    from askesis.config import find

    there = find(letters().worlds["main"])
    monkeypatch.setattr(there, "verify", blindly)
    monkeypatch.setattr(module.Letters, "verify", blindly)
    with pytest.raises(RunError, match="without what it needs to verify"):
        audit(blind_run)


def test_questions_of_a_file_get_their_answers_back(tmp_path):
    import json

    from askesis.lab.audit import _Truth
    from askesis.worlds.open import open_world

    rows = [{"question": f"What is {n} plus {n}?", "answer": str(2 * n)} for n in range(300)]
    file = tmp_path / "sums.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    world = open_world(f"jsonl:{file}")
    kept = [t.without_truth() for t in draw_distinct(world, TaskRole.TRAIN, 20)]
    book = _Truth(world)
    for task in kept:
        n = int(task.prompt.split()[2])
        restored = book.task(task)
        assert restored.answer == str(2 * n)
        assert world.verify(restored, f"It is {2 * n}").score == 1.0


@pytest.mark.slow
def test_the_command_shows_the_audit_as_a_table_and_for_programs(blind_run, capsys):
    from askesis.cli.main import main

    assert main(["audit", str(blind_run)]) == 0
    told = capsys.readouterr().out
    assert "wrong answers that passed" in told and "against the truth" in told
    assert main(["audit", str(blind_run), "--json"]) == 0
    assert '"false_pass"' in capsys.readouterr().out
