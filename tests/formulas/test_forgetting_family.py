"""The metrics of lifelong learning on curves and matrices made by hand, card [63]."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest

from askesis.formulas.forgetting import (
    contrast,
    forgetting,
    lifetime,
    maintenance,
    normalised,
    performance_recovery,
    recovery_time,
    relative_performance,
    sample_efficiency,
    smoothed,
    terminal_performance,
    transfers,
)

# Three tasks; task 0 is learnt, then 1, then 0 again, then something else (-1).
MATRIX = [
    [10, 10, 20],  # before anything
    [50, 30, 20],  # after 0
    [40, 80, 20],  # after 1
    [60, 70, 30],  # after 0
    [55, 75, 30],  # after something else
]
LEARNT = [0, 1, 0, -1]


def test_forward_transfer_is_only_from_what_came_before_the_target_was_learnt():
    found = {(t.block, t.source, t.target): t.value for t in transfers(MATRIX, LEARNT, "forward")}
    # by hand: 0 -> 1 over block 0: (30 - 10) / 40; 2 is never learnt, so all blocks count.
    assert found == {
        (0, 0, 1): 0.5,
        (0, 0, 2): 0.0,
        (1, 1, 2): 0.0,
        (2, 0, 2): pytest.approx(10 / 50),
    }


def test_backward_transfer_is_what_later_blocks_did_to_a_learnt_task():
    found = {(t.block, t.source, t.target): t.value for t in transfers(MATRIX, LEARNT, "backward")}
    assert found == {
        (1, 1, 0): pytest.approx(-10 / 90),
        (2, 0, 1): pytest.approx(-10 / 150),
    }
    ratio = transfers(MATRIX, LEARNT, "backward", "ratio")
    assert [t.value for t in ratio] == pytest.approx([0.8, 0.875])


def test_a_transfer_without_a_divisor_is_unknown_not_zero():
    assert isnan(contrast(0.0, 0.0)) and isnan(contrast(0.0, 1.0, "ratio"))
    assert lifetime([nan, 2.0]) == 2.0 and isnan(lifetime([nan]))
    with pytest.raises(ValueError, match="contrast or ratio"):
        contrast(1.0, 1.0, "difference")


def test_maintenance_compares_with_the_evaluation_after_the_most_recent_learning():
    # task 0: 40 - 50 after block 1, then 55 - 60 after the last; task 1: 70 - 80, 75 - 80
    assert maintenance(MATRIX, LEARNT).tolist()[:2] == [-7.5, -7.5]
    assert isnan(maintenance(MATRIX, LEARNT)[2])  # never learnt
    # against the terminal performance of the blocks: 40 - 45, 55 - 65 | 70 - 90, 75 - 90
    terminal = [45, 90, 65, 0]
    assert maintenance(MATRIX, LEARNT, terminal).tolist()[:2] == [-7.5, -17.5]


def test_perfect_memory_is_maintained_at_zero():
    assert maintenance([[0, 0], [1, 0], [1, 1], [1, 1]], [0, 1, -1]).tolist() == [0, 0]
    assert forgetting([[0, 0], [1, 0], [1, 1]]).tolist() == [0, -1]


def test_forgetting_is_the_fall_from_the_best():
    assert forgetting(MATRIX).tolist() == [5, 5, 0]
    assert forgetting([[nan, 1.0], [0.5, 2.0], [0.25, 1.0]]).tolist() == [0.25, 1.0]
    assert np.isnan(forgetting([[1.0, 2.0]])).all()


def test_smoothing_is_that_of_the_authors_program():
    # l2metrics 3.1.0, `_localutil.smooth` on squares (windows of 4 and of 3), printed 2026-11-21.
    even = smoothed([float(i * i) for i in range(20)])
    assert len(even) == 20
    assert even[:4].tolist() == [1.5, 1.5, 3.5, 7.5]
    assert even[-4:].tolist() == [241.5, 273.5, 307.5, 324.5]
    odd = smoothed([float(i * i) for i in range(15)])
    assert odd[:3].tolist() == pytest.approx([5 / 3, 2 / 3, 5 / 3])
    assert odd[-1] == pytest.approx(169 + 2 / 3)
    assert smoothed([1.0, 5.0, 2.0]).tolist() == [1.0, 5.0, 2.0]  # too short to smooth


def test_terminal_performance_is_the_last_tenth_and_of_evaluations_all():
    curve = list(range(20))
    assert terminal_performance(curve) == 18.5
    assert terminal_performance(curve, evaluation=True) == 9.5
    assert terminal_performance([1.0, nan]) == 1.0 and isnan(terminal_performance([]))


def test_relative_performance_and_efficiency_against_an_expert():
    expert = [1.0, 2.0, 3.0, 4.0]
    assert relative_performance(expert, expert) == 1
    assert relative_performance([2.0, 4.0], expert) == 2.0  # over the shorter of the two
    assert sample_efficiency(expert, expert) == 1
    assert sample_efficiency([0.0, 4.0], expert) == 3.0  # as high in a third of the time
    assert isnan(sample_efficiency([2.0, 2.0], expert))  # constant: undefined, not 0
    assert isnan(relative_performance([], expert)) and isnan(relative_performance([1.0], [0.0]))


def test_recovery_becomes_faster_when_the_slope_falls():
    assert recovery_time([10.0, 30.0, 60.0], 50.0) == 2
    assert recovery_time([10.0, 30.0], 50.0) == 3  # never: one more than there were
    assert recovery_time([50.0], 50.0) == 0
    # pairwise slopes: -3, -5/2, -2, -5/3, -1, 0; scipy 1.16 `theilslopes` says -11/6 too
    assert performance_recovery([8, 5, 3, 3]) == pytest.approx(11 / 6)
    assert isnan(performance_recovery([3]))


def test_the_scale_keeps_ratios_defined():
    assert normalised([0.2, 0.4], 0.2, 0.6).tolist() == pytest.approx([1.0, 51.0])
    assert np.isnan(normalised([0.5], 0.5, 0.5)).all()


def test_a_matrix_that_does_not_fit_its_blocks_is_refused():
    with pytest.raises(ValueError, match="3 rows"):
        maintenance([[1.0], [2.0]], [0, 0])
    with pytest.raises(ValueError, match="column"):
        transfers([[1.0], [2.0]], [1], "forward")
