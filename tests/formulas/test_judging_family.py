"""Judges against the truth: errors, ranking, calibration; scikit-learn's values."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.formulas.calibration import (
    aurc,
    brier,
    calibration_bins,
    calibration_error,
    excess_aurc,
    risk_coverage,
)
from askesis.formulas.intervals import Estimate
from askesis.formulas.judging import (
    error_rates,
    first_error,
    first_error_f1,
    inflation,
    self_inflation,
)
from askesis.formulas.ranking import auroc, clustered_auroc, ranking_accuracy, ranking_gap

FEW = settings(max_examples=25, deadline=None)

# Ten cases with a tie and values on bin edges. The golden values below were computed once with
# scikit-learn 1.9.1 (2026-11-21): roc_auc_score, brier_score_loss, calibration_curve(n_bins=5).
P = [0.1, 0.4, 0.35, 0.8, 0.65, 0.65, 0.9, 0.2, 0.5, 0.95]
Y = [False, False, True, True, False, True, True, False, True, True]
AUROC, BRIER = 0.8541666666666666, 0.148
UNIFORM = ([0.0, 0.5, 1.0, 2 / 3, 1.0], [0.15, 0.375, 0.5, 0.7, 0.925])
QUANTILE = ([0.0, 0.5, 2 / 3, 1.0, 1.0], [0.15, 0.375, 0.6, 0.8, 0.925])


def test_values_are_scikit_learns():
    assert auroc(P, Y) == pytest.approx(AUROC, abs=1e-12)
    assert brier(P, Y) == pytest.approx(BRIER, abs=1e-12)
    for binning, (accuracy, confidence) in (("width", UNIFORM), ("mass", QUANTILE)):
        found = calibration_bins(P, Y, 5, binning)
        assert [b.accuracy for b in found] == pytest.approx(accuracy)
        assert [b.confidence for b in found] == pytest.approx(confidence)
    # by hand from the bins: (2*.15 + 2*.125 + 1*.5 + 3*.1/3 + 2*.075) / 10
    assert calibration_error(P, Y, 5) == pytest.approx(0.13)


def test_values_are_scikit_learns_where_it_is_installed():
    metrics = pytest.importorskip("sklearn.metrics", reason="the golden values stand above")
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(3)
    p = np.round(rng.random(200), 2)
    y = rng.random(200) < p**2
    assert auroc(p, y) == pytest.approx(metrics.roc_auc_score(y, p))
    assert brier(p, y) == pytest.approx(metrics.brier_score_loss(y, p))
    for binning, strategy in (("width", "uniform"), ("mass", "quantile")):
        accuracy, confidence = calibration_curve(y, p, n_bins=8, strategy=strategy)
        found = calibration_bins(p, y, 8, binning)
        assert [b.accuracy for b in found] == pytest.approx(accuracy.tolist())
        assert [b.confidence for b in found] == pytest.approx(confidence.tolist())


@FEW
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.booleans()), max_size=12))
def test_auroc_is_the_share_of_pairs(cases):
    values, right = [v for v, _ in cases], [r for _, r in cases]
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, ra in cases if ra for b, rb in cases if not rb
    ]  # fmt: skip
    found = auroc(values, right)
    assert isnan(found) if not pairs else found == pytest.approx(np.mean(pairs))
    turned = auroc([-v for v in values], right)
    assert isnan(found) or turned == pytest.approx(1 - found)


def test_the_interval_of_auroc_is_delongs_for_single_cases_and_wider_for_clusters():
    # DeLong's variance from its definition: sample variances of the placements of both sides
    good, bad = np.array(P)[Y], np.array(P)[~np.array(Y)]
    v10 = [np.mean([(g > b) + 0.5 * (g == b) for b in bad]) for g in good]
    v01 = [np.mean([(g > b) + 0.5 * (g == b) for g in good]) for b in bad]
    se = (np.var(v10, ddof=1) / len(v10) + np.var(v01, ddof=1) / len(v01)) ** 0.5
    found = clustered_auroc([[p] for p in P], [[y] for y in Y])
    assert found.value == pytest.approx(AUROC)
    assert found.value - found.low == pytest.approx(2.2621571628 * se)  # t with 9 degrees
    double = clustered_auroc([[p, p] for p in P], [[y, y] for y in Y])
    assert double.value == found.value
    assert double.low == pytest.approx(found.low, abs=1e-9)  # twice the same is no more evidence


def test_the_interval_of_auroc_covers():
    # 400 data sets (seed 5) of 30 tasks with 4 attempts; the value is noise of the task, noise of
    # the attempt, and 1 where right. The truth is the mean over the data sets. Over 2,000 sets
    # (seed 11, 2026-11-21) the coverage was 0.9425; 0.907 is three standard errors below.
    rng, found = np.random.default_rng(5), []
    for _ in range(400):
        right = rng.random((30, 4)) < rng.random((30, 1))
        values = right + rng.normal(0, 1, (30, 4)) + rng.normal(0, 1, (30, 1))
        found.append(clustered_auroc(values.tolist(), right.tolist()))
    truth = np.mean([f.value for f in found])
    assert 0.65 < truth < 0.75
    assert np.mean([f.low <= truth <= f.high for f in found]) >= 0.907


def test_a_judge_without_errors_keeps_an_interval_and_one_side_alone_knows_nothing():
    apart = clustered_auroc([[0.9, 0.1]] * 3, [[True, False]] * 3)
    assert apart.value == apart.high == 1.0 and apart.low < 0.6
    alone = clustered_auroc([[0.9, 0.1]], [[True, True]])
    assert isnan(alone.value) and (alone.low, alone.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="NaN"):
        auroc([nan], [True])


def test_ranking_looks_inside_tasks_only():
    # high values on the easy task, low ones on the hard one: over all attempts that looks like
    # knowledge (6 of 9 pairs), inside the tasks it is none
    values, right = [[0.9] * 3, [0.1] * 3], [[True, True, False], [True, False, False]]
    assert ranking_accuracy(values, right).value == 0.5
    assert clustered_auroc(values, right).value == pytest.approx(6 / 9)
    assert isnan(ranking_accuracy([[1.0, 1.0]], [[True, True]]).value)  # no pair
    inside, outside = Estimate(0.9, 0.85, 0.94), Estimate(0.6, 0.5, 0.7)
    found = ranking_gap(inside, outside)
    assert found.low == pytest.approx(0.3 - (0.05**2 + 0.1**2) ** 0.5)


def test_errors_are_told_apart():
    rates = error_rates([[True, True, False], [False, True]], [[True, False, False], [True, True]])
    assert rates.false_pass.value == 0.5  # one of two wrong ones
    assert rates.false_fail.value == pytest.approx(1 / 3)
    assert rates.wrong_among_passed.value == pytest.approx(1 / 3)
    assert rates.accuracy.value == pytest.approx(3 / 5)
    none = error_rates([[True]], [[True]])
    assert isnan(none.false_pass.value) and none.accuracy.value == 1.0


def test_the_first_error_is_scored_as_processbench_does():
    assert first_error([1.0, 0.4, 0.0]) == 1 and first_error([]) == -1
    # flawed: 1 of 2 located; flawless: 2 of 2 seen -> 2 * 0.5 * 1 / 1.5
    assert first_error_f1([1, 0, -1, -1], [1, 2, -1, -1]) == pytest.approx(2 / 3)
    assert first_error_f1([-1, 0], [0, -1]) == 0.0
    assert isnan(first_error_f1([0], [0])) and isnan(first_error_f1([], []))


def test_flattery_is_counted_against_the_truth_and_against_other_authors():
    own, others = [[0.9, 0.9], [0.8, 0.6]], [[0.6, 0.2], [0.9, 0.5]]
    truth = [[1.0, 0.0], [1.0, 0.0]]
    mine, theirs = inflation(own, truth), inflation(others, truth)
    assert mine.value == pytest.approx(0.3) and theirs.value == pytest.approx(0.05)
    assert self_inflation(mine, theirs).value == pytest.approx(0.25)


def test_abstaining_helps_who_knows_what_it_knows():
    right = [True] * 6 + [False] * 4
    knows = [0.9] * 6 + [0.1] * 4
    coverage, risk = risk_coverage(knows, right)
    assert coverage.tolist() == pytest.approx([i / 10 for i in range(1, 11)])
    assert risk.tolist() == pytest.approx([0] * 6 + [1 / 7, 2 / 8, 3 / 9, 4 / 10])
    assert excess_aurc(knows, right) == pytest.approx(0)
    assert aurc([0.5] * 10, right) == pytest.approx(0.4)  # no opinion: the error rate throughout
    assert excess_aurc([-k for k in knows], right) > excess_aurc([0.5] * 10, right) > 0
    assert isnan(aurc([], [])) and isnan(excess_aurc([], []))


@FEW
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(1, 12)
)
def test_calibration_errors_lie_between_the_mean_gap_and_one(cases, num_bins):
    p, y = [a for a, _ in cases], [b for _, b in cases]
    gap = abs(np.mean(p) - np.mean(y))
    for binning in ("width", "mass"):
        error = calibration_error(p, y, num_bins, binning)
        assert gap - 1e-9 <= error <= 1 + 1e-9  # one bin has the least error
        assert sum(b.num for b in calibration_bins(p, y, num_bins, binning)) == len(p)
    assert calibration_error(p, y, 1) == pytest.approx(gap)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        brier([1.5], [True])
