"""Advantages, ratios, clips, values and importance weights: definitions, laws, edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import ConfigError
from askesis.formulas.advantages import (
    group_centred,
    group_standardised,
    has_signal,
    leave_one_out,
    overlong_penalty,
    role_baselines,
    running_baseline,
)
from askesis.formulas.credit import outcome_per_turn, process_advantages, spread, turn_returns
from askesis.formulas.means import sequence_shares, weighted_mean
from askesis.formulas.moments import Moments, scaled_rewards, update_moments, whitened
from askesis.formulas.off_policy import mismatch, truncated_weight
from askesis.formulas.policy_gradient import (
    clipped,
    is_clipped,
    reinforce,
    sequence_ratio,
    token_ratio,
)
from askesis.formulas.returns import explained_variance, gae
from askesis.formulas.values import value_loss
from tests.formulas.gradients import agrees_with_finite_differences, drawn, gradient

quick = settings(max_examples=40, deadline=None)
rewards_of_a_group = st.lists(st.floats(-100, 100), min_size=2, max_size=12)
ONES = torch.ones(3, 4, dtype=torch.float64)


# ---------------------------------------------------------------- advantages of groups


@quick
@given(rewards_of_a_group)
def test_group_advantages_sum_to_zero(rewards):
    for advantages in (group_centred, group_standardised, leave_one_out):
        assert advantages(rewards).sum() == pytest.approx(0, abs=1e-9 * (1 + 100 * len(rewards)))


@quick
@given(rewards_of_a_group)
def test_leaving_one_out_is_the_textbook_form(rewards):
    found = leave_one_out(rewards)
    for i, reward in enumerate(rewards):
        others = rewards[:i] + rewards[i + 1 :]
        assert found[i] == pytest.approx(reward - sum(others) / len(others), abs=1e-9)


@quick
@given(rewards_of_a_group, st.floats(0.1, 10), st.floats(-5, 5))
def test_standardised_advantages_do_not_see_scale_and_shift(rewards, scale, shift):
    rewards = np.round(rewards, 3)
    if np.ptp(rewards) < 1e-3:
        return
    found = group_standardised(scale * rewards + shift, epsilon=0)
    assert found == pytest.approx(group_standardised(rewards, epsilon=0), abs=1e-6)
    assert found.std() == pytest.approx(1)


def test_dividing_by_one_less_is_a_factor_on_every_advantage():
    rewards = [1.0, 0.0, 0.0, 0.5]
    ratio = group_standardised(rewards, 0, ddof=1) / group_standardised(rewards, 0, ddof=0)
    assert ratio == pytest.approx([math.sqrt(3 / 4)] * 4)


@pytest.mark.parametrize("rewards", [[0.1, 0.1, 0.1], [7.0], []])
def test_equal_rewards_teach_exactly_nothing(rewards):
    assert group_centred(rewards).tolist() == [0.0] * len(rewards)
    assert group_standardised(rewards).tolist() == [0.0] * len(rewards)
    assert not has_signal(rewards)
    if len(rewards) != 1:
        assert leave_one_out(rewards).tolist() == [0.0] * len(rewards)


def test_a_group_of_one_has_nothing_to_leave_out():
    with pytest.raises(ConfigError, match=r"at least two attempts a task; found a group of one"):
        leave_one_out([1.0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "formula",
    [
        group_centred,
        group_standardised,
        leave_one_out,
        has_signal,
        turn_returns,
        lambda r: running_baseline(0.0, r),
        lambda r: update_moments(Moments(), r),
        lambda r: gae(r, [0.0, 0.0]),
        lambda r: process_advantages([r]),
    ],
)
def test_rewards_that_are_not_finite_are_refused_with_their_place(formula, bad):
    with pytest.raises(ConfigError, match=rf"must be finite numbers; found {bad} at position 1"):
        formula([0.0, bad])


# ---------------------------------------------------------------- baselines that run


def test_a_running_baseline_is_read_before_it_is_updated():
    # hand: b = 0 -> A 1, b 0.05 -> A 0.95, b 0.0975 -> A -0.0975
    advantages, after = running_baseline(0.0, [1.0, 1.0, 0.0], decay=0.95)
    assert advantages.tolist() == pytest.approx([1.0, 0.95, -0.0975])
    assert after == pytest.approx(0.0975 * 0.95)
    assert running_baseline(0.5, [])[1] == 0.5


def test_cutting_a_stream_in_two_changes_nothing():
    rewards = drawn(20).numpy()
    whole, end = running_baseline(0.0, rewards, 0.9)
    first, middle = running_baseline(0.0, rewards[:7], 0.9)
    second, again = running_baseline(middle, rewards[7:], 0.9)
    assert np.concatenate([first, second]).tolist() == whole.tolist()
    assert again == end


def test_role_baselines_find_the_worth_of_a_seat_and_leave_the_old_ones_alone():
    before: dict = {}
    roles, rewards = [], []
    for game in range(2000):  # the first seat wins three in five of a zero-sum game
        won = game % 5 < 3
        roles += [("kuhn", 0), ("kuhn", 1)]
        rewards += [1.0, -1.0] if won else [-1.0, 1.0]
    advantages, after = role_baselines(before, roles, rewards, decay=0.99)
    assert before == {}
    assert after[("kuhn", 0)] == pytest.approx(0.2, abs=0.05)
    assert after[("kuhn", 0)] == pytest.approx(-after[("kuhn", 1)])
    late = advantages[2000:]
    assert abs(late[0::2].mean()) < 0.01  # the better seat is not encouraged
    assert np.mean(rewards[2000::2]) == pytest.approx(0.2)  # as it would be without a baseline


# ---------------------------------------------------------------- length, credit


def test_the_overlong_penalty_is_the_papers_three_pieces():
    # DAPO, equation 13, with its numbers: N = 20480, m = 4096
    found = overlong_penalty([16384, 18432, 20480, 20481], 20480, 4096)
    assert found.tolist() == [0.0, -0.5, -1.0, -1.0]
    with pytest.raises(ValueError, match="margin is in"):
        overlong_penalty([1], 10, 0)


def test_turn_returns_are_discounted_sums_of_what_came_after():
    rewards = drawn(6).numpy()
    wanted = [sum(0.9 ** (j - k) * rewards[j] for j in range(k, 6)) for k in range(6)]
    assert turn_returns(rewards, 0.9) == pytest.approx(wanted)
    assert turn_returns([0, 0, 2.0], 0.5).tolist() == outcome_per_turn(2.0, 3, 0.5).tolist()
    assert turn_returns([]).tolist() == []


def test_process_advantages_are_normalised_over_the_group_and_summed_forward():
    steps = [[1.0, 0.0, 1.0], [0.0], [1.0, 1.0]]
    flat = np.concatenate(steps)
    z = [(np.array(s) - flat.mean()) / flat.std() for s in steps]
    for found, wanted in zip(process_advantages(steps, epsilon=0), z, strict=True):
        assert found == pytest.approx(np.cumsum(wanted[::-1])[::-1])
    assert [a.tolist() for a in process_advantages([[0.5, 0.5], [0.5]])] == [[0, 0], [0]]
    assert process_advantages([]) == []


def test_values_are_spread_to_the_tokens_of_their_part():
    assert spread([1.0, 2.0], [1, 0, -1]).tolist() == [2.0, 1.0, 0.0]
    assert spread([], [-1, -1]).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="part 2 of 2"):
        spread([1.0, 2.0], [2])


# ---------------------------------------------------------------- ratios and clips


def test_on_policy_every_ratio_is_one_and_the_gradient_reinforces():
    logp, advantage = drawn(3, 4, low=-3, high=0), drawn(3, 4, seed=1)
    wanted = gradient(lambda x: reinforce(x, advantage, ONES, 12.0), logp)
    assert torch.allclose(wanted, -advantage / 12)

    def token(x):
        return weighted_mean(clipped(token_ratio(x, logp, ONES), advantage), ONES, 12.0)

    assert torch.allclose(gradient(token, logp), wanted)
    alike = advantage[:, :1].expand(3, 4)

    def sequence(x):
        ratio = sequence_ratio(x, logp, ONES)
        return weighted_mean(clipped(ratio, alike), sequence_shares(ONES), 3.0)

    assert torch.allclose(
        gradient(sequence, logp), gradient(lambda x: reinforce(x, alike, ONES, 12.0), logp)
    )


def test_the_clipped_loss_equals_ppos_equation_in_numpy():
    ratio, advantage = drawn(200, low=0.2, high=3), drawn(200, seed=1)
    r, a = ratio.numpy(), advantage.numpy()
    wanted = -np.minimum(r * a, np.clip(r, 0.8, 1.28) * a)
    assert clipped(ratio, advantage, 0.2, 0.28).numpy() == pytest.approx(wanted)
    dual = clipped(ratio, advantage, 0.2, 0.28, dual=2.0).numpy()
    assert dual == pytest.approx(np.where(a < 0, np.minimum(wanted, -2 * a), wanted))
    with pytest.raises(ValueError, match="dual is above 1"):
        clipped(ratio, advantage, dual=1.0)


def test_the_clip_fraction_counts_exactly_the_tokens_without_gradient():
    ratio, advantage = drawn(200, low=0.2, high=3), drawn(200, seed=1)
    slope = gradient(lambda x: clipped(x, advantage, 0.2, 0.28), ratio)
    assert torch.equal(slope == 0, is_clipped(ratio, advantage, 0.2, 0.28))
    assert 0.2 < is_clipped(ratio, advantage, 0.2, 0.28).double().mean() < 0.8


def test_ratios_and_losses_have_the_gradients_of_finite_differences():
    logp, old, advantage = drawn(3, 4), drawn(3, 4, seed=1), drawn(3, 4, seed=2)
    weight = ONES.clone()
    weight[0, 2:] = 0
    for make in (token_ratio, sequence_ratio):
        assert agrees_with_finite_differences(
            lambda x, make=make: clipped(make(x, old, weight), advantage, 0.2, 0.28, 3.0), logp
        )
    assert agrees_with_finite_differences(lambda x: reinforce(x, advantage, weight, 7.0), logp)


def test_the_sequence_ratio_is_the_geometric_mean_of_its_tokens():
    logp, old = drawn(2, 4), drawn(2, 4, seed=1)
    weight = torch.tensor([[0, 1, 1, 1], [0, 0, 0, 0]])
    found = sequence_ratio(logp, old, weight)
    wanted = float(torch.exp((logp - old)[0, 1:]).prod() ** (1 / 3))
    assert found[0].tolist() == pytest.approx([wanted] * 4)
    assert found[1].tolist() == [1.0] * 4  # a sequence without tokens


def test_one_token_makes_token_and_sequence_ratio_the_same():
    logp, old, one = drawn(3, 1), drawn(3, 1, seed=1), torch.ones(3, 1)
    assert torch.allclose(token_ratio(logp, old, one), sequence_ratio(logp, old, one))


def test_an_impossible_context_token_does_not_reach_the_ratio():
    logp = torch.tensor([[-math.inf, -1.0]], requires_grad=True)
    old = torch.tensor([[-math.inf, -1.0]])
    weight = torch.tensor([[0.0, 1.0]])
    for make in (token_ratio, sequence_ratio):
        ratio = make(logp, old, weight)
        (slope,) = torch.autograd.grad((ratio * weight).sum(), logp)
        assert slope.tolist() == [[0.0, 1.0]]


def test_a_token_that_became_impossible_stops_pushing():
    logp = torch.tensor([-math.inf], requires_grad=True)
    loss = clipped(token_ratio(logp, torch.tensor([-1.0]), torch.ones(1)), torch.tensor([-1.0]))
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([0.8])
    assert logp.grad.tolist() == [0.0]


# ---------------------------------------------------------------- values


@quick
@given(st.integers(1, 6), st.floats(0, 1), st.floats(0, 1), st.integers(0, 10**6))
def test_gae_is_its_sum_of_discounted_errors(length, gamma, lambda_, seed):
    rng = np.random.default_rng(seed)
    rewards, values, last = rng.normal(size=length), rng.normal(size=length), float(rng.normal())
    ahead = np.append(values[1:], last)
    delta = rewards + gamma * ahead - values
    wanted = [
        sum((gamma * lambda_) ** (j - t) * delta[j] for j in range(t, length))
        for t in range(length)
    ]
    advantages, returns = gae(rewards, values, gamma, lambda_, last)
    assert advantages == pytest.approx(wanted)
    assert returns == pytest.approx(advantages + values)


def test_gae_of_rows_is_gae_of_each_row():
    rewards, values, last = drawn(3, 5).numpy(), drawn(3, 5, seed=1).numpy(), np.array([0, 1, -1.0])
    together, _ = gae(rewards, values, 0.99, 0.9, last)
    for i in range(3):
        assert gae(rewards[i], values[i], 0.99, 0.9, last[i])[0] == pytest.approx(together[i])


def test_lambda_one_is_the_return_minus_the_value_and_lambda_zero_one_step():
    rewards, values = drawn(5).numpy(), drawn(5, seed=1).numpy()
    assert gae(rewards, values, 0.9, 1.0)[0] == pytest.approx(turn_returns(rewards, 0.9) - values)
    one_step = rewards + 0.9 * np.append(values[1:], 0) - values
    assert gae(rewards, values, 0.9, 0.0)[0] == pytest.approx(one_step)
    assert gae([], [])[0].tolist() == []
    with pytest.raises(ValueError, match="rewards have shape"):
        gae([1.0], [1.0, 2.0])


def test_the_clipped_value_loss_equals_its_definition_and_its_gradient():
    value, returns, old = drawn(3, 4), drawn(3, 4, seed=1), drawn(3, 4, seed=2)
    v, r, o = value.numpy(), returns.numpy(), old.numpy()
    near = o + np.clip(v - o, -0.2, 0.2)
    wanted = (0.5 * np.maximum((v - r) ** 2, (near - r) ** 2)).mean()
    found = value_loss(value, returns, ONES, 12.0, old, 0.2)
    assert float(found) == pytest.approx(wanted)
    assert agrees_with_finite_differences(
        lambda x: value_loss(x, returns, ONES, 12.0, old, 0.2), value
    )
    plain = value_loss(value, returns, ONES, 12.0)
    assert float(plain) == pytest.approx((0.5 * (v - r) ** 2).mean())
    assert found >= plain
    with pytest.raises(ValueError, match="needs value_old"):
        value_loss(value, returns, ONES, 1.0, clip=0.2)


def test_a_wide_clip_is_no_clip():
    value, returns, old = drawn(3, 4), drawn(3, 4, seed=1), drawn(3, 4, seed=2)
    wide = value_loss(value, returns, ONES, 1.0, old, 100.0)
    assert torch.allclose(wide, value_loss(value, returns, ONES, 1.0))


def test_explained_variance_of_a_constant_is_zero():
    assert explained_variance([1.0, 2.0, 4.0], [1.0, 2.0, 3.0]) < 1
    assert explained_variance([0.0, 1.0], [1.0, 1.0]) == 0.0
    assert explained_variance([], []) == 0.0


# ---------------------------------------------------------------- PPO-max


@quick
@given(st.lists(st.lists(st.floats(-50, 50), max_size=6), min_size=1, max_size=5))
def test_running_moments_are_those_of_everything_at_once(batches):
    moments = Moments()
    for batch in batches:
        moments = update_moments(moments, batch)
    together = np.concatenate([np.array(b, float) for b in batches])
    assert moments.num == len(together)
    if len(together):
        assert moments.mean == pytest.approx(together.mean(), abs=1e-9)
        assert moments.squares == pytest.approx(together.var() * len(together), abs=1e-6)


def test_scaling_by_the_running_spread_and_clipping():
    moments = update_moments(Moments(), [0.0, 2.0, 4.0])
    spread_ = math.sqrt(8 / 3)
    assert scaled_rewards([4.0], moments) == pytest.approx([4 / spread_])
    assert scaled_rewards([4.0], moments, centre=True) == pytest.approx([2 / spread_])
    assert scaled_rewards([4.0, -4.0], moments, clip=1.0).tolist() == [1.0, -1.0]
    assert scaled_rewards([3.0], Moments()).tolist() == [3.0]  # nothing seen yet


def test_whitening_looks_only_at_what_counts():
    mask = np.array([[0, 1, 1], [0, 0, 1]])
    advantages = np.array([[99.0, 1.0, 2.0], [np.nan, 99.0, 6.0]])
    found = whitened(advantages, mask)
    assert found[mask == 0].tolist() == [0, 0, 0]
    assert found[mask == 1].mean() == pytest.approx(0, abs=1e-9)
    assert found[mask == 1].std() == pytest.approx(1)
    kept = whitened(advantages, mask, centre=False)[mask == 1]
    assert kept == pytest.approx(np.array([1, 2, 6]) / np.array([1.0, 2, 6]).std())
    assert whitened([[1.0]], [[0]]).tolist() == [[0.0]]


# ---------------------------------------------------------------- off-policy


def test_importance_weights_are_ratios_cut_off_and_nothing_flows_back():
    old, mu = drawn(3, 4), drawn(3, 4, seed=1)
    ratio = np.exp((old - mu).numpy())
    assert truncated_weight(old, mu, ONES, 2.0).numpy() == pytest.approx(np.minimum(ratio, 2))
    whole = np.minimum(ratio.prod(1), 5.0)
    found = truncated_weight(old, mu, ONES, 5.0, "sequence").numpy()
    assert found == pytest.approx(np.repeat(whole[:, None], 4, 1))
    masked = truncated_weight(old, mu, ONES, 2.0, floor=0.5).numpy()
    assert masked == pytest.approx(np.where((ratio >= 0.5) & (ratio <= 2), ratio, 0))
    assert not truncated_weight(old.requires_grad_(), mu, ONES).requires_grad


def test_the_same_policy_has_weights_of_one_and_no_mismatch():
    logp = drawn(3, 4)
    weight = ONES.clone()
    weight[1] = 0
    assert torch.equal(truncated_weight(logp, logp, weight), weight)
    assert [float(v) for v in mismatch(logp, logp, weight, 8.0).values()] == [0, 0, 0]


def test_the_weighted_mean_over_the_samplers_tokens_is_the_learners_expectation():
    # exact: sum_v mu_v * min(p_v / mu_v, C) * f_v = sum_v p_v f_v while nothing is cut off
    p, mu = torch.softmax(drawn(6), 0), torch.softmax(drawn(6, seed=1) / 4, 0)
    f = drawn(6, seed=2)
    weights = truncated_weight(p.log(), mu.log(), torch.ones(6), cap=1e9)
    assert float((mu * weights * f).sum()) == pytest.approx(float((p * f).sum()))


def test_the_mismatch_is_the_divergence_in_expectation():
    p, mu = torch.softmax(drawn(6), 0), torch.softmax(drawn(6, seed=1), 0)
    gap = mismatch(p.log(), mu.log(), torch.ones(6), 1.0)
    assert set(gap) == {"gap", "kl", "square"}
    each = torch.stack([mismatch(p[i : i + 1].log(), mu[i : i + 1].log(), torch.ones(1), 1.0)["kl"]
                        for i in range(6)])  # fmt: skip
    assert float((mu * each).sum()) == pytest.approx(float((mu * (mu / p).log()).sum()))


def test_bad_options_of_importance_weights_are_refused():
    one = torch.zeros(1, 1)
    with pytest.raises(ValueError, match="level is token or sequence"):
        truncated_weight(one, one, one, level="word")
    with pytest.raises(ValueError, match="cap is at least 1"):
        truncated_weight(one, one, one, cap=0.5)
