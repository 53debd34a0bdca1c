"""Curves: fits against textbook values and other implementations, the laws of their average."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from scipy.stats import multivariate_normal, norm

from askesis.formulas.curve_average import average_curves
from askesis.formulas.curve_components import PLAIN_PRIOR, CurvePrior, curve_components, thinned
from askesis.formulas.curves import FAMILIES, clean_points, fit_curve
from askesis.formulas.learning_trace import learning_trace
from askesis.lab.forecast import ABILITY_PRIOR

quick = settings(max_examples=12, deadline=None)
# A prior with few components, for laws that hold for any prior.
SMALL = CurvePrior(
    family={"constant": 1.0, "line": 1.0, "exponential": 2.0},
    noise={0.01: 1.0, 0.05: 1.0},
    drift={0.0: 1.0, 0.05: 1.0},
)
X = np.arange(1.0, 11.0)
RISING = 0.1 + 0.4 * (1 - np.exp(-X / 3))


# ---------------------------------------------------------------- one family


def test_a_straight_line_is_that_of_anscombe():
    # Anscombe 1973, "Graphs in Statistical Analysis", data set 1: 3.0 + 0.5 x; standard errors
    # 1.1247 and 0.1179 as printed by R's summary(lm(y1 ~ x1, anscombe)). Our x unit is max x = 14.
    x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
    y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    fit = fit_curve("line", x, y)
    assert (fit.level, fit.change / 14) == pytest.approx((3.0001, 0.5001), abs=1e-4)
    assert fit.standard_errors[0] == pytest.approx(1.1247, abs=1e-4)
    assert fit.standard_errors[1] / 14 == pytest.approx(0.1179, abs=1e-4)


@pytest.mark.parametrize(
    ("family", "law", "begin"),
    [
        ("exponential", lambda x, a, c, s: a + c * (1 - np.exp(-x / s)), (0.1, 0.4, 3.0)),
        ("logarithm", lambda x, a, c, s: a + c * np.log1p(x / s) / np.log1p(10 / s), (0.1, 0.4, 3.0)),
        ("power", lambda x, a, c, s, b: a + c * (1 - (1 + x / s) ** -b), (0.1, 0.4, 2.0, 1.0)),
        ("hill", lambda x, a, c, m, n: a + c * x**n / (m**n + x**n), (0.1, 0.4, 3.0, 2.0)),
        ("hump", lambda x, a, c, s: a + c * (x / s) * np.exp(1 - x / s), (0.1, 0.4, 4.0)),
    ],
)  # fmt: skip
def test_a_fit_is_as_good_as_scipys_that_begins_at_the_truth(family, law, begin):
    rng = np.random.default_rng(3)
    errors = np.linspace(0.005, 0.02, len(X))
    y = law(X, *begin) + errors * rng.normal(size=len(X))
    fit = fit_curve(family, X, y, errors)
    with np.errstate(all="ignore"):
        wanted, covariance = curve_fit(law, X, y, begin, errors, absolute_sigma=True, maxfev=20000)
    chi_square = (((law(X, *wanted) - y) / errors) ** 2).sum()
    assert fit.chi_square <= chi_square + 1e-3 or fit.chi_square < 1.05 * chi_square
    if family in ("exponential", "hump"):  # well determined: the parameters are the same too
        assert [fit.level, fit.change, *fit.shape.values()] == pytest.approx(wanted, rel=1e-3)
        assert fit.standard_errors == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-2)


def test_a_curve_without_noise_is_found_again_by_every_family():
    for name, family in FAMILIES.items():
        shape = [math.sqrt(s.grid[0] * s.grid[-1]) for s in family.shapes]
        y = 0.2 + (0.0 if family.is_flat else 0.3) * family.basis(X / 10, *shape)
        fit = fit_curve(name, X, y)
        assert fit.at(X) == pytest.approx(y, abs=1e-4), name
        assert math.isnan(fit.ceiling) != family.has_ceiling


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fit_follows_the_units_of_both_axes(family):
    rng = np.random.default_rng(0)
    y = RISING + 0.01 * rng.normal(size=len(X))
    fit, other = fit_curve(family, X, y), fit_curve(family, 1e6 * X, 50 * y - 7)
    assert other.at(1e6 * X) == pytest.approx(50 * fit.at(X) - 7, abs=1e-3)


def test_points_that_cannot_be_used_are_left_out_or_refused():
    x, y, e = clean_points([3, 1, 2, math.inf], [0.3, 0.1, math.nan, 1.0], [0.1, -1.0, 0.1, 0.1])
    assert (x.tolist(), y.tolist()) == ([1, 3], [0.1, 0.3])
    assert math.isnan(e[0]) and e[1] == 0.1  # a negative error is no error
    with pytest.raises(ValueError, match="negative"):
        clean_points([-1.0, 2.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="one length"):
        clean_points([1.0, 2.0], [0.0])
    with pytest.raises(ValueError, match="needs 3 points"):
        fit_curve("exponential", [1, 2], [0.1, 0.2])


# ---------------------------------------------------------------- all families, weighted


@pytest.mark.parametrize("change_mean", [0.0, 0.3])
def test_a_component_is_what_brute_force_says(change_mean):
    # The same model as one multivariate normal with a very wide prior on the level.
    x, e, at = np.array([1.0, 2.0, 4.0]), 0.02, 6.0
    y = np.array([0.1, 0.25, 0.3])
    prior = CurvePrior({"line": 1.0}, {0.01: 1.0}, {0.05: 1.0}, change_mean, change_spread=0.4)
    made = curve_components(x, y, [e] * 3, [at], prior=prior)
    u = np.append(x, at) / 4
    wide = 1e3
    curve = wide + 0.4**2 * np.outer(u, u) + 0.05**2 * np.minimum.outer(u, u)
    seen = curve[:3, :3] + np.eye(3) * (e**2 + 0.01**2)
    gain = np.linalg.solve(seen, curve[:3, 3])
    expected = change_mean * u
    foreseen = expected[3] + gain @ (y - expected[:3])
    assert made.mean[0, 0] == pytest.approx(foreseen, abs=1e-4)
    assert made.variance[0, 0] == pytest.approx(curve[3, 3] - gain @ curve[:3, 3], abs=1e-4)
    flat = multivariate_normal(expected[:3], seen).logpdf(y) + 0.5 * math.log(2 * math.pi * wide)
    assert made.log_evidence[0] == pytest.approx(flat + math.log(2 * math.pi), abs=1e-3)


def test_evidence_is_how_well_points_were_foreseen():
    # log evidence of all points - that without one = log density of this one given the others
    y, e = RISING + 0.01 * np.cos(7 * X), 0.02
    rest = X != 4.0  # not the last one, which is the unit of the shapes
    whole = curve_components(X, y, [e] * 10, [12.0], prior=SMALL)
    part = curve_components(X[rest], y[rest], [e] * 9, [4.0], prior=SMALL)
    density = norm.logpdf(
        y[3], part.mean[:, 0], np.sqrt(part.variance[:, 0] + part.noise_variance + e**2)
    )
    wanted = density + 0.5 * math.log(2 * math.pi)  # the constant that evidences leave out
    assert whole.log_evidence - part.log_evidence == pytest.approx(wanted, abs=1e-6)


def test_gains_are_differences_of_the_curve():
    found = average_curves(X, RISING, [0.01] * 10, [10.0, 20.0], prior=SMALL)
    assert found.gain_mean[:, 0] == pytest.approx(0.0, abs=1e-9)
    assert found.gain_variance[:, 0] == pytest.approx(0.0, abs=1e-12)
    assert found.gain_mean[:, 1] == pytest.approx(found.mean[:, 1] - found.mean[:, 0])
    assert found.chance_of_gain(1, -10) == pytest.approx(1.0)
    assert found.chance_of_gain(1, 10) == pytest.approx(0.0)


def test_the_quantiles_of_one_component_are_those_of_a_normal_distribution():
    prior = CurvePrior({"line": 1.0}, {0.01: 1.0}, {0.0: 1.0})
    found = average_curves([1, 2, 3], [0.1, 0.2, 0.3], [0.05] * 3, [4.0], prior=prior)
    wanted = norm(found.mean[0, 0], math.sqrt(found.variance[0, 0])).ppf([0.025, 0.5, 0.975])
    assert found.quantiles([0.025, 0.5, 0.975])[:, 0] == pytest.approx(wanted, abs=1e-6)
    seen = norm(found.mean[0, 0], math.sqrt(found.variance[0, 0] + 0.01**2 + 0.05**2))
    assert found.quantiles([0.9], measured=True)[0, 0] == pytest.approx(seen.ppf(0.9), abs=1e-6)


def test_each_shape_is_recognised_by_its_own_points():
    rng = np.random.default_rng(1)
    x = np.arange(1.0, 31.0)
    noise = 0.003 * rng.normal(size=30)
    curves = {
        "constant": 0.3 + 0 * x,
        "line": 0.1 + 0.01 * x,
        "exponential": 0.1 + 0.4 * (1 - np.exp(-x / 6)),
        "hill": 0.1 + 0.4 * x**4 / (15.0**4 + x**4),
        "hump": 0.1 + 0.4 * (x / 10) * np.exp(1 - x / 10),
    }
    for name, y in curves.items():
        weights = average_curves(x, y + noise, [0.003] * 30, [40.0]).family_weights
        assert max(weights, key=lambda k: weights[k]) == name, weights


@quick
@given(
    st.lists(st.floats(0.05, 0.95), min_size=3, max_size=8),
    st.floats(-100, 100),
    st.floats(0.01, 1000),
    st.floats(1e-3, 1e6),
)
def test_a_forecast_follows_shift_and_scale(y, shift, factor, unit):
    x = np.arange(1.0, len(y) + 1)
    e, at = np.full(len(y), 0.02), np.array([len(y) + 3.0])
    found = average_curves(x, y, e, at, prior=SMALL)
    moved = average_curves(
        unit * x, shift + factor * np.array(y), factor * e, unit * at, scale=factor, prior=SMALL
    )
    a, b = found.interval()[0], moved.interval()[0]
    for one, other in ((a.low, b.low), (a.value, b.value), (a.high, b.high)):
        assert other == pytest.approx(shift + factor * one, abs=1e-4 * factor + 1e-7 * abs(shift))


@quick
@given(st.lists(st.floats(0.05, 0.95), min_size=3, max_size=6), st.randoms())
def test_the_order_of_points_does_not_matter(y, shuffle):
    points = list(enumerate(y, 1))
    shuffled = points.copy()
    shuffle.shuffle(shuffled)
    results = [
        average_curves(*zip(*p, strict=True), [0.02] * len(y), [10.0], prior=SMALL).expected()[0]
        for p in (points, shuffled)
    ]
    assert results[0] == pytest.approx(results[1], abs=1e-9)


@pytest.mark.parametrize("rise", [0.0, 0.4])
def test_more_points_narrow_the_interval(rise):
    widths = []
    for num in (3, 6, 12, 24):
        x = np.linspace(1, 10, num)
        y = 0.1 + rise * (1 - np.exp(-x / 3))
        found = average_curves(x, y, [0.02] * num, [20.0], bounds=(0, 1)).interval()[0]
        widths.append(found.high - found.low)
    assert all(b < 1.05 * a for a, b in itertools.pairwise(widths)), widths
    assert widths[-1] < 0.6 * widths[0]


def test_an_interval_widens_with_the_distance():
    found = average_curves(X, RISING, [0.02] * 10, [10.0, 12.0, 20.0, 40.0], bounds=(0, 1))
    widths = [i.high - i.low for i in found.interval()]
    assert widths == sorted(widths)


def test_hostile_points_give_finite_forecasts_within_bounds():
    cases = {
        "two points": ([1, 2], [0.1, 0.2]),
        "constant": ([1, 2, 3, 4], [0.5] * 4),
        "at the floor": ([1, 2, 3, 4], [0.0] * 4),
        "at the ceiling": ([1, 2, 3, 4], [1.0] * 4),
        "falling": ([1, 2, 3, 4], [0.9, 0.6, 0.3, 0.0]),
        "with NaN": ([1, 2, 3, 4], [0.1, math.nan, 0.3, 0.4]),
        "one place": ([2, 2, 2, 2], [0.1, 0.2, 0.1, 0.2]),
        "nothing spent": ([0, 0, 0], [0.1, 0.2, 0.1]),
        "jumping": ([1, 2, 3, 4], [0.0, 1.0, 0.0, 1.0]),
        "very long": (np.arange(1.0, 2001.0), np.tile([0.4, 0.6], 1000)),
    }
    for name, (x, y) in cases.items():
        for errors, prior in ((None, PLAIN_PRIOR), (np.zeros(len(y)), SMALL)):
            found = average_curves(x, y, errors, [max(x) * 2 + 1], bounds=(0, 1), prior=prior)
            e = found.interval()[0]
            assert 0 <= e.low <= e.value <= e.high <= 1, name
            assert 0 <= found.expected()[0] <= 1, name
    falling = average_curves(*cases["falling"], [0.02] * 4, [8.0], bounds=(0, 1))
    assert falling.expected()[0] < 0.3
    with pytest.raises(ValueError, match="two points"):
        average_curves([1], [0.5], None, [2.0])
    with pytest.raises(ValueError, match="scale"):
        average_curves([1, 2], [0.5, 0.6], None, [2.0], scale=0.0)


def test_thinning_keeps_means_and_their_errors():
    x, y, e = thinned(np.arange(8.0), np.arange(8.0) ** 2, np.full(8, 0.2), 4)
    assert x.tolist() == [0.5, 2.5, 4.5, 6.5]
    assert y.tolist() == [0.5, 6.5, 20.5, 42.5]
    assert e == pytest.approx(0.2 / math.sqrt(2))


@pytest.mark.slow
@pytest.mark.parametrize("prior", [PLAIN_PRIOR, ABILITY_PRIOR], ids=["plain", "ability"])
def test_intervals_cover_as_often_as_they_say_on_curves_of_other_shapes(prior):
    """Weibull curves and flat ones with a drifting random walk: none of them is a family here."""
    rng = np.random.default_rng(5)
    inside = {0.8: [], 0.95: []}
    for _ in range(150):
        num = int(rng.integers(5, 20))
        x = np.arange(1.0, 2 * num + 1)
        s, b = rng.uniform(0.3, 1.5) * num, rng.uniform(0.6, 1.6)
        curve = rng.uniform(0.1, 0.4) + rng.choice([0.0, 0.3]) * (1 - np.exp(-((x / s) ** b)))
        curve = np.clip(curve + np.cumsum(rng.normal(0, 0.003, len(x))), 0, 1)
        right = rng.binomial(128, curve) / 128
        errors = np.sqrt((right * (1 - right) + 0.005) / 128)
        found = average_curves(
            x[:num], right[:num], errors[:num], [x[-1]], bounds=(0, 1), prior=prior
        )
        for share, hits in inside.items():
            e = found.interval(share, measured=True)[0]
            hits.append(e.low <= right[-1] <= e.high)
    # 150 curves: the standard error of a coverage of 80 % is 3 points. Wider than said is allowed.
    assert 0.74 <= np.mean(inside[0.8]) <= 0.97
    assert 0.92 <= np.mean(inside[0.95]) <= 1.0


# ---------------------------------------------------------------- the sequential estimator


def test_the_sequential_estimator_finds_a_power_law_at_once():
    x = np.arange(1.0, 13.0) * 1000
    trace = learning_trace(x, 0.8 - 9.0 * x**-0.4)
    assert (trace.working_level, trace.prediction_level) == (0, 0)
    assert [level.asymptote for level in trace.levels] == pytest.approx([0.8] * 10, abs=2e-3)
    assert trace.levels[-1].at([50_000.0])[0] == pytest.approx(0.8 - 9.0 * 50_000**-0.4, abs=1e-3)
    first = trace.settled(0.25)  # 9 x^-0.4 < 0.25 from x = 7,787 on
    assert first is not None and trace.levels[first].x == 8000.0
    assert trace.settled(0.01) is None


def test_the_anchor_damps_an_irregular_point():
    x = np.arange(1.0, 13.0)
    y = 0.8 - 0.6 * x**-0.7
    y[8] += 0.08
    trace = learning_trace(x, y)
    before, after = trace.levels[5].asymptote, trace.levels[6].asymptote
    alone = min(
        (
            np.linalg.lstsq(np.column_stack([np.ones(9), -(x[:9] ** -b)]), y[:9], rcond=None)
            for b in np.geomspace(0.02, 5, 400)
        ),
        key=lambda found: float(found[1][0]),
    )[0][0]
    assert abs(after - before) < 0.7 * abs(alone - before)


def test_falling_curves_never_reach_the_working_level():
    x = np.arange(1.0, 9.0)
    trace = learning_trace(x, 0.2 + 0.5 / x)
    assert trace.working_level is None
    assert trace.prediction_level is None
    assert trace.settled(0.5) is None
    with pytest.raises(ValueError, match="3 points"):
        learning_trace([0, 1, 2], [0.1, 0.2, 0.3])  # nothing was spent at the first one


def test_an_impossible_asymptote_is_no_prediction():
    x = np.arange(1.0, 13.0)
    trace = learning_trace(x, 0.1 * np.log1p(x), highest=1.0)  # a logarithm has no ceiling
    assert trace.working_level == 0
    assert trace.prediction_level is None and trace.settled(10.0) is None
    assert learning_trace(x, 0.1 * np.log1p(x), highest=9.0).prediction_level == 0


def test_the_plain_prior_names_only_families_that_exist():
    assert set(PLAIN_PRIOR.family) == set(FAMILIES)
