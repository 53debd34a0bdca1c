"""Intervals over seeds and tasks, and how probable it is that one arm beats another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.formulas.crossed import (
    crossed_difference,
    crossed_mean,
    performance_profile,
    probability_of_improvement,
)
from askesis.formulas.intervals import t_interval


def covered(num_seeds: int, seed_sd: float, task_sd: float, num: int = 400) -> float:
    """How often the interval holds the truth: right and wrong answers, two attempts a task."""
    rng = np.random.default_rng(num_seeds)
    hits = 0
    for _ in range(num):
        logit = seed_sd * rng.standard_normal((num_seeds, 1)) + task_sd * rng.standard_normal(
            (1, 60)
        )
        right = rng.random((2, num_seeds, 60)) < 1 / (1 + np.exp(-logit))
        found = crossed_mean(right.mean(0))
        hits += found.low <= 0.5 <= found.high  # 0.5 is the mean over seeds and tasks by symmetry
    return hits / num


@pytest.mark.parametrize(("seed_sd", "task_sd"), [(0.0, 0.0), (0.0, 2.0), (0.4, 1.0), (0.4, 0.0)])
def test_at_five_seeds_the_interval_holds_the_truth_nine_times_in_ten_at_least(seed_sd, task_sd):
    assert covered(5, seed_sd, task_sd) >= 0.9


def test_an_interval_over_seeds_alone_is_too_sure_where_tasks_differ():
    rng = np.random.default_rng(0)
    hits = {"seeds": 0, "both": 0}
    for _ in range(300):
        x = rng.standard_normal((1, 40)) + 0.1 * rng.standard_normal((5, 40))
        for name, found in (("seeds", t_interval(x.mean(1))), ("both", crossed_mean(x))):
            hits[name] += found.low <= 0 <= found.high
    assert hits["seeds"] < 150 and hits["both"] > 270


def test_the_mean_squares_are_those_of_a_two_way_table():
    # Worked out here term by term, with scipy's quantile.
    x = np.array([[0.1, 0.4, 0.8, 0.5], [0.3, 0.5, 0.9, 0.7], [0.4, 0.6, 1.0, 0.9]])
    by_seed, by_task = x.mean(1), x.mean(0)
    rest = x - by_seed[:, None] - by_task + x.mean()
    squares = 4 * by_seed.var(ddof=1), 3 * by_task.var(ddof=1), (rest**2).sum() / 6
    found = crossed_mean(x)
    spread = squares[0] ** 2 / 2 + squares[1] ** 2 / 3 + squares[2] ** 2 / 6
    total = squares[0] + squares[1] - squares[2]
    from scipy import stats

    half = stats.t.ppf(0.975, total**2 / spread) * np.sqrt(total / 12)
    assert found.high - found.value == pytest.approx(half)
    assert found.value == pytest.approx(x.mean())


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 6), st.integers(2, 12), st.integers(0, 10_000),
    st.floats(0.1, 10), st.floats(-5, 5),
)  # fmt: skip
def test_scaling_and_shifting_scores_scales_and_shifts_the_interval(s, t, seed, scale, shift):
    x = np.random.default_rng(seed).random((s, t))
    one, other = crossed_mean(x), crossed_mean(scale * x + shift)
    assert other.value == pytest.approx(scale * one.value + shift)
    assert other.high - other.value == pytest.approx(scale * (one.high - one.value), rel=1e-6)


def test_one_seed_or_one_task_says_nothing_about_others():
    for shape in ((1, 5), (5, 1)):
        found = crossed_mean(np.full(shape, 0.5))
        assert found.value == 0.5 and found.low == -np.inf and found.high == np.inf
    assert np.isnan(crossed_mean(np.zeros((0, 3))).value)
    same = crossed_mean(np.full((3, 3), 0.5))
    assert (same.low, same.high) == (0.5, 0.5)


def test_differences_are_paired():
    rng = np.random.default_rng(1)
    tasks = rng.random((1, 200)).repeat(5, 0)
    better = tasks + 0.05 + 0.01 * rng.standard_normal((5, 200))
    found = crossed_difference(tasks, better)
    assert 0.04 < found.low < 0.05 < found.high < 0.06
    with pytest.raises(ValueError, match="equal shapes"):
        crossed_difference(np.zeros((2, 3)), np.zeros((3, 3)))


def test_the_probability_of_improvement_is_that_of_the_mann_whitney_statistic():
    # scipy.stats.mannwhitneyu(second, first).statistic / (n m), with ties as halves
    first, second = [0.1, 0.4, 0.4, 0.9], [0.4, 0.5, 0.95]
    from scipy.stats import mannwhitneyu

    found = probability_of_improvement(first, second, np.random.default_rng(0))
    assert found.value == pytest.approx(mannwhitneyu(second, first).statistic / 12)
    assert found.low <= found.value <= found.high
    back = probability_of_improvement(second, first, np.random.default_rng(0))
    assert back.value == pytest.approx(1 - found.value)


def test_a_profile_falls_from_one_to_zero_and_counts_worlds_alike():
    runs = {"many": [0.1] * 10, "one": [0.9]}
    marks = [0.0, 0.5, 1.0]
    found = performance_profile(runs, marks, np.random.default_rng(0))
    assert [e.value for e in found] == [1.0, 0.5, 0.0]
    assert all(e.low <= e.value <= e.high for e in found)
    assert np.isnan(performance_profile({}, marks, np.random.default_rng(0))[0].value)
