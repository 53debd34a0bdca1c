"""pass@k beyond what was tried, mixed groups, and coverage by a model's own likelihood."""

from __future__ import annotations

from itertools import combinations
from math import exp, inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import betabinom

from askesis.formulas.ceiling import SuccessRates, mixed_group_fraction, success_rates
from askesis.formulas.coverage import (
    covered_fraction,
    log_coverage,
    sharpened_fraction,
    sharpening_draws,
)
from askesis.formulas.pass_at_k import mean_pass_at_k


def certain(z: float, a: float, b: float) -> SuccessRates:
    return SuccessRates(*(np.array([x]) for x in (z, a, b, 1.0)))


def test_pass_at_k_of_a_beta_agrees_with_the_beta_binomial_of_scipy():
    # Nobody right among k is scipy.stats.betabinom(k, a, b).pmf(0).
    rates = certain(0.0, 0.5, 3.0)
    for k in (1, 8, 64, 1000):
        assert rates.pass_at(k).value == pytest.approx(1 - betabinom(k, 0.5, 3.0).pmf(0))
    assert certain(0.25, 0.5, 3.0).pass_at(8).value == pytest.approx(0.75 * rates.pass_at(8).value)


def test_mixed_groups_of_a_beta_are_those_with_some_right_and_some_wrong():
    found = betabinom(8, 0.7, 1.3)
    expected = 0.6 * (1 - found.pmf(0) - found.pmf(8))
    assert certain(0.4, 0.7, 1.3).mixed(8).value == pytest.approx(expected)


@pytest.mark.parametrize(("n", "c", "group"), [(6, 2, 3), (6, 0, 2), (6, 6, 4), (5, 1, 5)])
def test_the_share_of_mixed_groups_is_that_of_all_subsets(n, c, group):
    kinds = [len({i < c for i in chosen}) for chosen in combinations(range(n), group)]
    assert mixed_group_fraction(n, c, group) == pytest.approx(np.mean(np.array(kinds) == 2))


def test_a_group_of_one_is_never_mixed_and_impossible_groups_are_refused():
    assert mixed_group_fraction(4, 2, 1) == 0
    with pytest.raises(ValueError, match="G <= n"):
        mixed_group_fraction(4, 2, 5)


def test_what_was_tried_is_told_back_and_the_rest_lies_above_it():
    rng = np.random.default_rng(0)
    right = rng.binomial(64, rng.beta(0.4, 3, 150) * (rng.random(150) < 0.8))
    rates = success_rates([64] * 150, right)
    for k in (1, 8, 64):
        assert rates.pass_at(k).value == pytest.approx(
            mean_pass_at_k([64] * 150, right, k), abs=0.02
        )
    assert rates.pass_at(64).value < rates.pass_at(1024).value < rates.ceiling().value


def test_what_nobody_can_know_has_a_wide_interval():
    never = success_rates([64] * 50, [0] * 50)
    assert never.pass_at(64).high < 0.06  # Wilson for 0 of 50 ends at 0.07
    ceiling = never.ceiling()
    assert ceiling.high - ceiling.low > 0.9
    one = success_rates([4], [1])
    assert one.pass_at(1).high - one.pass_at(1).low > 0.4
    prior = success_rates([], [])
    assert prior.ceiling().high - prior.ceiling().low > 0.9


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="c <= n"):
        success_rates([4], [5])
    with pytest.raises(ValueError, match="2 numbers"):
        success_rates([4, 4], [1])


@given(st.lists(st.integers(0, 16), min_size=1, max_size=8), st.integers(1, 200))
@settings(max_examples=4, deadline=None)
def test_more_attempts_never_solve_less_and_never_more_than_the_ceiling(right, k):
    rates = success_rates([16] * len(right), right)
    found = [rates.pass_at(k), rates.pass_at(k + 1), rates.ceiling()]
    assert found[0].value <= found[1].value + 1e-9 <= found[2].value + 2e-9
    assert all(0 <= e.low <= e.value <= e.high <= 1 for e in found)


@pytest.mark.slow
def test_the_intervals_cover_the_truth():
    rng = np.random.default_rng(4)
    inside = {64: 0, 512: 0, inf: 0}
    for _ in range(60):
        z, m = rng.uniform(0, 0.8), rng.uniform(0.02, 0.5)
        s = exp(rng.uniform(log(0.3), log(20)))
        a, b = m * s, (1 - m) * s
        p = rng.beta(a, b, 200) * (rng.random(200) > z)
        rates = success_rates([64] * 200, rng.binomial(64, p))
        for k in inside:
            found = rates.ceiling() if k == inf else rates.pass_at(k)
            missed = 0.0 if k == inf else exp(betaln(a, b + k) - betaln(a, b))
            inside[k] += found.low <= (1 - z) * (1 - missed) <= found.high
    assert min(inside.values()) >= 51  # 57 of 60 expected; 51.9 is three standard deviations below


def test_coverage_is_ruled_by_the_worst_task_and_covered_fractions_are_not():
    logp = [log(0.5), log(0.25), log(1e-9)]
    assert exp(log_coverage(logp)) == pytest.approx((2 + 4 + 1e9) / 3)
    assert covered_fraction(logp, 1) == pytest.approx((0.5 + 0.25 + 1e-9) / 3)
    assert covered_fraction(logp, 3) == pytest.approx((1 - 0.5**3 + 1 - 0.75**3) / 3, abs=1e-8)
    assert covered_fraction(logp, 0) == 0
    assert sharpened_fraction([log(0.6), log(0.5), -inf]) == pytest.approx(1 / 3)


def test_answers_that_cannot_be_said_and_certain_ones_are_no_trouble():
    assert log_coverage([-inf]) == inf
    assert log_coverage([0.0, 0.0]) == pytest.approx(0.0)
    assert covered_fraction([0.0, -inf], 64) == pytest.approx(0.5)
    assert sharpening_draws(800.0) == inf
    assert np.isnan([log_coverage([]), covered_fraction([], 1), sharpened_fraction([])]).all()
    with pytest.raises(ValueError, match="at most 0"):
        log_coverage([0.1])
    with pytest.raises(ValueError, match="NaN"):
        covered_fraction([float("nan")], 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        sharpening_draws(1.0, delta=1.0)
