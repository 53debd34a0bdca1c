"""Looking several times keeps the error that was asked for, and costs little power."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.formulas.sequential import (
    crossing_probability,
    detectable_decline,
    detectable_drift,
    look_bounds,
    look_confidences,
)

# O'Brien-Fleming-like spending, two-sided 5 %: Jennison and Turnbull 2000 and the R package
# ldbounds 2.0 (`ldBounds(t = (1:K)/K, iuse = c(1, 1), alpha = c(0.025, 0.025))`) print these.
BOUNDS = {
    1: (1.9600,),
    2: (2.9626, 1.9686),
    3: (3.7103, 2.5114, 1.9930),
    4: (4.3326, 2.9631, 2.3590, 2.0141),
    5: (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
}


@pytest.mark.parametrize("num", BOUNDS)
def test_the_bounds_are_those_of_lan_and_demets(num):
    assert look_bounds(num) == pytest.approx(BOUNDS[num], abs=2e-4)


def test_a_simulation_of_the_null_errs_as_often_as_was_asked_for():
    rng, num = np.random.default_rng(0), 4
    paths = rng.normal(size=(200_000, num)).cumsum(1) / np.sqrt(np.arange(1, num + 1))
    erred = (np.abs(paths) >= look_bounds(num)).any(1).mean()
    assert erred == pytest.approx(0.05, abs=0.002)
    # without the bounds: 12.6 % (Armitage, McPherson and Rowe 1969, table 2, four looks at 5 %)
    assert (np.abs(paths) >= 1.96).any(1).mean() == pytest.approx(0.126, abs=0.003)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), st.floats(0.5, 0.999))
def test_the_error_is_kept_for_any_number_of_looks(num, confidence):
    bounds = look_bounds(num, confidence)
    assert crossing_probability(bounds, 0.0) == pytest.approx((1 - confidence) / 2, abs=1e-6)
    assert bounds[-1] == min(bounds)  # later looks are easier
    assert len(look_confidences(num, confidence)) == num
    assert crossing_probability(bounds, 1.0) < crossing_probability(bounds, 2.0)


def test_what_is_detectable_is_detected_four_times_in_five():
    rng, n, m = np.random.default_rng(1), 128, 4
    delta = detectable_decline(n, m)
    best = rng.binomial(m, 0.5, (4000, n)) / m
    worse = rng.binomial(m, 0.5 - delta, (4000, n)) / m
    d = worse - best
    found = d.mean(1) + 1.979 * d.std(1, ddof=1) / n**0.5 < 0  # t_127, 97.5 %
    assert found.mean() == pytest.approx(0.8, abs=0.025)
    assert detectable_drift(4) / detectable_drift(1) == pytest.approx(1.0098, abs=2e-3)
    assert detectable_decline(128, 4, spread=0.5) > detectable_decline(128, 4, num_looks=4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: look_bounds(0),
        lambda: look_bounds(2, 1.0),
        lambda: detectable_decline(0),
        lambda: detectable_decline(10, accuracy=1.5),
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        wrong()
