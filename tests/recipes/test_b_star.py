"""B-STaR on tables: what it tries, that it takes the best of it, and what a fixed setting costs."""

from __future__ import annotations

import pytest

from askesis.context import Verdicts
from askesis.errors import WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.records import Group, Purpose, StopReason
from askesis.requests import Checked
from askesis.select.steering import Controller
from tests.probes.house import LetterWorld, probability
from tests.recipes.letters import metrics_of, on_letters


class Steps(LetterWorld):
    """Letters, each of which is a step."""

    truth = frozenset({"answer", "steps"})

    def verify(self, task, answer):
        right = [float(c == self.answers[task.prompt]) for c in answer]
        spans = tuple((i, i + 1) for i in range(len(answer)))
        return Checked(super().verify(task, answer).score, steps=tuple(right), spans=spans)


OPTIONS = [
    ("explore.max-tokens", "1"), ("explore.num-attempts", "4"), ("controller.num-tasks", "6"),
    ("select.policy.keep.cut-off", "true"), ("measure-every", "1"), ("rounds", "2"),
    ("measure.ability.num-tasks", "2"), ("temperatures", "0.5,1.0,2.0"),
    ("thresholds", "-1,0,1"), ("num-samples", "8"),
]  # fmt: skip


def test_it_takes_the_setting_that_was_best_of_what_it_tried(tmp_path):
    run = on_letters("b_star", tmp_path / "run", *OPTIONS, world=Steps())
    controller: Controller = run.plan.phases[0].parts.controller
    for index in (0, 1):
        tried: dict[str, list] = {}
        attempts = list(run.store.read("attempts", {"round": index}))
        for attempt in attempts:
            if attempt.purpose == Purpose.PROBE:
                tried.setdefault(attempt.start.key, []).append(attempt)
        assert len(tried) == 6 and {len(g) for g in tried.values()} == {3 * 4}
        made = [a for a in attempts if a.purpose == Purpose.TRAIN]
        assert len(made) == 16 * 4
        verdicts = Verdicts(run.store.read("verdicts", {"round": index}))
        groups = [Group(k, tuple(g)) for k, g in tried.items()]
        best = controller.choose(groups, verdicts, num_samples=8, num_tasks=16)
        metrics = metrics_of(run, index)
        assert {t.temperature for a in made for t in a.turns} == {best.temperature}
        assert metrics["explore/temperature"] == best.temperature
        assert metrics["select/threshold"] == best.threshold
        assert metrics["select/steering_score"] == pytest.approx(best.score)
        # what was only tried is in no figure about the round
        right = [verdicts.value(a) for a in made]
        assert metrics["measure/train_accuracy"] == pytest.approx(sum(right) / len(right))
    run.store.close()


@pytest.mark.slow
def test_it_learns_what_is_right_and_goes_on_from_its_last_weights(tmp_path):
    rate = ("learn.policy.learning-rate", "0.5")
    run = on_letters("b_star", tmp_path / "run", *OPTIONS, ("rounds", "4"), rate, world=Steps())
    assert probability(run.models["policy"], "a", "x") > 0.5
    assert probability(run.models["policy"], "b", "y") > 0.5
    parents = [s["parents"] for s in run.store.snapshots() if s["round"] > 0]
    assert parents == [[f"policy@{i}"] for i in range(4)]
    run.store.close()


def test_a_fixed_setting_tries_nothing(tmp_path):
    fixed = [("temperatures", "0.5"), ("thresholds", "1.0")]
    run = on_letters("b_star", tmp_path / "run", *OPTIONS, *fixed, world=Steps())
    attempts = [a for a in run.store.read("attempts") if a.stop != StopReason.FAILED]
    assert {a.purpose for a in attempts} == {Purpose.TRAIN}
    assert {t.temperature for a in attempts for t in a.turns} == {0.5}
    assert "select/steering_score" not in metrics_of(run, 0)
    run.store.close()


def test_a_world_without_step_truth_is_refused_before_round_0():
    with pytest.raises(WorldError, match="needs step truth"):
        open_worlds(plan_for("b_star", [("world", "preferences")]))
