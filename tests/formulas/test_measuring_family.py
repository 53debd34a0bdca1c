"""What k attempts hold, what correction does: exact against enumeration, goldens, edges."""

from __future__ import annotations

from itertools import combinations, permutations
from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.formulas import correction as c
from askesis.formulas.best_of_k import best_of_k, reward_at_k_s
from askesis.formulas.exploration import (
    balance_score,
    balance_target,
    distinct_correct_fraction,
    pass_at_k_s,
)
from askesis.formulas.pass_at_k import majority_at_k, pass_at_k
from askesis.formulas.ratios import bootstrap_over_clusters, mean_of_clusters, ratio_of_sums

FEW = settings(max_examples=25, deadline=None)
ATTEMPTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.booleans(), st.sampled_from([0.1, 0.5, 0.9, -inf])),
    min_size=1,
    max_size=4,
)


def subsets(n: int, k: int):
    return list(combinations(range(n), k))


# human-eval's estimator, 1 - prod(1 - k / arange(n - c + 1, n + 1)), computed once with numpy 2
# (python 3.11, 2026-11-21); 1.0 where n - c < k.
HUMAN_EVAL = [
    (200, 13, 10, 0.4975511147306061),
    (64, 3, 16, 0.5848694316436251),
    (20, 19, 1, 0.95),
    (100, 1, 100, 1.0),
    (16, 0, 4, 0.0),
]


@pytest.mark.parametrize(("n", "right", "k", "wanted"), HUMAN_EVAL)
def test_pass_at_k_is_human_evals(n, right, k, wanted):
    assert pass_at_k(n, right, k) == pytest.approx(wanted, abs=1e-12)
    marks = [True] * right + [False] * (n - right)
    if n <= 20:
        assert pass_at_k_s([str(i) for i in range(n)], marks, k, 1) == pytest.approx(wanted)


@FEW
@given(ATTEMPTS, st.integers(1, 4), st.integers(1, 4))
def test_figures_over_subsets_are_what_enumeration_gives(attempts, k, s):
    answers = [a for a, _, _ in attempts]
    right = [r for _, r, _ in attempts]
    values = [v for _, _, v in attempts]
    n = len(attempts)
    k = min(k, n)
    s = min(s, k)
    distinct, best, top = [], [], []
    for chosen in subsets(n, k):
        distinct.append(len({answers[i] for i in chosen if right[i]}) >= s)
        firsts, tops = [], []
        for order in permutations(chosen):  # ties in random order: all orders, stably sorted
            ranked = sorted(order, key=lambda i: -values[i])
            firsts.append(right[ranked[0]])
            tops.append(all(right[i] for i in ranked[:s]))
        best.append(np.mean(firsts))
        top.append(np.mean(tops))
    assert pass_at_k_s(answers, right, k, s) == pytest.approx(np.mean(distinct))
    assert best_of_k(values, right, k) == pytest.approx(np.mean(best))
    assert reward_at_k_s(values, right, k, s) == pytest.approx(np.mean(top))
    assert reward_at_k_s(values, right, k, 1) == pytest.approx(best_of_k(values, right, k))


def test_a_perfect_judge_picks_at_pass_at_k_and_one_without_opinion_at_pass_at_1():
    right = [True, False, False, True, False, False]
    assert best_of_k([float(r) for r in right], right, 3) == pass_at_k(6, 2, 3)
    assert best_of_k([0.3] * 6, right, 3) == pytest.approx(2 / 6)
    assert best_of_k([-float(r) for r in right], right, 3) < 0.05  # a judge that is upside down
    assert best_of_k([0.9, 0.1], [0.4, 1.0], 2) == 0.4  # graded scores


def test_the_balance_score_is_b_stars():
    # card [1]: bs = min(n'/n*, 1) * n'/n; six of eight selected are different right ones
    assert balance_score(8, 6, target=8) == pytest.approx(0.75 * 0.75)
    assert balance_score(6, 6, target=4) == 1.0
    assert balance_score(0, 0, target=8) == 0.0
    assert balance_target(67_500, 7_500) == 9
    assert isnan(distinct_correct_fraction(["a"], [False]))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: best_of_k([1.0], [True], 2), lambda: best_of_k([nan], [True], 1),
        lambda: reward_at_k_s([1.0, 2.0], [True, True], 1, 2),
        lambda: pass_at_k_s([], [], 1, 1), lambda: pass_at_k_s(["a"], [True], 1, 0),
        lambda: balance_score(2, 3, 1), lambda: balance_score(2, 1, 0),
        lambda: balance_target(0, 3), lambda: c.carried([], 2), lambda: c.carried([True] * 3, 2),
        lambda: c.equal_token_vote(["a"], [True], 0.5), lambda: ratio_of_sums([1], [1, 2]),
        lambda: ratio_of_sums([1], [-1]),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r".+"):
        wrong()


# ---------------------------------------------------------------- correction


def test_the_levels_combine_to_the_accuracy_after_correction():
    # three questions of four samples, as counts of (right, right), (right, wrong), (wrong, right),
    # (wrong, wrong); the identity of card [84] is exact, whatever the counts
    kinds = [(True, True), (True, False), (False, True), (False, False)]
    counts = [(3, 1, 0, 0), (1, 0, 1, 2), (0, 1, 2, 1)]
    right = [
        [list(kind) for kind, n in zip(kinds, row, strict=True) for _ in range(n)] for row in counts
    ]
    first, last = (e.value for e in c.accuracy_per_turn(right))
    confidence, critique = c.confidence_level(right).value, c.critique_level(right).value
    assert (first, last) == (0.5, pytest.approx(7 / 12))
    assert confidence == pytest.approx(4 / 6)
    assert critique == pytest.approx(3 / 6)
    assert c.accuracy_after(first, confidence, critique) == pytest.approx(last)
    found = c.flips(right)
    assert found.gain.value == pytest.approx(last - first)
    assert found.wrong_to_right.value - found.right_to_wrong.value == pytest.approx(1 / 12)


def test_the_relative_score_is_0_a_half_and_1_where_card_84_says():
    for before in (0.2, 0.5, 0.9):
        assert c.relative_self_correction(before, before**2) == pytest.approx(0)
        assert c.relative_self_correction(before, before) == pytest.approx(0.5)
        assert c.relative_self_correction(before, 1 - (1 - before) ** 2) == pytest.approx(1)
    assert isnan(c.relative_self_correction(0.0, 0.3))
    assert isnan(c.relative_self_correction(1.0, 0.3))


def test_levels_of_what_never_happened_are_unknown():
    never = [[[False, True]], [[False, False]]]
    level = c.confidence_level(never)
    assert isnan(level.value) and (level.low, level.high) == (0.0, 1.0)
    assert c.critique_level(never).value == 0.5
    assert c.accuracy_after(0.0, nan, 0.5) == 0.5
    assert c.accuracy_per_turn([]) == []


def test_a_vote_at_equal_tokens_lies_between_the_whole_votes_around_it():
    answers, right = ["1", "1", "2", "3", "1"], [True, True, False, False, True]
    whole = [majority_at_k(answers, right, k) for k in (3, 4)]
    assert c.equal_token_vote(answers, right, 3.0) == whole[0]
    assert c.equal_token_vote(answers, right, 3.25) == pytest.approx(
        0.75 * whole[0] + 0.25 * whole[1]
    )
    assert c.equal_token_vote(answers, right, 1.0) == pytest.approx(3 / 5)
    assert isnan(c.equal_token_vote(answers, right, 5.5))


# ---------------------------------------------------------------- intervals over clusters


def test_a_ratio_of_a_constant_denominator_is_the_interval_of_the_mean():
    y = [0.5, 1.0, 2.5, 0.0, 3.0]
    ratio, mean = ratio_of_sums(y, [1] * 5, low=-inf, high=inf), mean_of_clusters([[v] for v in y])
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((mean.value, mean.low, mean.high))


def test_shares_at_the_ends_keep_a_width_and_unknown_ones_say_so():
    none = ratio_of_sums([0, 0, 0], [4, 5, 6])
    assert (none.value, none.low) == (0.0, 0.0) and 0.4 < none.high < 0.6  # Wilson, 3 clusters
    every = ratio_of_sums([4, 5], [4, 5])
    assert every.value == every.high == 1.0 and every.low < 0.6
    assert isnan(ratio_of_sums([0], [0]).value)
    assert ratio_of_sums([1], [2]).low == 0.0 and ratio_of_sums([1], [2]).high == 1.0


def test_intervals_over_clusters_cover_what_they_should():
    # 300 data sets (seed 7) of 40 tasks with 1 to 8 attempts, task means from Beta(2, 2): the
    # ratio of wrong that pass to wrong, truth by construction. 95 % intervals; 0.915 is three
    # standard errors below for 300 repetitions.
    rng, hits_ratio, hits_boot = np.random.default_rng(7), 0, 0
    for number in range(300):
        wrong = rng.integers(1, 9, 40)
        rate = rng.beta(2, 2, 40)
        passed = rng.binomial(wrong, rate)
        found = ratio_of_sums(passed, wrong)
        hits_ratio += found.low <= 0.5 <= found.high
        if number < 60:
            rows = [[i] for i in range(40)]

            def share(at: np.ndarray, a=passed, b=wrong) -> float:
                return float(a[at].sum() / b[at].sum())

            boot = bootstrap_over_clusters(share, rows, rng, 100)
            hits_boot += boot.low <= 0.5 <= boot.high
    assert hits_ratio / 300 >= 0.915
    assert hits_boot / 60 >= 0.85


def test_a_bootstrap_of_one_cluster_knows_nothing():
    found = bootstrap_over_clusters(
        lambda rows: float(len(rows)), [[0, 1]], np.random.default_rng(0)
    )
    assert (found.value, found.low, found.high) == (2.0, -inf, inf)
    nothing = bootstrap_over_clusters(lambda rows: 1.0, [], np.random.default_rng(0))
    assert isnan(nothing.value)
