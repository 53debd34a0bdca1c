"""Drift, over-optimisation and self-consuming training, against sums that can be written down."""

from __future__ import annotations

from itertools import product
from math import exp, inf, isnan, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import ConfigError
from askesis.formulas.drift import agreement, best_of_n_kl, effective_answers, sequence_kl
from askesis.formulas.intervals import t_interval
from askesis.formulas.overoptimisation import fit_law, hump, peak_distance
from askesis.formulas.self_consuming import increase_bound, mixing_bound, picked


def chain(rng: np.random.Generator) -> np.ndarray:
    """A bigram model over two letters and the end: rows are what was last said."""
    return rng.dirichlet(np.ones(3), size=3)


def answers_of(table: np.ndarray, longest: int = 3):
    """Every answer of at most `longest` tokens with its probability; token 2 ends it."""
    for length in range(1, longest + 1):
        for tokens in product(range(3), repeat=length):
            ended = tokens[-1] == 2
            if 2 in tokens[:-1] or (not ended and length < longest):
                continue
            places = list(zip((2, *tokens[:-1]), tokens, strict=True))
            yield places, float(np.prod([table[a, b] for a, b in places]))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_both_estimators_have_the_divergence_of_answers_as_expected_value(seed):
    rng = np.random.default_rng(seed)
    policy, reference = chain(rng), chain(rng)
    exact = k1 = k3 = 0.0
    for places, p in answers_of(policy):
        logp = [log(policy[a, b]) for a, b in places]
        other = [log(reference[a, b]) for a, b in places]
        one, three = sequence_kl(logp, other)
        exact += p * (sum(logp) - sum(other))
        k1, k3 = k1 + p * one, k3 + p * three
        assert three >= 0
    assert k1 == pytest.approx(exact)
    assert k3 == pytest.approx(exact)


def test_no_tokens_and_equal_models_are_no_distance():
    assert sequence_kl([], []) == (0.0, 0.0)
    assert sequence_kl([-1.0, -2.0], [-1.0, -2.0]) == (0.0, 0.0)


def test_agreement_does_not_depend_on_the_number_of_attempts():
    rng, p = np.random.default_rng(0), [0.5, 0.3, 0.2]
    for n in (2, 5):
        found = [agreement(list(rng.choice(list("abc"), n, p=p))) for _ in range(2500)]
        assert np.mean(found) == pytest.approx(0.38, abs=0.03)  # .25 + .09 + .04
    assert agreement(["a", "a"]) == 1 and isnan(agreement(["a"]))
    assert effective_answers(list("abcd")) == 4


def test_best_of_n_is_as_far_as_its_order_statistics_say():
    # The best of n of a continuous reward has density n u^(n-1) on the quantile u, so its
    # divergence is the integral of n u^(n-1) log(n u^(n-1)); here by the midpoint rule.
    u = (np.arange(200_000) + 0.5) / 200_000
    density = 8 * u**7
    assert best_of_n_kl(8) == pytest.approx(float((density * np.log(density)).mean()), abs=1e-4)
    assert best_of_n_kl(1) == 0


# ---------------------------------------------------------------- over-optimisation


@pytest.mark.parametrize("form", ["log", "square"])
def test_the_law_is_found_again_and_its_peak_is_a_peak(form):
    a, b = 1.3, 0.4
    d = np.linspace(0.0, 6.0, 13)
    law = fit_law(d, [0.2 + hump(x, a, b, form) for x in d], form=form)
    assert (law.a.value, law.b.value) == pytest.approx((a, b))
    assert law.start.value == pytest.approx(0.2)
    top = law.peak.value
    assert top == pytest.approx(exp(a / b - 1) if form == "log" else a / 2 / b)
    assert law.turns
    assert law.at(top) > max(law.at(top - 1e-3), law.at(top + 1e-3))


def test_the_interval_of_the_peak_covers_it():
    a, b, d = 1.0, 0.5, np.linspace(0.2, 5.0, 16)
    rng, hits, tops = np.random.default_rng(0), 0, []
    for _ in range(400):
        law = fit_law(d, [hump(x, a, b) + rng.normal(0, 0.05) for x in d])
        hits += law.peak.low <= exp(1) <= law.peak.high
        tops.append(law.peak.value)
    assert hits / 400 == pytest.approx(0.95, abs=0.035)
    assert np.median(tops) == pytest.approx(exp(1), rel=0.05)


def test_what_does_not_turn_has_no_peak():
    rising = fit_law([1.0, 2.0, 3.0, 4.0, 5.0], [0.1, 0.21, 0.33, 0.47, 0.62])
    assert isnan(rising.peak.value) and not rising.turns
    noisy = fit_law([1.0, 2.0, 3.0, 4.0], [0.3, 0.1, 0.4, 0.2])
    assert noisy.peak.high == inf  # not shown to turn
    few = fit_law([1.0, 2.0], [0.1, 0.2])
    assert isnan(few.a.value) and few.peak.high == inf and not few.turns
    exact = fit_law([1.0, 2.0, 3.0], [hump(x, 2.0, 1.0) for x in (1.0, 2.0, 3.0)])
    assert exact.a.value == pytest.approx(2.0) and exact.a.high == inf  # no degree of freedom
    same = fit_law([1.0] * 6, [0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    assert isnan(same.a.value)
    assert isnan(peak_distance(1.0, 0.0)) and isnan(peak_distance(-1.0, 1.0, "square"))
    assert fit_law([0.0, 1.0, 2.0], [0.5, 2.5, 2.0], start=0.5).start.value == 0.5


def test_distances_and_rewards_are_checked():
    with pytest.raises(ConfigError, match="rewards must be finite"):
        fit_law([1.0, 2.0], [0.1, float("nan")])
    with pytest.raises(ValueError, match="at least 0"):
        fit_law([-1.0, 2.0], [0.1, 0.2])
    with pytest.raises(ValueError, match="form"):
        hump(1.0, 1.0, 1.0, "cubic")


# ---------------------------------------------------------------- self-consuming training


def by_enumeration(p: np.ndarray, r: np.ndarray, num: int) -> np.ndarray:
    found = np.zeros(len(p))
    for drawn in product(range(len(p)), repeat=num):
        weight = np.exp(r[list(drawn)])
        for x, share in zip(drawn, weight / weight.sum(), strict=True):
            found[x] += np.prod(p[list(drawn)]) * share
    return found


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3, 4]), st.sampled_from([0.1, 1.0, 8.0]))
def test_one_round_of_picking_is_what_enumeration_says(seed, num, spread):
    rng = np.random.default_rng(seed)
    p, r = rng.dirichlet(np.ones(3)), rng.normal(0, spread, 3)
    assert picked(p, r, num) == pytest.approx(by_enumeration(p, r, num), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_the_reward_rises_by_at_least_the_bound(seed, num):
    rng = np.random.default_rng(seed)
    p, r = rng.dirichlet(np.ones(5)), rng.normal(0, 1.5, 5)
    w = np.exp(r)
    variance = float(p @ w**2 - (p @ w) ** 2)
    rise = float((picked(p, r, num) - p) @ w)
    assert rise >= (num - 1) / num * variance / w.max() - 1e-9


def test_many_choices_tilt_by_the_whole_reward_and_one_by_nothing():
    p, r = np.array([0.2, 0.3, 0.5]), np.array([0.0, 1.0, 2.0])
    assert picked(p, r, 1) == pytest.approx(p)
    assert picked(p, r, 4000) == pytest.approx(p * np.exp(r) / (p @ np.exp(r)), rel=2e-3)


def test_the_mixing_bound_holds_for_a_hundred_rounds():
    data, r, num, ratio = np.array([0.25, 0.25, 0.5]), np.array([2.0, 0.0, -1.0]), 3, 0.3
    p = data
    for _ in range(100):
        p = picked(p, r, num, ratio, data)
        assert float(p @ np.log(p / data)) <= mixing_bound(ratio, num)
        assert (p / data).max() <= 1 / (1 - ratio * (num - 1)) + 1e-9
    assert (p - data)[0] > 0.05  # it is a bound on something that moves


def test_the_bounds_at_their_edges():
    assert increase_bound([1.0, 1.0, 1.0], 4) == 0
    assert isnan(increase_bound([1.0], 4))
    # by hand: Var(e^0, e^1) with n - 1 is (e - 1)^2 / 2, over e, times 3 / 4
    assert increase_bound([0.0, 1.0], 4) == pytest.approx(0.75 * (exp(1) - 1) ** 2 / 2 / exp(1))
    assert mixing_bound(0.0, 5) == 0 and mixing_bound(0.25, 5) == inf
    with pytest.raises(ValueError, match="above the largest"):
        increase_bound([0.0, 2.0], 2, largest=1.0)
    with pytest.raises(ValueError, match="sum to 1"):
        picked([0.5, 0.6], [0.0, 1.0], 2)


@pytest.mark.slow
@pytest.mark.parametrize(("change", "least_k3"), [(0.3, 0.9), (2.0, 0.8)])
def test_the_intervals_of_both_estimators_cover_about_as_the_docstring_says(change, least_k3):
    rng, vocab, length, runs = np.random.default_rng(0), 20, 16, 150
    covered = np.zeros(2)
    for _ in range(runs):
        base = rng.normal(size=(vocab, vocab)) * 1.5
        both = [np.exp(x) for x in (base + rng.normal(size=base.shape) * change, base)]
        p, q = (x / x.sum(1, keepdims=True) for x in both)
        place, exact = np.full(vocab, 1 / vocab), 0.0
        for _ in range(length):
            exact += float(place @ (p * np.log(p / q)).sum(1))
            place = place @ p
        last, gaps = rng.integers(vocab, size=256), []
        for _ in range(length):
            told = (rng.random(256)[:, None] > p.cumsum(1)[last]).sum(1).clip(0, vocab - 1)
            gaps.append(np.log(p[last, told] / q[last, told]))
            last = told
        each = [sequence_kl(gap, np.zeros(length)) for gap in np.stack(gaps, 1)]
        for k, values in enumerate(np.array(each).T):
            found = t_interval(values.reshape(64, 4).mean(1).tolist())
            covered[k] += found.low <= exact <= found.high
    assert covered[0] / runs > 0.9
    assert covered[1] / runs > least_k3
