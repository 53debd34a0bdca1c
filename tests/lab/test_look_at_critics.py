"""The look at critics: what they name, and pass, of answers whose wrong steps are known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from askesis.errors import ConfigError, WorldError
from askesis.lab.arm import Look
from askesis.lab.looks.critics import OF_CRITICS, UNREAD, critic_figures, critics
from askesis.lab.looks.kinds import _must_have, check_look, figure_names, looked_at
from askesis.lab.outside import Outside
from askesis.models.scripted import ScriptedModel
from askesis.plan import ModelSpec, Plan
from tests.search.solved import Digits

# of each answer (the step that the critic names, the first wrong one), -1 for none
READS = [[(1, 1), (0, 2)], [(-1, -1), (UNREAD, -1)], [(UNREAD, 0), (-1, -1)], [(2, -1), (0, 0)]]


def test_the_figures_by_hand():
    """Four flawed answers, of which two are named and three caught; four flawless, two passed."""
    found = critic_figures(READS)
    assert found["named"] == [1.0, 0.0, 0.0, 1.0] and np.mean(found["named"]) == 2 / 4
    assert found["passed"] == [0.0, 1.0, 1.0, 0.0] and np.mean(found["passed"]) == 2 / 4
    assert found["caught"] == [2.0, 0.0, 0.0, 1.0] and np.mean(found["caught"]) == 3 / 4
    assert found["balanced"] == [0.5] * 4 and found["first_error_f1"] == [0.5] * 4
    assert found["flawed"] == [1.0, 0.0, 0.5, 0.5]
    only = critic_figures([[(0, 0)], [(-1, 1)]])
    assert only["named"] == [1.0, 0.0] and only["balanced"] == [0.5, 0.0]
    assert only["passed"] == only["first_error_f1"] == [0.0, 0.0]


def task(name: str):
    return replace(Digits().make(), id=name)


def seen(critic, num=40, **options):
    """A solver whose answers are wrong at the second step half of the time."""
    models = {
        "policy": ScriptedModel("policy", lambda text, u: "1,2,3," if u < 0.5 else "1,9,3,"),
        "critic": ScriptedModel("critic", critic),
    }
    outside = Outside(models, Digits(), seed=3)
    try:
        return critics(outside, [task("a"), task("b")], Look(num_attempts=num), **options)
    finally:
        outside.close()


def finds(text: str, u: float) -> str:
    steps = re.findall(r"(\d)\) (\d+),", text)
    return next((k for k, step in steps if k != step), "ok")


@pytest.mark.parametrize(
    ("critic", "named", "passed"),
    [(finds, 1, 1), (lambda t, u: "ok", 0, 1), (lambda t, u: "2", 1, 0), (lambda t, u: "?", 0, 0)],
)
def test_a_critic_is_held_against_the_truth_about_steps(critic, named, passed):
    sight = seen(critic)
    mean = {name: float(np.mean(numbers)) for name, numbers in sight.figures.items()}
    assert mean["named"] == pytest.approx(named) and mean["passed"] == pytest.approx(passed)
    assert mean["balanced"] == pytest.approx((named + passed) / 2)
    assert mean["first_error_f1"] == named * passed and 0.3 < mean["flawed"] < 0.7
    assert set(sight.figures) == {*OF_CRITICS, "tokens"} and np.shape(sight.scores) == (2, 40)
    right = named * mean["flawed"] + passed * (1 - mean["flawed"])
    assert np.mean(sight.scores) == pytest.approx(right)


def test_the_answers_are_the_same_whatever_the_critic_says():
    flawed = [seen(critic).figures["flawed"] for critic in (finds, lambda t, u: "ok")]
    assert flawed[0] == flawed[1]


def test_the_look_is_known_by_name_and_is_at_the_critics_snapshots():
    look = Look(kind="critics", options=(("model", "judge"),))
    check_look(look)
    assert figure_names(look) == list(OF_CRITICS)
    with pytest.raises(ConfigError, match="no option 'judge'"):
        check_look(Look(kind="critics", options=(("judge", "head"),)))
    with pytest.raises(ConfigError, match="no model 'nobody' that reads answers"):
        seen(finds, num=2, model="nobody")
    models = {"policy": ModelSpec(), "critic": ModelSpec(), "judge": ModelSpec()}
    plan = Plan(recipe="r", phases=(), models=models)
    assert looked_at(plan, look) == "judge"
    assert looked_at(plan, Look(kind="critics")) == "critic"
    assert looked_at(plan, Look(kind="votes")) == "policy"

    class Blind(Digits):
        truth = frozenset({"answer"})

    with pytest.raises(WorldError, match="does not know which step is wrong"):
        _must_have(Blind(), "critics")
