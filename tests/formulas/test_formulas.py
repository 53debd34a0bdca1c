"""Formulas against published values, other implementations, and brute force."""

from __future__ import annotations

import doctest
import importlib
import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.formulas.intervals import (
    clustered_mean,
    detectable_difference,
    mcnemar,
    paired_bootstrap,
    paired_difference,
    t_interval,
    wilson,
)
from askesis.formulas.pass_at_k import majority_at_k, mean_pass_at_k, pass_at_k, vote
from askesis.formulas.schedules import schedule_factor
from askesis.formulas.supervised import sequence_mean_nll, weighted_nll

quick = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize("module", ["supervised", "pass_at_k", "intervals", "schedules"])
def test_the_examples_in_the_docstrings_are_right(module):
    found = doctest.testmod(importlib.import_module(f"askesis.formulas.{module}"))
    assert found.attempted >= 1
    assert found.failed == 0


# ---------------------------------------------------------------- pass@k and votes


def test_pass_at_k_equals_the_product_form_of_the_paper():
    # Chen et al. 2021, figure 3: 1 - prod(1 - k / arange(n - c + 1, n + 1)), their own code's form
    for n, c, k in [(10, 3, 1), (10, 3, 5), (200, 7, 100), (8, 1, 8), (16, 0, 4)]:
        wanted = 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)) if n - c >= k else 1.0
        assert pass_at_k(n, c, k) == pytest.approx(wanted, abs=1e-12)


@quick
@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(right, data):
    k = data.draw(st.integers(1, len(right)))
    subsets = [any(s) for s in itertools.combinations(right, k)]
    assert pass_at_k(len(right), sum(right), k) == pytest.approx(np.mean(subsets))


@quick
@given(st.lists(st.sampled_from(["", "1", "2", "3", "4"]), min_size=1, max_size=7), st.data())
def test_majority_at_k_is_the_mean_over_all_subsets(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    good = data.draw(st.sets(st.sampled_from(["1", "2", "3", "4"])))
    correct = [a in good for a in answers]

    def won(subset: tuple[str, ...]) -> float:
        counts = Counter(a for a in subset if a)
        winners = [a for a, n in counts.items() if n == max(counts.values())]
        return sum(a in good for a in winners) / len(winners) if winners else 0.0

    wanted = np.mean([won(s) for s in itertools.combinations(answers, k)])
    assert majority_at_k(answers, correct, k) == pytest.approx(wanted)


def test_a_vote_of_one_is_pass_at_one():
    answers, correct = ["1", "2", "1", ""], [True, False, True, False]
    assert majority_at_k(answers, correct, 1) == pytest.approx(pass_at_k(4, 2, 1))


def test_a_vote_names_ties_and_counts_abstentions():
    assert vote(["a", "b"]) == ("a", 0.5, True)
    assert vote(["", "", "b"]) == ("b", pytest.approx(1 / 3), False)
    assert vote([]) == ("", 0.0, True)
    assert vote(["", ""]) == ("", 0.0, True)


def test_impossible_counts_are_refused():
    for n, c, k in [(3, 4, 1), (3, 1, 4), (3, 1, 0), (0, 0, 1), (3, -1, 1)]:
        with pytest.raises(ValueError, match="need 1 <= k <= n"):
            pass_at_k(n, c, k)
    with pytest.raises(ValueError, match="both right and wrong"):
        majority_at_k(["a", "a"], [True, False], 1)
    assert math.isnan(mean_pass_at_k([], [], 1))


def test_a_large_vote_is_counted_in_milliseconds():
    import time

    answers = [str(i % 20) for i in range(64)]
    began = time.perf_counter()
    value = majority_at_k(answers, [a == "0" for a in answers], 32)
    assert 0 < value < 0.5
    assert time.perf_counter() - began < 2


# ---------------------------------------------------------------- intervals


@pytest.mark.parametrize(
    ("x", "n", "confidence", "low", "high"),
    [  # scipy 1.17.1: binomtest(x, n).proportion_ci(confidence, method="wilson")
        (8, 10, 0.95, 0.4901624715366418, 0.9433178485456248),
        (0, 20, 0.95, 0.0, 0.16112515805281935),
        (45, 100, 0.9, 0.370560970694454, 0.5320733013838636),
    ],
)
def test_wilson_equals_scipy(x, n, confidence, low, high):
    found = wilson(x, n, confidence)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high))


def test_wilson_knows_its_edges():
    assert wilson(0, 5).low == 0
    assert wilson(5, 5).high == 1
    nothing = wilson(0, 0)
    assert (nothing.low, nothing.high) == (0, 1)
    with pytest.raises(ValueError, match="impossible"):
        wilson(6, 5)


def test_paired_difference_equals_the_paired_t_test_of_scipy():
    # scipy 1.17.1: ttest_rel([1,0,1,1],[0,0,1,1]).confidence_interval()
    found = paired_difference([0, 0, 1, 1], [1, 0, 1, 1])
    assert found.low == pytest.approx(-0.5456115763209269)
    assert found.high == pytest.approx(1.045611576320927)


def test_one_seed_says_nothing_about_the_spread():
    assert t_interval([0.4]).low == -math.inf
    assert math.isnan(t_interval([]).value)


def test_t_interval_of_five_seeds_covers_the_mean_nineteen_times_in_twenty():
    rng = np.random.default_rng(1)
    found = [t_interval(rng.normal(size=5)) for _ in range(1000)]
    assert 0.93 < np.mean([e.low < 0 < e.high for e in found]) < 0.97


def test_attempts_at_one_task_do_not_count_as_independent():
    clusters = [[1.0] * 8, [0.0] * 8, [1.0] * 8, [0.0] * 8]
    wide = clustered_mean(clusters)
    assert wide.high - wide.low > 0.9
    assert wilson(16, 32).high - wilson(16, 32).low < 0.4


def test_all_right_still_has_an_interval():
    found = clustered_mean([[1.0, 1.0]] * 20)
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.8 < found.low < 0.9
    assert clustered_mean([]).high == 1


def test_the_bootstrap_agrees_with_the_t_interval_on_many_tasks_and_repeats_itself():
    rng = np.random.default_rng(0)
    first, second = rng.random(400), rng.random(400) + 0.1
    bootstrap = paired_bootstrap(first, second, np.random.default_rng(5))
    normal = paired_difference(first, second)
    assert bootstrap.low == pytest.approx(normal.low, abs=0.01)
    assert bootstrap == paired_bootstrap(first, second, np.random.default_rng(5))


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [  # scipy 1.17.1: binomtest(b, b + c).pvalue
        (1, 8, 0.0390625), (6, 10, 0.454498291015625), (5, 5, 1.0), (0, 0, 1.0),
    ],
)  # fmt: skip
def test_mcnemar_equals_the_exact_binomial_test(b, c, p):
    assert mcnemar(b, c) == pytest.approx(p)
    assert mcnemar(c, b) == pytest.approx(p)


def test_the_detectable_difference_is_found_as_often_as_promised():
    rng = np.random.default_rng(2)
    n, sd = 128, 0.3
    drop = detectable_difference(sd / n**0.5)
    found = [paired_difference(np.zeros(n), rng.normal(-drop, sd, n)).high < 0 for _ in range(1000)]
    assert 0.76 < np.mean(found) < 0.84


# ---------------------------------------------------------------- schedules


def test_schedules_rise_to_one_and_never_waste_an_update():
    for name in ("constant", "linear", "cosine"):
        factors = [schedule_factor(name, u, 100, 10) for u in range(100)]
        assert max(factors) == 1.0
        assert min(factors) > 0
        assert factors[:10] == pytest.approx([(u + 1) / 10 for u in range(10)])
    assert schedule_factor("cosine", 55, 100, 10) == pytest.approx(0.5)
    assert schedule_factor("linear", 99, 100, 0, floor=0.1) == pytest.approx(0.109)


def test_a_schedule_of_one_update_is_one():
    assert [schedule_factor(n, 0, 1) for n in ("constant", "linear", "cosine")] == [1, 1, 1]
    with pytest.raises(ValueError, match="schedule is one of"):
        schedule_factor("sawtooth", 0, 1)
    with pytest.raises(ValueError, match="need 0 <= update"):
        schedule_factor("linear", 3, 3)


# ---------------------------------------------------------------- supervised


@pytest.mark.parametrize("formula", [weighted_nll, sequence_mean_nll])
def test_supervised_gradients_equal_finite_differences(formula):
    logp = -torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0], [0, -0.5, 2, 1]], dtype=torch.float64)
    logp.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: formula(x, weight, 3.5), (logp,))


@pytest.mark.parametrize("formula", [weighted_nll, sequence_mean_nll])
def test_context_has_no_influence_even_where_it_is_impossible(formula):
    logp = torch.tensor([[-math.inf, -1.0]], requires_grad=True)
    loss = formula(logp, torch.tensor([[0.0, 1.0]]), 1.0)
    loss.backward()
    assert loss.item() == 1.0
    assert logp.grad.tolist() == [[0.0, -1.0]]


def test_a_step_without_weights_has_loss_zero():
    logp = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    for formula in (weighted_nll, sequence_mean_nll):
        assert formula(logp, torch.zeros(1, 2), 1.0).item() == 0.0
