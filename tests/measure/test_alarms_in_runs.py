"""Alarms in real runs of the bigram model: provoked, clean, killed and resumed.

Answers are letters for the last letter of the prompt, as in tests/lab/letters.py; here an answer
may go on, so that there is a length to game, and a second world wants other letters, so that
there is something to forget. The start is right about half of the time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from askesis.config import override
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.judge.wrong import Wrong
from askesis.lab.overview import overview
from askesis.lab.report_data import report_data
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.alarms.alarm import Alarm
from askesis.measure.alarms.monitor import Monitor, open_alarms, rows_of
from askesis.measure.audit import Audit
from askesis.measure.groups import Groups
from askesis.measure.worlds import Worlds
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from askesis.records import Task
from askesis.requests import Checked
from askesis.run import Run, Watcher
from askesis.select.threshold import Threshold
from askesis.store.run_store import RunStore
from askesis.tasks.uniform import Uniform
from askesis.worlds.views import RunView
from benchmarks.provoked import LikesEverything, PaysForLength
from tests.lab.letters import ANSWERS, ASKED, Letters


class Long(Letters):
    """The answer is the one letter and nothing behind it; up to eight may be said."""

    id, max_answer_tokens = "long-v1", 8


class Shifted(Long):
    """Every letter's answer is the next one's of the other world."""

    id = "shifted-v1"

    def verify(self, task: Task, answer: str) -> Checked:
        right = ANSWERS[(ASKED.index(task.prompt[-1]) + 1) % 4]
        return Checked(float(answer == right), f"wanted {right}", answer[:1])


def start(certainty: float = 1.5) -> TabularModel:
    """How much likelier the right letter is than another, in nats."""
    logits = torch.full((10, 10), -8.0)
    logits[:4, 4:8] = certainty * torch.eye(4)
    logits[4:, 4:8] = 0.0
    logits[4:, 8] = 4.0
    return TabularModel("policy", ASKED + ANSWERS, logits)


def plan(
    judge: Any = None, rounds: int = 14, rate: float = 0.15, temperature: float = 1.0,
    least: float = 1.0, worlds: tuple[str, ...] = (),
) -> Plan:  # fmt: skip
    """Imitation of what passed, measured in every round."""
    ability = (
        Worlds(num_tasks=96, num_attempts=4) if worlds else Ability(num_tasks=48, num_attempts=4)
    )
    phases = []
    for name in worlds or ("main",):
        parts = Parts(
            tasks=Uniform(num=24, world=name),
            explore=SampleAttempts(num_attempts=6, temperature=temperature),
            judge=judge or Verifier(),
            select={"policy": Threshold(distinct="none", threshold=least)},
            learn={"policy": Learn(learning_rate=rate, batch_tokens=1024)},
        )
        phases.append(
            Phase(name=name, parts=parts, measure=(Groups(), ability, Audit()),
                  until=Until(rounds=rounds), measure_every=1)
        )  # fmt: skip
    return Plan(recipe="provoked", phases=tuple(phases), worlds={n: n for n in worlds or ("main",)})


def errs(probability: float) -> Wrong:
    """A verifier that is turned round so often."""
    return Wrong(false_pass=probability, false_fail=probability)


class Hears(Watcher):
    def __init__(self) -> None:
        self.alarms: list[Alarm] = []

    def alarmed(self, alarm: Alarm) -> None:
        self.alarms.append(alarm)


def things(certainty: float = 1.5) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"main": RunView(Long()), "other": RunView(Shifted())}, {"policy": start(certainty)}


def run_of(path: Path, made: Plan, certainty: float = 1.5) -> dict[str, int]:
    """Run it; the first round after which each alarm was raised, and that everybody agrees."""
    worlds, models = things(certainty)
    hears = Hears()
    run = Run.create(
        made, path, {n: worlds[n] for n in made.worlds}, models, watchers=[hears], segment_s=0
    )
    run.improve()
    run.close()
    store = RunStore.open(path)
    again = Monitor(open_alarms(made.alarms)).replay(rows_of(store.metrics(), store.rounds()))
    store.close()
    assert list(overview(path).alarms) == hears.alarms == again
    found: dict[str, int] = {}
    for alarm in hears.alarms:
        found.setdefault(alarm.name, alarm.round)
    return found


@pytest.mark.slow
def test_a_judge_that_pays_for_length_sets_off_hacking_and_length_alarms(tmp_path):
    judge = PaysForLength(allowance=4)
    found = run_of(tmp_path / "run", plan(judge, least=0.75, rounds=10, rate=0.4))
    assert {"reward_hacking", "length_gaming", "judge_drift"} <= set(found)


@pytest.mark.slow
def test_a_judge_that_errs_every_fifth_time_is_found_by_the_audit(tmp_path):
    found = run_of(tmp_path / "run", plan(errs(0.2), rounds=8))
    assert found == {"judge_drift": 5}


@pytest.mark.slow
def test_a_collapsing_sampler_is_found(tmp_path):
    collapsing = plan(LikesEverything(), temperature=0.5, rate=0.3)
    found = run_of(tmp_path / "run", collapsing, certainty=0.0)
    assert "diversity_collapse" in found


@pytest.mark.slow
def test_a_run_that_forgets_one_world_while_it_learns_another_is_found(tmp_path):
    """The two contradict each other; what it could do of the other one is lost by round 4."""
    found = run_of(tmp_path / "run", plan(worlds=("main", "other"), rounds=5, rate=0.3))
    assert found.keys() == {"forgetting"} and found["forgetting"] >= 2


@pytest.mark.slow
def test_a_clean_run_raises_nothing(tmp_path):
    assert run_of(tmp_path / "run", plan()) == {}


@pytest.mark.slow
def test_alarms_are_events_of_the_run_that_a_kill_neither_loses_nor_doubles(tmp_path):
    path, made = tmp_path / "run", plan(errs(0.3), rounds=5)
    made = override(made, "tasks.num", 8)
    made = override(made, "alarms", "judge_drift?window=2")
    worlds, models = things()
    run = Run.create(made, path, {"main": worlds["main"]}, models, segment_s=1e9)

    class Kills(Watcher):
        def round_ended(self, rd: Any, metrics: Any) -> None:
            if rd.index == 3:
                raise KeyboardInterrupt

    run.watchers.append(Kills())
    with pytest.raises(KeyboardInterrupt):
        run.improve()
    run.close()
    assert [a.round for a in overview(path).alarms] == [1], "seen though not yet durable"
    worlds, models = things()
    again = Run.resume(path, {"main": worlds["main"]}, models)
    again.improve()
    again.close()
    (alarm,) = report_data(path).alarms
    assert (alarm.name, alarm.round) == ("judge_drift", 1)
    assert alarm.value > alarm.threshold and "allowed" in alarm.words


@pytest.mark.slow
def test_a_resumed_run_goes_on_from_the_history_it_had(tmp_path):
    path, made = tmp_path / "run", override(plan(errs(0.3), rounds=4), "tasks.num", 8)
    worlds, models = things()
    run = Run.create(made, path, {"main": worlds["main"]}, models, segment_s=0)
    run.improve()
    before = run.monitor
    run.close()
    worlds, models = things()
    again = Run.resume(path, {"main": worlds["main"]}, models)
    again.close()
    assert again.monitor.history.num_rounds == 4
    for key in ("measure/pass@1", "measure/audit/false_pass"):
        old, new = before.history.series(key), again.monitor.history.series(key)
        assert old.values.tolist() == new.values.tolist()
        assert old.errors.tolist() == new.errors.tolist()
    assert again.monitor._up == {"judge_drift": 4} == before._up
