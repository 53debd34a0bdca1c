"""Exact sharpness on a world of two answers and a table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.measure.sharpness import Sharpness
from askesis.models.tabular import TabularModel
from askesis.worlds.views import Blind
from tests.explore.host import Host
from tests.probes.house import LetterWorld

KEEP = {("policy", "base")}


class Listed(LetterWorld):
    """Letters, whose answers are x and y."""

    def list_answers(self, task):
        return ["x", "y"]


def table(a: tuple[float, float], b: tuple[float, float]) -> TabularModel:
    """Says x and y with these probabilities after a and b, and then ends."""
    logits = np.full((6, 6), -60.0)
    logits[0, 2:4], logits[1, 2:4] = np.log(a), np.log(b)
    logits[2:, 4] = 0.0
    return TabularModel("policy", "abxy", logits)


def host(world=None) -> Host:
    """Says x (which is right) with 0.6 after a; after b, x with 0.7 where y is right."""
    return Host({"policy": table((0.6, 0.4), (0.7, 0.3))}, world=world or Listed(), keep=KEEP)


def test_every_figure_by_hand_when_the_model_has_learnt():
    here = host()
    model = here.models["policy"]
    model.load(table((0.9, 0.1), (0.8, 0.2)).weights())
    here.shelf.learnt(model, 0)
    ctx = here.context("measure")
    found = Sharpness(num_tasks=64).measure(ctx, None)
    share = found["sharpness/favourite_right"]  # of the tasks that were drawn, those with a
    assert 0.3 < share < 0.7
    assert found["sharpness/favourite_mass"] == pytest.approx(share * 0.9 + (1 - share) * 0.8)
    assert found["sharpness/log_coverage"] == pytest.approx(
        math.log(share / 0.9 + (1 - share) / 0.8)
    )
    assert found["sharpness/sharpened_fraction"] == found["sharpness/greedy_finds_favourite"] == 1
    assert found["sharpness/listed_mass"] == pytest.approx(1)
    assert found["sharpness/right_mass"] == pytest.approx(share * 0.9 + (1 - share) * 0.2)
    assert found["sharpness/right_mass_where_favourite_right"] == pytest.approx(0.9)
    assert found["sharpness/right_mass_where_favourite_wrong"] == pytest.approx(0.2)
    entropies = [-sum(p * math.log(p) for p in pair) for pair in ((0.9, 0.1), (0.8, 0.2))]
    assert found["sharpness/entropy"] == pytest.approx(
        share * entropies[0] + (1 - share) * entropies[1], abs=1e-5
    )


def test_without_truth_there_is_nothing_about_what_is_right():
    found = Sharpness(num_tasks=4).measure(host(Blind(Listed())).context("measure"), None)
    assert not [key for key in found if "right" in key] and "sharpness/entropy" in found


def test_a_world_that_does_not_list_its_answers_gets_no_figure():
    assert Sharpness().measure(host(LetterWorld()).context("measure"), None) == {}


def test_one_task_is_refused():
    with pytest.raises(ConfigError, match="at least 2"):
        Sharpness(num_tasks=1)
