"""Likelihoods: weighted, reward-weighted, of sets, anchored, A-LoL, NFT."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from askesis.errors import ConfigError
from askesis.formulas.advantages import group_centred, group_standardised
from askesis.formulas.leftover import IMPORTANCES, leftover_lunch
from askesis.formulas.means import masked, sequence_shares, sequence_sum, weighted_mean
from askesis.formulas.nft import PRIORITIES, nft, priority
from askesis.formulas.policy_gradient import clipped, token_ratio
from askesis.formulas.set_likelihood import beta_mml, logsumexp_by_set, mle_augmented, mml
from askesis.formulas.supervised import (
    anchored_nll,
    reward_weighted_nll,
    reward_weights,
    weighted_nll,
)
from tests.formulas.gradients import agrees_with_finite_differences, drawn, gradient

SETS = torch.tensor([0, 0, 0, 2, 2])  # set 1 is empty


# ---------------------------------------------------------------- means


def test_the_three_means_of_a_step_are_what_they_say():
    x = torch.tensor([[1.0, 2.0, 3.0], [10.0, 0.0, 0.0]])
    w = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    assert float(weighted_mean(x, w, 4)) == 4.0  # (1 + 2 + 3 + 10) / 4
    assert float(weighted_mean(x, sequence_shares(w), 2)) == 6.0  # (2 + 10) / 2
    assert float(weighted_mean(x, w, 2 * 8)) == 1.0  # 16 / 16


def test_nothing_flows_back_from_a_masked_place_even_from_a_nan():
    x = torch.tensor([math.nan, -math.inf, 2.0], requires_grad=True)
    weight = torch.tensor([0.0, 0.0, 1.0])
    weighted_mean(masked(x, weight).exp(), weight, 1.0).backward()
    assert x.grad.tolist() == pytest.approx([0, 0, math.exp(2)])
    assert sequence_sum(x[None], weight[None]).tolist() == [2.0]


# ---------------------------------------------------------------- reward-weighted


def test_reward_weights_sum_to_the_number_of_answers_and_sharpen_as_it_cools():
    rewards = np.array([0.1, 0.9, 0.5])
    for temperature in (0.1, 1.0, 100.0):
        weights = reward_weights(rewards, temperature)
        # independent: n times the softmax, scipy
        wanted = 3 * np.exp(rewards / temperature - logsumexp(rewards / temperature))
        assert weights == pytest.approx(wanted)
        assert weights.sum() == pytest.approx(3)
    assert reward_weights(rewards, 1e-3).round(6).tolist() == [0, 3, 0]
    assert reward_weights([], 1.0).tolist() == []
    assert reward_weights([1000.0, 0.0], 1e-2).tolist() == [2, 0]  # no overflow


def test_reward_weighting_with_zeros_and_ones_is_likelihood_of_the_right_ones():
    logp, mask = drawn(3, 4, low=-3, high=0), torch.ones(3, 4, dtype=torch.float64)
    reward = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    wanted = weighted_nll(logp[[0, 2]], mask[[0, 2]], 8.0)
    assert torch.allclose(reward_weighted_nll(logp, mask, reward, 8.0), wanted)
    assert agrees_with_finite_differences(lambda x: reward_weighted_nll(x, mask, reward, 3.0), logp)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_rewards_that_cannot_be_weights_are_refused(bad):
    with pytest.raises(ConfigError, match=r"nan at position 1|inf at position 1|at least 0"):
        reward_weights([1.0, bad])


# ---------------------------------------------------------------- sets


@pytest.mark.parametrize("beta", [0.25, 1.0])
def test_beta_mml_equals_its_definition(beta):
    logp = drawn(5, low=-30, high=-1)
    parts = [logsumexp(beta * logp[k == SETS].numpy()) / beta for k in (0, 2)]  # scipy, float64
    assert float(beta_mml(logp, SETS, 3, beta, norm=2.0)) == pytest.approx(-sum(parts) / 2)
    if beta == 1:
        assert float(mml(logp, SETS, 3, 2.0)) == pytest.approx(-sum(parts) / 2)


@pytest.mark.parametrize("beta", [0.25, 1.0])
def test_the_gradient_weighs_answers_by_their_own_probability_to_the_beta(beta):
    logp = drawn(5, low=-6, high=-1)
    found = gradient(lambda x: beta_mml(x, SETS, 3, beta, 1.0), logp)
    for k in (0, 2):
        member = k == SETS
        assert torch.allclose(found[member], -torch.softmax(beta * logp[member], 0))
    assert agrees_with_finite_differences(lambda x: beta_mml(x, SETS, 3, beta, 1.0), logp)


def test_towards_beta_zero_the_gradient_is_that_of_mle_augmented_over_the_sets_size():
    logp = drawn(3, low=-6, high=-1)
    one_set = torch.zeros(3, dtype=torch.int64)
    small = gradient(lambda x: beta_mml(x, one_set, 1, 1e-6, 1.0), logp)
    assert torch.allclose(small, gradient(lambda x: mle_augmented(x, 3.0), logp), atol=1e-5)


def test_an_answer_that_is_impossible_counts_nothing_beside_a_possible_one():
    logp = torch.tensor([-math.inf, -1.0, -2.0], requires_grad=True)
    loss = beta_mml(logp, torch.tensor([0, 0, 1]), 2, 1.0, 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(3.0)
    assert logp.grad.tolist() == [0.0, -1.0, -1.0]
    nothing = beta_mml(torch.tensor([-math.inf]), torch.tensor([0]), 1, 1.0, 1.0)
    assert nothing.item() == math.inf  # and the trainer refuses such an update


def test_one_answer_is_plain_likelihood_and_an_empty_set_nothing():
    logp = torch.tensor([-3.0])
    assert beta_mml(logp, torch.tensor([1]), 4, 0.25, 1.0).item() == pytest.approx(3.0)
    assert beta_mml(logp[:0], torch.zeros(0, dtype=torch.int64), 2, 0.5, 1.0).item() == 0.0
    assert logsumexp_by_set(logp, torch.tensor([1]), 2).tolist() == [-math.inf, -3.0]
    with pytest.raises(ValueError, match="beta is in"):
        beta_mml(logp, torch.tensor([0]), 1, 0.0, 1.0)


# ---------------------------------------------------------------- SuperHF


def test_the_anchor_pulls_only_where_the_divergence_is_above_zero():
    nll, kl = drawn(1, low=1, high=2)[0], drawn(1, low=0.1, high=1, seed=1)[0]
    assert float(anchored_nll(nll, kl, 0.5)) == pytest.approx(float(nll + 0.5 * kl))
    assert float(anchored_nll(nll, -kl, 0.5)) == float(nll)
    assert agrees_with_finite_differences(lambda a, b: anchored_nll(a, b, 0.23, 0.1), nll, kl)
    # the guard: c / L makes loss small + guard larger than a moderate loss
    low = anchored_nll(torch.tensor(0.01), torch.tensor(0.0), 0.0, entropy_guard=0.1)
    assert low > anchored_nll(torch.tensor(0.3), torch.tensor(0.0), 0.0, entropy_guard=0.1)


# ---------------------------------------------------------------- A-LoL


def _lol(importance: str, kl_coef: float = 0.0) -> float:
    """The formula written down again in numpy, float64."""
    logp, ref = drawn(3, 4, low=-2, high=0).numpy(), drawn(3, 4, low=-2, high=0, seed=1).numpy()
    gap, advantage = logp - ref, drawn(3, low=0, high=1, seed=2).numpy()
    if importance == "sequence":
        w = np.clip(np.exp(gap.sum(1, keepdims=True)), 0.1, 1.9)
    elif importance == "token":
        w = np.clip(np.exp(gap), 0.1, 1.9)
    else:
        w = np.ones_like(gap) if importance == "none" else np.maximum(np.exp(logp), 0.1)
    return float((-(advantage * (w * logp).sum(1)) + kl_coef * gap.sum(1)).sum() / 3)


@pytest.mark.parametrize("importance", IMPORTANCES)
def test_every_variant_of_a_lol_is_the_same_weighted_likelihood(importance):
    logp, ref = drawn(3, 4, low=-2, high=0), drawn(3, 4, low=-2, high=0, seed=1)
    advantage, ones = drawn(3, low=0, high=1, seed=2), torch.ones(3, 4)
    found = leftover_lunch(logp, ones, advantage, 3.0, ref, importance)
    assert float(found) == pytest.approx(_lol(importance))
    # nothing flows back through the importance weight: the gradient is -A * w / norm
    slope = gradient(lambda x: leftover_lunch(x, ones, advantage, 3.0, ref, importance), logp)
    again = leftover_lunch(logp, ones, advantage, 3.0, ref, importance)
    assert float((slope * logp).sum()) == pytest.approx(float(again))


def test_a_lol_without_reference_is_reward_weighted_likelihood():
    logp, advantage, ones = drawn(3, 4, low=-2, high=0), drawn(3, low=0, high=1), torch.ones(3, 4)
    found = leftover_lunch(logp, ones, advantage, 2.0, importance="none")
    assert torch.allclose(found, reward_weighted_nll(logp, ones.double(), advantage, 2.0))
    assert agrees_with_finite_differences(
        lambda x: leftover_lunch(x, ones, advantage, 2.0, importance="none"), logp
    )
    advantage, ref = drawn(3, low=0, high=1, seed=2), drawn(3, 4, low=-2, high=0, seed=1)
    leashed = leftover_lunch(logp, ones, advantage, 3.0, ref, "none", kl_coef=0.5)
    assert float(leashed) == pytest.approx(_lol("none", 0.5))


def test_the_kl_of_a_lol_only_shifts_the_advantage():
    logp, ref, ones = drawn(2, 3, low=-2, high=0), drawn(2, 3, seed=1), torch.ones(2, 3)
    advantage = torch.tensor([0.3, 0.8], dtype=torch.float64)
    with_kl = gradient(
        lambda x: leftover_lunch(x, ones, advantage, 2.0, ref, "none", kl_coef=0.5), logp
    )
    shifted = gradient(
        lambda x: leftover_lunch(x, ones, advantage - 0.5, 2.0, importance="none"), logp
    )
    assert torch.allclose(with_kl, shifted)


def test_a_lol_says_what_it_needs():
    logp, ones = torch.zeros(1, 2), torch.ones(1, 2)
    with pytest.raises(ValueError, match="logp_reference is needed"):
        leftover_lunch(logp, ones, torch.ones(1), 1.0)
    with pytest.raises(ValueError, match="importance is one of"):
        leftover_lunch(logp, ones, torch.ones(1), 1.0, logp, "both")


# ---------------------------------------------------------------- NFT


def test_nft_equals_its_definition_in_numpy():
    ratio, r = np.array([0.5, 1.2, 0.7, 1.6]), np.array([0.25, 0.25, 0.5, 0.5])
    right = np.array([1, 1, 0, 0])
    wanted = np.where(right, -np.log(ratio), -np.log(np.maximum((1 - r * ratio) / (1 - r), 1.0)))
    found = nft(torch.tensor(ratio), torch.tensor(right), torch.tensor(r))
    assert found.numpy() == pytest.approx(wanted)


@pytest.mark.parametrize("num_right", [1, 4, 8, 12, 15])
@pytest.mark.parametrize(
    ("mode", "advantages"),
    [("hard", group_centred), ("standardised", lambda r: group_standardised(r, epsilon=0))],
)
def test_on_policy_nft_has_the_gradient_of_grpo(num_right, mode, advantages):
    # card [222]: mode 1 is Dr. GRPO's advantage, mode 2 GRPO's (its std divides by G)
    rewards = np.array([1.0] * num_right + [0.0] * (16 - num_right))
    logp = drawn(16, low=-3, high=0)
    weight = torch.ones(16, dtype=torch.float64)
    share = torch.full((16,), num_right / 16, dtype=torch.float64)

    def by_nft(x):
        loss = nft(token_ratio(x, logp, weight), torch.tensor(rewards), share)
        return weighted_mean(loss * float(priority(num_right / 16, mode)), weight, 16.0)

    def by_grpo(x):
        ratio = token_ratio(x, logp, weight)
        return weighted_mean(clipped(ratio, torch.tensor(advantages(rewards))), weight, 16.0)

    assert torch.allclose(gradient(by_nft, logp), gradient(by_grpo, logp), atol=1e-12)


def test_without_negatives_nft_is_rejection_sampling_fine_tuning():
    logp, old = drawn(4, low=-3, high=0), drawn(4, low=-3, high=0, seed=1)
    right, weight = torch.tensor([1, 0, 1, 0]), torch.ones(4)
    half = torch.full((4,), 0.5, dtype=torch.float64)
    found = gradient(lambda x: nft(token_ratio(x, old, weight), right, half, negative_coef=0), logp)
    assert torch.allclose(found, gradient(lambda x: weighted_nll(x, right.double(), 1.0), logp))


def test_the_push_of_a_wrong_token_is_capped_above_the_ratio_of_one_and_shrinks_below():
    half = torch.full((3,), 0.5, dtype=torch.float64)
    logp = torch.log(torch.tensor([0.5, 1.0, 1.8], dtype=torch.float64))
    wrong, old = torch.zeros(3), torch.zeros(3, dtype=torch.float64)
    slope = gradient(lambda x: nft(token_ratio(x, old, torch.ones(3)), wrong, half), logp)
    # d/dlogp of -log((1 - r R)/(1 - r)) is r R / ((1 - r) * max(implied, 1)):
    # R = .5: .5/1.5; R = 1: 1; R = 1.8: 1.8 / 1 with the clamp, against 1.8 / 0.2 without it
    assert slope.tolist() == pytest.approx([1 / 3, 1.0, 1.8])


def test_a_ratio_whose_implied_probability_is_negative_stays_finite():
    found = nft(torch.tensor([10.0]), torch.tensor([0]), torch.tensor([1.0]))
    assert found.isfinite().all()


def test_priorities_are_clamped_and_named():
    for mode in PRIORITIES:
        assert np.isfinite(priority([0.0, 1.0], mode)).all()
    with pytest.raises(ValueError, match="mode is one of"):
        priority(0.5, "soft")


def test_right_answers_have_the_gradient_of_finite_differences():
    r = torch.full((4,), 0.25, dtype=torch.float64)
    right = torch.tensor([1, 0, 1, 0])
    # below a ratio of one the maximum is not felt, so finite differences see the same function
    ratio = drawn(4, low=0.3, high=0.9)
    assert agrees_with_finite_differences(lambda x: nft(x, right, r), ratio)
