"""How the study judges advice: on pairs that were left out, beside simple rivals and the seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.diagnose_judging import (
    Study,
    advice_score,
    judged,
    predictions,
    seed_noise,
    spearman,
)
from benchmarks.diagnose_page import page
from benchmarks.diagnose_study import PAIRS, RECIPES, goal, outcomes_of, time_constant

RECIPE_NAMES = ("rft", "sft")


def study(num_pairs: int = 8, noise: float = 0.002) -> Study:
    """Where little is mixed sft is best, elsewhere rft; the figures tell which."""
    rng = np.random.default_rng(0)
    mixed = np.linspace(0.02, 0.8, num_pairs)
    figures = tuple(
        {
            "pass@1": 0.3,
            "mixed@8": m,
            "headroom": 0.5,
            "reference/surprise": 0.9 - m,
            "reference/covered@64": 0.4,
        }
        for m in mixed
    )
    gains = np.stack([0.3 * mixed, 0.7 * 0.3 * (0.9 - mixed)], 1)[..., None]
    gains = gains + noise * rng.standard_normal((num_pairs, 2, 2))
    return Study(
        tuple(f"pair {i}" for i in range(num_pairs)), RECIPE_NAMES,
        ("own right answers", "demonstrations"), figures, gains, np.ones((num_pairs, 2), bool),
        np.tile([0.2, 0.1], (num_pairs, 1)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict:
    made = study()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.diagnose_judging.NUM_DRAWS", 20)
        return judged(made, outcomes_of(made))


def test_advice_that_reads_the_figures_beats_advice_that_does_not(found):
    ours = found["advice"]["diagnose"]
    assert ours["best_or_equal"] == 1
    for rival in ("always the recipe best on average", "most headroom"):
        assert ours["lost"] < found["advice"][rival]["lost"]
    assert ours["gained"] > found["chance"]["gained"]


def test_the_rank_correlation_stands_beside_its_ceiling(found):
    ranks = found["ranks"]
    assert ranks["diagnose"]["all"] > 0.9
    assert ranks["another seed (ceiling)"]["all"] > 0.9
    assert ranks["headroom"]["all"] == 0  # the same for all pairs and recipes
    assert 0.8 <= found["coverage"] <= 1


def test_a_pair_is_never_predicted_by_its_own_runs():
    made = study()
    outcomes = outcomes_of(made)
    before = predictions(made, outcomes)[0]
    shifted = [replace(o, gain=o.gain + 5.0) if o.pair == "pair 3" else o for o in outcomes]
    after = predictions(made, shifted)[0]
    assert (before[3] == after[3]).all()
    assert (before[2] != after[2]).all()


def test_what_the_rules_exclude_is_expected_to_gain_nothing():
    made = study()
    made.eligible[0, 0] = False
    expected, low, _ = predictions(made, outcomes_of(made))
    assert expected[0, 0] == 0
    assert np.isnan(low[0, 0])


def test_scores_of_choices_by_hand():
    mean = np.array([[0.1, 0.2], [0.3, 0.25]])
    found = advice_score(np.array([0, 0]), mean, noise=0.03, num_seeds=2)
    # lost 0.1 and 0; what chance allows is 1.96 * 0.03 * sqrt(2 / 2) = 0.0588
    assert found == pytest.approx(
        {"best": 0.5, "best_or_equal": 0.5, "gained": 0.2, "lost": 0.05, "most_lost": 0.1}
    )
    assert advice_score(np.array([1, 1]), mean, 0.03, 2)["best_or_equal"] == 1.0
    # variances of (0, 2) and (1, 1) with n - 1: 2 and 0
    assert seed_noise(np.array([[[0.0, 2.0], [1.0, 1.0]]])) == pytest.approx(1.0)
    assert seed_noise(np.zeros((2, 2, 1))) == 0


def test_spearman_averages_ties_and_is_nothing_where_nothing_varies():
    # scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4]) is 0.9486832980505138 (scipy 1.17)
    assert spearman(np.array([1, 2, 2, 4]), np.array([1, 3, 2, 4])) == pytest.approx(0.9486833)
    assert spearman(np.ones(3), np.arange(3)) == 0


def test_the_time_constant_is_found_again():
    def way(end: float) -> list[tuple[float, float]]:
        return [(t, end * (1 - np.exp(-t / 1e5))) for t in (7e4, 1.4e5, 2e5)]

    assert time_constant([way(0.2), way(0.1)]) == pytest.approx(1e5, rel=0.1)
    assert time_constant([[(2e5, 0.1)]]) == 0


def test_the_study_has_pairs_and_recipes_enough_and_the_page_says_what_was_found(found):
    assert len(PAIRS) >= 8
    assert len({p.name for p in PAIRS}) == len(PAIRS)
    assert len(RECIPES) >= 4
    from askesis.lab.diagnose.gains import Gains, fit_gains

    made = study()
    figures = {k: {"value": 0.5} for k in ("pass@1", "pass@64", "mixed@8")}
    whole = {
        "command": "c", "date": "d", "commit": "x", "num_pairs": 8, "num_runs": 32, "tokens": 2e5,
        "machine": {"processor": "p", "cores": 2, "torch": "t"}, "claim_tasks": 500,
        "seeds": [0, 1], "options": {r: {} for r in RECIPE_NAMES}, "tau_tokens": 1e5, **found,
        "diagnoses": dict.fromkeys(made.pairs, figures),
    }  # fmt: skip
    text = page(whole, Gains(fit_gains(outcomes_of(made)), tau_tokens=1e5))
    for word in ("| diagnose | ", "a recipe at random", "another seed (ceiling)", "| pair 7 |",
                 "points less to the best", "**own right answers**"):  # fmt: skip
        assert word in text


def test_a_recipes_own_goal():
    from askesis.lab.diagnose.facts import recipe_facts

    figures = {"pass@1": 0.1, "pass@4": 0.3, "pass@8": 0.4, "reference/covered@64": 0.6}
    by = {f.name: f for f in recipe_facts("countdown", names=["star", "grpo", "sft"])}
    assert goal(by["star"], figures) == pytest.approx(0.2)
    assert goal(by["grpo"], figures) == pytest.approx(0.3)
    assert goal(by["sft"], figures) == pytest.approx(0.5)
