"""Mistakes taken back inside an answer, in the worlds' own ways of writing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.measure.spontaneous import begun_wrongly
from askesis.records import TaskRole
from askesis.text.remarks import taken_back
from askesis.worlds.addition import Addition
from askesis.worlds.chain_arithmetic import ChainArithmetic
from askesis.worlds.countdown import Countdown
from askesis.worlds.mending import mended_lines, what_is_wrong

CHAIN, ADDITION, COUNTDOWN = ChainArithmetic(), Addition(), Countdown()


@pytest.fixture
def chain():
    return CHAIN.task("7 +5 *3 -9", "27", data={"first": 7, "operations": ["+5", "*3", "-9"]})


def test_what_is_wrong_is_what_the_right_step_does_not_share():
    assert what_is_wrong("12*3=35", "12*3=36") == "35"
    assert what_is_wrong("12*4=48", "12*3=36") == "12*4"
    assert what_is_wrong("=113", "=123") == "113"
    assert what_is_wrong("well", "12*3=36") == "well"


def test_a_line_is_mended_in_its_place_or_the_whole_anew():
    wrong, right = "7+5=12\n12*3=35", "7+5=12\n12*3=36\n36-9=27"
    assert mended_lines(wrong, right) == "\n#35 no\n12*3=36\n36-9=27"
    assert mended_lines(wrong, right, remark=False) == "\n12*3=36\n36-9=27"
    whole = "7+5=12\n12*3=35\n35-9=26"
    assert mended_lines(whole, right, again=True) == f"\n#35-9 no\n{right}"


def test_a_solution_that_goes_another_way_mends_nothing():
    assert mended_lines("7+5=12\n12*3=35", "5+7=12\n12*3=36") is None
    assert mended_lines("7+5=12\n12*3=35", "7+5=12") is None
    assert mended_lines("#hm", "7+5=12") is None


def test_a_line_that_was_taken_back_leaves_its_place_to_the_next_one(chain):
    checked = CHAIN.verify(chain, "7+5=12\n12*3=35\n#35 no\n12*3=36\n36-9=27")
    assert (checked.score, checked.steps) == (1.0, (1.0, 0.0, 1.0, 1.0))
    # nothing to take back: a remark in front, twice, or of another kind
    for text in ("#7 no\n7+5=12\n12*3=36", "7+5=12\n#12 ok\n12*3=36"):
        assert CHAIN.verify(chain, text).steps == (1.0, 1.0)
    twice = CHAIN.verify(chain, "7+5=12\n12*3=35\n#35 no\n#12 no\n12*3=36")
    assert twice.steps == (1.0, 0.0, 1.0)
    task = ADDITION.task("48+75", "123", data={"numbers": [48, 75]})
    checked = ADDITION.verify(task, "8+5+0=12\n#12 no\n8+5+0=13\n4+7+1=12\n=123")
    assert (checked.score, checked.steps) == (1.0, (0.0, 1.0, 1.0, 1.0))


def test_countdown_begins_a_new_try():
    task = COUNTDOWN.task("3 7 12 -> 33", None, data={"numbers": [3, 7, 12], "target": 33})
    right = "7*3=21,21+12=33"
    assert COUNTDOWN.correction(task, "7*3=20", right) == f";#20 no;{right}"
    assert COUNTDOWN.correction(task, "7*4=28", right) == f";#7*4 no;{right}"
    assert COUNTDOWN.correction(task, "12-7=5,5*3=15", right, again=True) == f";#15 no;{right}"
    assert COUNTDOWN.correction(task, "7*3=20", right, remark=False) == f";{right}"
    assert COUNTDOWN.correction(task, "#hm", right) is None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), which=st.sampled_from([CHAIN, ADDITION, COUNTDOWN]))
def test_a_mended_demonstration_is_right_and_says_which_step_was_wrong(seed, which):
    rng = np.random.default_rng(seed)
    (task,) = which.draw(TaskRole.TRAIN, rng, 1)
    begun = begun_wrongly(which, task, rng)
    if begun is None:
        return
    shown = which.demonstrate(task, rng)
    rest = which.correction(task, begun.wrong, shown)
    assert rest is not None
    whole = begun.wrong + rest
    checked = which.verify(task, whole)
    assert checked.score == 1.0
    wrong = [i for i, step in enumerate(checked.steps) if step < 1]
    assert wrong == [begun.place]
    assert [i for i, b in enumerate(taken_back(whole, checked.spans)) if b] == wrong
