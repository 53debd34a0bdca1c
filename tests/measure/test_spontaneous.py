"""Steps that were wrong, taken back and mended; and what a forced mistake brings about."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError
from askesis.measure.spontaneous import Spontaneous, begun_wrongly
from askesis.records import Group, Purpose
from askesis.worlds.chain_arithmetic import ChainArithmetic
from tests.explore.host import Host, Sums, attempt, says, view

CHAIN = ChainArithmetic(difficulty=0.0)
TASK = CHAIN.task("7 +5 *3", "36", data={"first": 7, "operations": ["+5", "*3"]})
MENDED = "7+5=13\n#13 no\n7+5=12\n12*3=36"
ALARMED = "7+5=12\n#12 no\n7+5=12\n12*3=36"
WRONG = "7+5=12\n12*3=35"


def measured(script, *texts, **options):
    attempts = tuple(attempt(TASK, t, i) for i, t in enumerate(texts))
    shown = attempt(TASK, "0=1", len(texts), purpose=Purpose.DEMONSTRATION)
    host = Host(says(script), world=CHAIN)
    part = Spontaneous(**{"num_tasks": 0, **options})
    return part.measure(host.context("measure"), view([Group("g", (*attempts, shown))]))


def test_steps_of_the_round_s_own_attempts_are_counted():
    found = measured({}, MENDED, ALARMED, WRONG)
    assert found["steps/wrong_fraction"] == pytest.approx(2 / 8)
    assert found["steps/wrong_taken_back"] == pytest.approx(1 / 2)
    assert found["steps/right_taken_back"] == pytest.approx(1 / 6)
    assert found["steps/mended_fraction"] == 1.0
    assert not any(key.startswith("after") for key in found)
    assert measured({}) == {}


def test_a_beginning_ends_in_a_wrong_step_and_differs_in_its_value_alone():
    host = Host(says({}), world=CHAIN)
    begun = begun_wrongly(CHAIN, TASK, host.context("measure").generator())
    assert begun is not None
    assert begun.right.rpartition("=")[0] == begun.wrong.rpartition("=")[0]
    steps = CHAIN.verify(TASK, begun.wrong).steps
    assert steps[begun.place] == 0.0 and all(steps[: begun.place])
    assert begun_wrongly(Sums(), Sums().make(3, 4), host.context("measure").generator()) is None


def test_after_a_forced_mistake_who_takes_it_back_is_told_from_who_goes_on():
    found = measured(lambda text, u: "\n#0 no", num_tasks=4)
    assert found["after_mistake/taken_back"] == found["after_right_step/taken_back"] == 1.0
    silent = measured(lambda text, u: "", num_tasks=4)
    assert silent["after_mistake/taken_back"] == silent["after_right_step/taken_back"] == 0.0
    assert silent["after_mistake/right"] <= silent["after_right_step/right"]


def test_a_world_that_cannot_take_back_has_no_figures_after_mistakes():
    host = Host(says({}), world=Sums())
    assert Spontaneous().measure(host.context("measure"), view([])) == {}


@pytest.mark.parametrize(
    "options", [{"num_tasks": 1}, {"num_attempts": 0}, {"temperature": -1.0}, {"threshold": 0.0}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError, match="Spontaneous"):
        Spontaneous(**options)
