"""The look at step beams, on the bigram model with a head whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.lab.arm import Look
from askesis.lab.looks.beams import OF_BEAMS, beams
from askesis.lab.looks.sight import Sight
from askesis.lab.outside import Outside
from askesis.models.tabular import TabularModel
from tests.probes.house import LetterWorld


class OneLetter(LetterWorld):
    """To a prompt the one letter that answers it; x to a, y to b."""

    max_answer_tokens = 1


def seen(width: int, **values: float) -> Sight:
    model, world = TabularModel("policy", "abxy"), OneLetter()
    for letter, value in values.items():
        model.module.value.data[model.renderer.ids[letter]] = value
    outside = Outside({"policy": model}, world, seed=3)
    try:
        look = Look(num_attempts=5, kind="beams")
        return beams(outside, [world.task("a"), world.task("b")], look, width=width, num=40)
    finally:
        outside.close()


@pytest.mark.parametrize(("letter", "right"), [("x", [1, 0]), ("y", [0, 1]), ("a", [0, 0])])
def test_the_answer_is_the_end_that_the_head_values_most(letter, right):
    found = seen(3, **{letter: 2.0}).figures
    assert found["beam"] == right and found["reached"] == [1, 1]  # 40 draws say every letter


def test_greedy_answers_and_votes_stand_beside():
    sight = seen(1, x=1.0)
    found = {name: np.array(numbers) for name, numbers in sight.figures.items()}
    assert set(found) == {*OF_BEAMS, "tokens"} and np.shape(sight.scores) == (2, 5)
    assert found["beam_tokens"].tolist() == [40, 40] and sight.num == 10
    for other in ("greedy", "majority"):
        assert np.allclose(found[f"over_{other}"], found["beam"] - found[other])
    assert found["greedy"].tolist() == [0, 0]  # of equal odds the first letter, a
