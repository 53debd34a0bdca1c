"""Schedules over calls, over rounds, and refined from an earlier run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import ConfigError
from askesis.formulas.schedules import infinite_factor, refined_factors
from askesis.learn.learner import Learn
from askesis.learn.optimizer import num_made
from askesis.learn.rates import factor_of, refined_curve
from tests.learn.fakes import Learning, Net, samples


def test_the_infinite_schedule_goes_on_over_rounds_and_is_not_warmed_up_again():
    learn = Learn(
        schedule="infinite",
        warmup_updates=4,
        cooldown_updates=8,
        level=0.25,
        num_updates=3,
        batch_tokens=60,
        learning_rate=0.4,
    )
    model, rates = Net(), []
    for i in range(4):
        learn.learn(Learning(i), model, samples(10), [])
        rates.append(model.optimizer.param_groups[0]["lr"])
        assert num_made(model.optimizer) == 3 * (i + 1)
    expected = [0.4 * infinite_factor(u, 4, 8, 0.25) for u in (2, 5, 8, 11)]
    assert rates == pytest.approx(expected)
    assert rates[2] == rates[3] == pytest.approx(0.1)


def test_the_infinite_schedule_anneals_when_the_model_is_to_be_used():
    learn = Learn(
        schedule="infinite", warmup_updates=2, cooldown_updates=4, level=0.25, anneal_after=6,
        anneal_updates=4, anneal_floor=0.01, num_updates=1, batch_tokens=1000, learning_rate=0.4,
    )  # fmt: skip
    model, rates = Net(), []
    for i in range(12):
        learn.learn(Learning(i), model, samples(4), [])
        rates.append(model.optimizer.param_groups[0]["lr"] / 0.4)
    # card [13]: level until the anneal begins, then level * (floor / level) ** q, q = 1/4 to 1
    falling = [0.25 * (0.01 / 0.25) ** q for q in (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.625, 0.25, 0.25, *falling])
    for bad in (
        {"anneal_after": 5},
        {"schedule": "infinite", "anneal_after": 9},
        {"schedule": "infinite", "anneal_floor": 0.5},
        {"schedule": "infinite", "anneal_updates": 0},
    ):
        with pytest.raises(ConfigError, match=r"Learn\.anneal_\w+ is out of range; expected"):
            Learn(**bad)


def test_a_saved_optimiser_remembers_where_the_infinite_schedule_is(tmp_path):
    learn = Learn(
        schedule="infinite", warmup_updates=10, cooldown_updates=20, num_updates=3, batch_tokens=60
    )
    model = Net()
    learn.learn(Learning(), model, samples(10), [])
    model.save_state(tmp_path)
    again = Net()
    again.load_state(tmp_path)
    learn.learn(Learning(1), again, samples(10), [])
    assert again.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * 6 / 10)


def test_constant_gradient_norms_refine_to_the_linear_schedule():
    # card [257]: exactly 1 - t / T for constant norms
    np.testing.assert_allclose(refined_factors([3.0] * 50), 1 - np.arange(50) / 49, atol=1e-15)


def test_norms_that_fall_at_first_make_a_warm_up_and_rising_ones_an_early_end():
    # card [257] reports a warm-up of the same tenth, and 0.016 at 90 % where linear has 0.1
    steps = np.arange(1000)
    falling = np.where(steps < 100, np.geomspace(15, 1, 100)[np.minimum(steps, 99)], 1.0)
    early = refined_factors(falling)
    assert early[0] < 0.15  # 1 / 15, and the running median looks 50 updates ahead
    assert 80 <= int(early.argmax()) <= 120
    rising = np.where(steps > 850, np.geomspace(1, 16, 149)[np.clip(steps - 851, 0, 148)], 1.0)
    assert refined_factors(rising)[900] < 0.05


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=80).map(tuple),
    st.integers(1, 60),
    st.sampled_from([1, 2]),
)
def test_refined_factors_are_shares_of_the_peak_and_no_update_is_wasted(norms, num_updates, power):
    found = refined_factors(norms, power)
    assert found.shape == (len(norms),)
    assert found.max() == 1.0 and found[-1] == 0.0 and (found >= 0).all()
    curve = refined_curve(norms, num_updates)
    assert curve.shape == (num_updates,) and (curve > 0).all() and curve.max() == 1.0


def test_the_refined_schedule_reaches_the_optimiser():
    learn = Learn(
        schedule="refined",
        grad_norms=(2.0, 2.0, 2.0),
        num_updates=4,
        batch_tokens=60,
        learning_rate=0.4,
    )
    assert [factor_of(learn, u, 4, 0) for u in range(4)] == pytest.approx([1, 0.75, 0.5, 0.25])
    model = Net()
    learn.learn(Learning(), model, samples(10), [])
    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_the_infinite_schedule_is_continuous_where_its_parts_meet_and_ends_where_it_should():
    whole = [infinite_factor(u, 50, 150, 0.1, 800, 1000, 0.01) for u in range(1000)]
    assert max(abs(a - b) for a, b in pairwise(whole[50:])) < 0.02
    assert whole[49] == whole[50] == 1.0
    assert whole[400] == 0.1
    assert whole[999] == pytest.approx(0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"warmup_updates": 9, "cooldown_updates": 8}, {"level": 0.0}, {"schedule": "refined"},
        {"grad_norms": (1.0, 0.0)}, {"precision": "int8"}, {"together": "group"},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_refused_in_one_line(wrong):
    with pytest.raises(ConfigError, match=r"Learn") as refused:
        Learn(**wrong)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="at least two"):
        refined_factors([1.0])
    with pytest.raises(ValueError, match="warmup_end"):
        infinite_factor(0, 3, 2)
