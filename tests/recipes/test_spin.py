"""SPIN on tables: its reference, its memory, and where it comes to rest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from askesis.models.tabular import TabularModel
from tests.probes.house import LetterWorld, probability
from tests.recipes.letters import ALPHABET, metrics_of, on_letters

QUICK = [("tasks.pool-size", "0"), ("explore.max-tokens", "1"), ("measure.ability.num-tasks", "2"),
         ("learn.policy.learning-rate", "0.3")]  # fmt: skip


def test_every_iteration_begins_from_a_loss_of_log_2_and_raises_the_demonstration(tmp_path):
    # the reference is the opponent: before its first update every iteration tells nothing apart
    options = [
        *QUICK,
        ("rounds", "3"),
        ("learn.policy.batch-tokens", "1000"),
        ("measure-every", "1"),
    ]
    run = on_letters("spin", tmp_path / "run", *options)
    before = 0.2
    for index in range(3):
        found = metrics_of(run, index)
        assert found["learn/policy/loss/first"] == pytest.approx(math.log(2), abs=1e-6)
        assert found["learn/policy/loss/last"] < math.log(2)
        pairs = found["select/pairs"]
        old = metrics_of(run, index - 1)["select/pairs"] if index else 0
        assert pairs < found["learn/policy/num_samples"] <= pairs + old or not old
        assert found["measure/pair_precision"] == 1.0
    assert probability(run.models["policy"], "a", "x") > before + 0.2
    run.store.close()


def test_a_model_that_says_what_is_demonstrated_has_nothing_left_to_learn(tmp_path):
    sure = np.zeros((6, 6))
    sure[0, 2] = sure[1, 3] = 60.0
    sure[2, 4] = sure[3, 4] = 60.0
    models = {"policy": TabularModel("policy", ALPHABET, sure)}
    options = [("rounds", "1"), ("tasks.pool-size", "0"), ("measure-every", "9")]
    run = on_letters("spin", tmp_path / "run", *options, models=models)
    found = metrics_of(run, 0)
    assert found["select/same_fraction"] == 1.0 and found["learn/policy/num_updates"] == 0
    run.store.close()


class Undecided(LetterWorld):
    """Demonstrations that say x seven times of ten, and y else."""

    def demonstrate(self, task, rng, habit="plain"):
        return "x" if rng.random() < 0.7 else "y"


@pytest.mark.slow
def test_it_comes_to_rest_where_answers_are_distributed_as_demonstrations(tmp_path):
    options = [("rounds", "30"), ("tasks.num", "64"), ("learn.policy.learning-rate", "0.1"),
               ("measure-every", "99"), ("beta", "1.0")]  # fmt: skip
    run = on_letters("spin", tmp_path / "run", *QUICK, *options, world=Undecided())
    for prompt in "ab":
        found = [probability(run.models["policy"], prompt, c) for c in "xy"]
        assert found[0] == pytest.approx(0.7, abs=0.12)
        assert sum(found) > 0.9
    run.store.close()
