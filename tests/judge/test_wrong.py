"""A judge that is wrong so often, always in the same places, wherever it asks the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.judge.process_reward import ProcessReward
from askesis.judge.returns import Return
from askesis.judge.turns import TurnVerifier
from askesis.judge.verifier import Verifier
from askesis.judge.wrong import Wrong, with_wrong_judges
from askesis.lab.begin import plan_for
from askesis.records import Attempt, Group, Start, StopReason, TaskRole, Turn
from askesis.worlds.open import open_world
from tests.explore.host import Host, attempt, says

WORLD = open_world("addition?difficulty=0.1")
TASKS = WORLD.draw(TaskRole.TRAIN, np.random.default_rng(0), 200)
ALWAYS = {"false_pass": 1.0, "false_fail": 1.0}


def host() -> Host:
    return Host(says({}), world=WORLD)


def judged(judge, group: Group) -> Verdicts:
    return Verdicts(host().judge(judge, group))


def right_and_wrong(task) -> Group:
    return Group(task.id, (attempt(task, f"={task.answer}", 0), attempt(task, "=7", 1)))


def test_it_errs_at_the_rates_it_was_given():
    passed = failed = 0
    for task in TASKS:
        group = right_and_wrong(task)
        found = judged(Wrong(false_pass=0.2, false_fail=0.1), group)
        values = [found.value(a) for a in group.attempts]
        failed, passed = failed + (values[0] == 0), passed + (values[1] == 1)
    assert failed / 200 == pytest.approx(0.1, abs=3 * (0.09 / 200) ** 0.5)
    assert passed / 200 == pytest.approx(0.2, abs=3 * (0.16 / 200) ** 0.5)


def test_without_rates_it_is_the_other_judge_under_a_name_of_its_own():
    group = right_and_wrong(TASKS[0])
    plain = host().judge(Verifier(), group)
    same = host().judge(Wrong(false_pass=0.0), group)
    assert [v.judge for v in same] == [f"wrong-{v.judge}" for v in plain]
    assert [replace(v, judge="") for v in same] == [replace(v, judge="") for v in plain]


def test_errors_are_of_each_answer_by_itself_and_always_the_same():
    texts = ["=7"] * 4 + [""]
    passed, agree = [], 0
    for task in TASKS[:60]:
        group = Group(task.id, tuple(attempt(task, t, i) for i, t in enumerate(texts)))
        found = judged(Wrong(false_pass=0.5), group)
        values = [found.value(a) for a in group.attempts]
        again = judged(Wrong(false_pass=0.5), group)
        assert values == [again.value(a) for a in group.attempts]
        assert values[4] == 0  # nothing is never right
        passed += values[:4]
        agree += len(set(values[:4])) == 1
    assert sum(passed) / 240 == pytest.approx(0.5, abs=0.1)
    assert agree / 60 < 0.35  # one in eight where they are independent


def test_who_said_nothing_or_failed_is_never_passed():
    failed = Attempt("f", Start(TASKS[0]), (), StopReason.FAILED, error="it broke")
    assert judged(Wrong(**ALWAYS), Group("g", (failed,))).value(failed) == 0


def test_a_reward_of_steps_follows_the_error_and_keeps_the_name_it_is_asked_by():
    group = right_and_wrong(TASKS[0])
    exact = ProcessReward(flips=0.0, spread=0.0)
    found = judged(Wrong(inner=exact, **ALWAYS), group)
    assert [found.value(a, judge="process-reward") for a in group.attempts] == [1.0, 0.0]
    assert [found.value(a) for a in group.attempts] == [0.0, 1.0]  # who asks for the last judge
    plain = judged(exact, group)
    assert [plain.value(a, judge="process-reward") for a in group.attempts] == [2.0, -1.0]


def test_every_answer_of_an_attempt_can_be_misjudged():
    task = TASKS[0]
    turns = tuple(
        Turn(role, text, tokens=np.zeros(1, np.int32))
        for role, text in (("policy", "=7"), ("world", "again"), ("policy", f"={task.answer}"))
    )
    one = Attempt("a", Start(task), turns, StopReason.ENDED)
    (verdict,) = host().judge(Wrong(inner=TurnVerifier(), **ALWAYS), Group("g", (one,)))
    assert verdict.vector == (1.0, 0.0) and verdict.value == 0.0
    assert verdict.judge == f"wrong-turn-verifier:{WORLD.id}"


def test_where_nothing_asks_the_world_the_values_themselves_are_turned():
    paid = [replace(attempt(TASKS[0], "RR", i), rewards={"policy": float(i)}) for i in (0, 1)]
    unknown = attempt(TASKS[0], "RD", 2)
    found = judged(Wrong(inner=Return(), **ALWAYS), Group("g", (*paid, unknown)))
    assert [found.value(a) for a in (*paid, unknown)] == [1.0, 0.0, None]
    assert {v.judge for v in found} == {"wrong-return"}


@pytest.mark.parametrize("recipe", ["score", "rise", "b_star", "re_rest", "four_habits", "agent_r",
                                    "sharpening", "grpo"])  # fmt: skip
def test_any_judged_recipe_can_be_run_with_a_wrong_judge_by_an_option(recipe):
    plan = plan_for(recipe, [("false-pass", "0.1"), ("false-fail", "0.05")])
    plain = plan_for(recipe)
    for phase, before in zip(plan.phases, plain.phases, strict=True):
        judge = phase.parts["judge"]
        assert (judge.false_pass, judge.false_fail) == (0.1, 0.05)
        assert judge.inner == before.parts["judge"]


def test_options_of_the_judge_inside_are_still_its_own():
    plan = plan_for("b_star", [("false-pass", "0.1"), ("judge.coef", "0.5")])
    assert plan.phases[0].parts["judge"].inner.coef == 0.5
    assert plan_for("b_star", [("judge.coef", "0.5")]).phases[0].parts["judge"].coef == 0.5


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="no judge"):
        with_wrong_judges(plan_for("spin"))
    for wrong in ({"false_pass": 1.5}, {"false_fail": -0.1}, {"right": 0.0}, {"inner": 3}):
        with pytest.raises(ConfigError, match=rf"Wrong\.{next(iter(wrong))}"):
            Wrong(**wrong)
    with pytest.raises(ConfigError, match="false_pass"):
        plan_for("grpo", [("false-pass", "often")])
