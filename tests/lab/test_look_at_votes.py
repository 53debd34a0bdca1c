"""The look at votes that a judge of steps weighs, on tables whose scores are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.lab.arm import Look
from askesis.lab.looks.kinds import check_look, figure_names
from askesis.lab.looks.sight import Sight
from askesis.lab.looks.votes import OF_VOTES, votes
from askesis.lab.outside import Outside
from askesis.models.tabular import TabularModel
from tests.lab.test_look_at_beams import OneLetter


def seen(num: int = 40, options: dict[str, Any] | None = None, **values: float) -> Sight:
    """At the prompts a and b; `values` are what the judge's head says of letters."""
    models = {name: TabularModel(name, "abxy") for name in ("policy", "steps")}
    models["policy"].module.logits.data[:, 0] = 2.0  # most answers are a, which is wrong
    for letter, value in values.items():
        head = models["steps"]
        head.module.value.data[head.renderer.ids[letter]] = value
    world = OneLetter()
    outside = Outside(models, world, seed=3)
    try:
        tasks = [world.task("a"), world.task("b")]
        return votes(outside, tasks, Look(num_attempts=num, kind="votes"), **(options or {}))
    finally:
        outside.close()


@pytest.mark.parametrize(("letter", "right"), [("x", [1, 0]), ("y", [0, 1])])
def test_answers_that_the_judge_thinks_right_outvote_many_that_it_does_not(letter, right):
    found = seen(**(dict.fromkeys("abxy", -9.0) | {letter: 3.0})).figures
    assert found["vote_sum"] == found["best"] == right and found["majority"] == [0, 0]
    assert found["best_min"] == found["best_product"] == right


def test_sums_and_not_single_scores_decide():
    """Every answer has the same score but y, a little more: the many outvote it."""
    found = seen(y=0.1).figures
    assert found["best"] == [0, 1] and found["vote_sum"] == found["majority"] == [0, 0]
    assert found["over_best"] == [0, -1] and set(found) == {*OF_VOTES, "tokens"}


def test_differences_are_to_what_stands_beside_and_scores_of_all_attempts():
    sight = seen(num=8, x=2.0, a=-2.0)
    found = {name: np.array(numbers) for name, numbers in sight.figures.items()}
    assert np.shape(sight.scores) == (2, 8) and sight.num == 16
    assert np.allclose(found["over_majority"], found["vote_sum"] - found["majority"])
    assert np.allclose(found["over_mean"], found["vote_sum"] - np.mean(sight.scores, 1))


def test_who_has_no_judge_is_refused_or_votes_without_weights():
    with pytest.raises(ConfigError, match="no model 'nobody' to weigh votes"):
        seen(options={"model": "nobody"})
    found = seen(options={"model": "nobody", "otherwise": "majority"}, x=9.0).figures
    assert found["vote_sum"] == found["majority"] and set(found["over_majority"]) == {0.0}


def test_the_look_at_votes_is_known_by_name():
    check_look(Look(kind="votes", options=(("model", "steps"), ("otherwise", "majority"))))
    assert figure_names(Look(kind="votes")) == list(OF_VOTES)
    with pytest.raises(ConfigError, match="no option 'judge'"):
        check_look(Look(kind="votes", options=(("judge", "head"),)))
