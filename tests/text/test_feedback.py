"""Feedback written by a teacher and read from a model; refinements that leave the work out."""

from __future__ import annotations

import pytest

from askesis.text.feedback import named_step, says_right, written_feedback
from askesis.text.shortcuts import is_shortcut, num_numbers


@pytest.mark.parametrize(
    ("is_right", "steps", "said"),
    [
        (True, (), "right"),
        (True, (1.0, 0.0), "right"),
        (False, (1.0, 0.0, 0.0), "step 2 is wrong"),
        (False, (1.0, 1.0), "wrong"),
        (False, (), "wrong"),
    ],
)
def test_what_is_written_is_read_as_it_was_meant(is_right, steps, said):
    assert written_feedback(is_right, steps) == said
    assert says_right(said) is is_right
    assert named_step(said) == (2 if "step" in said else None)


@pytest.mark.parametrize(
    "text", ["", "rightly", "right right", "step 0 is wrong", "step is wrong", "Right", "step 99999 is wrong"]
)  # fmt: skip
def test_anything_else_is_no_feedback(text):
    assert says_right(text) is None and named_step(text) is None


def test_a_refinement_may_have_two_numbers_less_than_the_shorter_of_the_other_two():
    assert num_numbers("7+5=12,1.5") == 4 and num_numbers("none") == 0
    wrong, given = "1 2 3 4 5 6", "1 2 3 4 5 6 7 8 9"
    assert not is_shortcut("1 2 3 4", wrong, given)
    assert is_shortcut("1 2 3", wrong, given) and not is_shortcut("1 2 3", wrong, given, slack=3)
    assert is_shortcut("1 2 3", given, wrong)
    assert not is_shortcut("", "1", given)
