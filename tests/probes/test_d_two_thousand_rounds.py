"""Probe (d): two thousand rounds in a minute, with twenty resumes on the way."""

from __future__ import annotations

import time

import pytest

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from askesis.run import Run
from tests.probes.house import Draw, LetterWorld, Weighted, probability


class Interrupted(BaseException):
    """Stands for a kill: nothing may catch it."""


def plan() -> Plan:
    learn = Learn(learning_rate=0.002, schedule="constant")
    parts = Parts(tasks=Draw(num=2), explore=SampleAttempts(num_attempts=2, max_tokens=1),
                  judge=Verifier(), select={"policy": Weighted(baseline=0.5)},
                  learn={"policy": learn})  # fmt: skip
    return Plan(recipe="probe_d", phases=(Phase(parts=parts, until=Until(rounds=2000)),))


def parts_of_a_run() -> tuple[dict, dict]:
    return {"main": LetterWorld()}, {"policy": TabularModel("policy", "abxy")}


def kill_at(run: Run, total: int) -> None:
    commit = run.commit

    def counting(rd) -> None:
        commit(rd)
        if run.position.total % 50 == 0:
            run._close_segment()
        if run.position.total >= total:
            raise Interrupted

    run.commit = counting


@pytest.mark.slow
def test_two_thousand_rounds_with_twenty_resumes_take_less_than_a_minute(tmp_path):
    began = time.monotonic()
    run = Run.create(plan(), tmp_path / "run", *parts_of_a_run(), segment_s=3600)
    for stop in range(99, 1999, 95):  # twenty kills, none on a segment's border
        kill_at(run, stop)
        try:
            run.improve()
            raise AssertionError("the run was not interrupted")
        except Interrupted:
            run.close()
        run = Run.resume(tmp_path / "run", *parts_of_a_run(), segment_s=3600)
        assert stop - 50 <= run.position.total <= stop
    assert run.improve() == "the plan is done"
    seconds = time.monotonic() - began
    rounds = run.store.rounds()
    run.close()
    assert [r["round"] for r in rounds] == list(range(2000))
    assert probability(run.models["policy"], "a", "x") > 0.9
    assert seconds < 60, f"took {seconds:.0f} s"
