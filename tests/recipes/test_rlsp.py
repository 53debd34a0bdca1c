"""RLSP on tables: with all of the reward on being right it is PPO; without any it only tries."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.judge.search_bonus import SearchBonus
from tests.recipes.letters import on_letters

QUICK = [("rounds", "2"), ("measure-every", "99"), ("learn.policy.learning-rate", "0.3")]


@pytest.mark.slow
def test_with_alpha_one_it_is_ppo_to_the_last_bit(tmp_path):
    weights = []
    for recipe, options in (("ppo", [("lambda_", "1")]), ("rlsp", [("alpha", "1")])):
        run = on_letters(recipe, tmp_path / recipe, *QUICK, *options)
        weights.append({k: v.numpy() for k, v in run.models["policy"].weights().items()})
        run.store.close()
    for name, one in weights[0].items():
        np.testing.assert_array_equal(one, weights[1][name])


@pytest.mark.slow
def test_with_alpha_zero_it_raises_different_steps_whatever_is_right(tmp_path):
    # every letter followed by y is a step: x alone is one, xyx two of the same, xybya three
    options = [
        ("alpha", "0"),
        ("rounds", "6"),
        ("judge.separators", "y"),
        ("explore.num-attempts", "8"),
    ]
    run = on_letters("rlsp", tmp_path / "run", *QUICK[1:], *options)
    steps = []
    part = SearchBonus(separators="y")
    for index in (0, 5):
        attempts = list(run.store.read("attempts", {"round": index}))
        steps.append(np.mean([part._num_steps(a) for a in attempts]))
    assert steps[1] > steps[0] + 0.1
    run.store.close()
