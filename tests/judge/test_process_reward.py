"""Outcome plus weakest step, by a judge that errs about steps in its own constant way."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.judge.process_reward import ProcessReward
from askesis.records import Attempt, Group, Start, StopReason, TaskRole
from askesis.worlds.open import open_world
from tests.explore.host import Host, attempt, says

WORLD = open_world("addition?difficulty=0.1")  # two digits
TASK = WORLD.named(WORLD.task("48+75", "123", data={"numbers": [48, 75]}))
RIGHT, SLIP = "8+5+0=13\n4+7+1=12\n=123", "8+5+0=13\n4+7+0=11\n=123"


def judged(*texts: str, **options) -> tuple[Group, Verdicts]:
    group = Group("g", tuple(attempt(TASK, t, i) for i, t in enumerate(texts)))
    host = Host(says({}), world=WORLD)
    return group, Verdicts(host.judge(ProcessReward(**options), group))


def rewards(*texts: str, **options) -> list[float | None]:
    group, verdicts = judged(*texts, **options)
    return [verdicts.value(a, judge="process-reward") for a in group.attempts]


def test_a_judge_that_never_errs_adds_the_weakest_step_to_the_outcome():
    exact = {"flips": 0.0, "spread": 0.0}
    assert rewards(RIGHT, SLIP, "=123", "=9", "nonsense", **exact) == [2.0, 0.0, 2.0, -1.0, -1.0]
    assert rewards(RIGHT, SLIP, coef=0.5, **exact) == [1.5, 0.5]
    assert rewards(RIGHT, "=9", coef=0.0, **exact) == [1.0, 0.0]


def test_the_outcome_stands_last_so_that_measures_see_the_truth():
    group, verdicts = judged(RIGHT, SLIP, "=9", flips=0.5)
    assert [verdicts.value(a) for a in group.attempts] == [1.0, 1.0, 0.0]


def test_it_errs_about_the_same_step_the_same_way_and_about_as_often_as_it_says():
    assert rewards(RIGHT, RIGHT, SLIP) == rewards(RIGHT, RIGHT, SLIP)
    assert rewards(RIGHT)[0] == rewards("x", RIGHT)[1]
    rng, wrong, num = np.random.default_rng(0), 0, 0
    host = Host(says({}), world=WORLD)
    for task in WORLD.draw(TaskRole.TRAIN, rng, 150):
        one = attempt(task, WORLD.demonstrate(task, rng))
        first, _ = host.judge(ProcessReward(flips=0.2), Group("g", (one,)))
        wrong, num = wrong + sum(s < 0.5 for s in first.draws), num + len(first.draws)
    assert wrong / num == pytest.approx(0.2, abs=4 * (0.16 / num) ** 0.5)


def test_failed_and_silent_attempts_have_no_steps():
    failed = Attempt("f", Start(TASK), (), StopReason.FAILED, error="it broke")
    group = Group("g", (failed, attempt(TASK, "", 1), attempt(TASK, RIGHT, 2)))
    found = Host(says({}), world=WORLD).judge(ProcessReward(flips=0, spread=0), group)
    assert [v.value for v in found] == [-1.0, -1.0, 2.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("wrong", [{"coef": -1.0}, {"flips": 0.6}, {"spread": 0.5}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="ProcessReward"):
        ProcessReward(**wrong)
