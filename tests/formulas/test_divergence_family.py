"""Divergences, entropies and distillation: exact sums over small vocabularies are the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from scipy.stats import entropy as scipy_entropy

from askesis.errors import ConfigError
from askesis.formulas.distillation import distillation, distillation_rewards
from askesis.formulas.divergences import (
    ESTIMATORS,
    centred_kl,
    entropy,
    forward_kl_estimate,
    kl,
    kl_estimate,
    kl_rewards,
)
from tests.formulas.gradients import agrees_with_finite_differences, drawn, gradient

LOGITS, OTHER = drawn(4, 7), drawn(4, 7, seed=1)
P, Q = torch.softmax(LOGITS, -1), torch.softmax(OTHER, -1)


def test_exact_divergence_and_entropy_equal_scipys():
    assert kl(LOGITS, OTHER).numpy() == pytest.approx(rel_entr(P, Q).sum(-1).numpy())
    assert entropy(LOGITS).numpy() == pytest.approx(scipy_entropy(P.numpy(), axis=-1))
    assert agrees_with_finite_differences(lambda x, y: kl(x, y), LOGITS, OTHER)
    assert agrees_with_finite_differences(entropy, LOGITS)


def test_k1_k3_and_the_forward_estimate_have_the_right_value_on_the_policys_samples():
    logp, logq = P.log(), Q.log()
    for name in ("k1", "k3"):
        mean = (P * kl_estimate(logp, logq, name)).sum(-1)
        assert mean.numpy() == pytest.approx(kl(LOGITS, OTHER).numpy())
    mean = (P * forward_kl_estimate(logp, logq)).sum(-1)
    assert mean.numpy() == pytest.approx(kl(OTHER, LOGITS).numpy())


def test_the_three_estimators_agree_at_equal_distributions_and_to_second_order_near_them():
    logp = P.log()
    for name in ESTIMATORS:
        assert kl_estimate(logp, logp, name).abs().max() == 0
    near = torch.log_softmax(LOGITS + 1e-3 * OTHER, -1)
    found = [float((P * kl_estimate(logp, near, name)).sum()) for name in ESTIMATORS]
    assert found[1] == pytest.approx(found[0], rel=1e-2)
    assert found[2] == pytest.approx(found[0], rel=1e-6)


def test_estimates_are_never_negative_except_the_first():
    gap = torch.linspace(-5, 5, 101, dtype=torch.float64)
    zero = torch.zeros_like(gap)
    assert (kl_estimate(gap, zero, "k1") < 0).any()
    assert (kl_estimate(gap, zero, "k2") >= 0).all()
    assert (kl_estimate(gap, zero, "k3") >= -1e-15).all()
    assert (forward_kl_estimate(gap, zero) >= -1e-15).all()
    with pytest.raises(ValueError, match="estimator is one of k1, k2, k3"):
        kl_estimate(gap, zero, "k4")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("k1", lambda x: torch.zeros_like(x)),
        ("k2", lambda x: gradient(lambda y: kl(y, OTHER), x)),
        ("k3", lambda x: gradient(lambda y: kl(OTHER, y), x)),
    ],
)
def test_the_expected_gradient_of_an_estimator_used_as_a_loss_is_as_the_page_says(name, wanted):
    # samples are fixed: the probabilities that weigh them carry no gradient
    def as_loss(x):
        return (P * kl_estimate(torch.log_softmax(x, -1), Q.log(), name)).sum(-1)

    assert torch.allclose(gradient(as_loss, LOGITS), wanted(LOGITS), atol=1e-12)


@pytest.mark.parametrize("name", ["k1", "k3"])
def test_with_the_ratio_in_front_the_gradient_is_that_of_the_divergence(name):
    def as_loss(x):
        logp = torch.log_softmax(x, -1)
        return (P * torch.exp(logp - P.log()) * kl_estimate(logp, Q.log(), name)).sum(-1)

    wanted = gradient(lambda x: kl(x, OTHER), LOGITS)
    assert torch.allclose(gradient(as_loss, LOGITS), wanted, atol=1e-12)


def test_k1_in_the_reward_is_the_gradient_of_the_divergence():
    # REINFORCE on minus the penalty: sum_v P_v * k1_v * grad log pi_v
    penalty = kl_estimate(P.log(), Q.log(), "k1")

    def score(x):
        return (P * penalty * torch.log_softmax(x, -1)).sum(-1)

    wanted = gradient(lambda x: kl(x, OTHER), LOGITS)
    assert torch.allclose(gradient(score, LOGITS), wanted, atol=1e-12)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_have_the_gradients_of_finite_differences(name):
    assert agrees_with_finite_differences(
        lambda x, y: kl_estimate(x, y, name), drawn(5), drawn(5, seed=1)
    )


def test_a_forbidden_token_counts_nothing_and_a_forbidden_sample_is_infinite():
    forbidden = torch.tensor([[0.0, 0.0, -math.inf]], dtype=torch.float64)
    free = torch.zeros(1, 3, dtype=torch.float64)
    assert kl(forbidden, free).item() == pytest.approx(math.log(1.5))
    assert kl(forbidden, forbidden).item() == 0.0
    assert kl(free, forbidden).item() == math.inf
    for formula in (entropy, lambda x: kl(x, free), lambda x: kl(x, forbidden)):
        assert gradient(formula, forbidden).isfinite().all()
    assert kl_estimate(torch.tensor([-1.0]), torch.tensor([-math.inf]), "k1").item() == math.inf


# ---------------------------------------------------------------- penalties in the reward


def test_the_outcome_stands_at_the_last_token_and_the_penalty_on_all():
    logp, ref = drawn(3, 5, low=-3, high=0), drawn(3, 5, low=-3, high=0, seed=1)
    mask = torch.tensor([[0, 1, 1, 1, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]])
    outcome = torch.tensor([1.0, -1.0, 5.0], dtype=torch.float64)
    found = kl_rewards(logp, ref, mask, 0.1, outcome)
    wanted = np.where(mask, -0.1 * (logp - ref), 0.0)
    wanted[0, 3] += 1.0
    wanted[1, 4] += -1.0
    assert found.numpy() == pytest.approx(wanted)
    assert found[2].tolist() == [0.0] * 5  # nothing was said: there is no last token
    assert not kl_rewards(logp.requires_grad_(), ref, mask, 0.1, outcome).requires_grad


def test_an_impossible_context_does_not_reach_the_rewards():
    logp, ref = torch.tensor([[-math.inf, -1.0]]), torch.tensor([[-math.inf, -1.0]])
    found = kl_rewards(logp, ref, torch.tensor([[0, 1]]), 0.1, torch.tensor([2.0]))
    assert found.tolist() == [[0.0, 2.0]]


def test_the_centred_penalty_of_a_batch_sums_to_zero():
    assert centred_kl(drawn(9)).sum().item() == pytest.approx(0, abs=1e-12)
    assert centred_kl(torch.zeros(0)).tolist() == []
    assert centred_kl(torch.tensor([1.0, 3.0]), norm=4.0).tolist() == [0.0, 2.0]


# ---------------------------------------------------------------- distillation


def test_the_ends_are_the_two_divergences_and_the_middle_is_jensen_shannon():
    assert torch.allclose(distillation(OTHER, LOGITS, 0.0), kl(LOGITS, OTHER))
    assert torch.allclose(distillation(OTHER, LOGITS, 1.0), kl(OTHER, LOGITS))
    for beta in (0.1, 0.5, 0.9):
        m = beta * P + (1 - beta) * Q  # Agarwal et al. 2024, with P the teacher
        wanted = beta * rel_entr(P, m).sum(-1) + (1 - beta) * rel_entr(Q, m).sum(-1)
        assert distillation(OTHER, LOGITS, beta).numpy() == pytest.approx(wanted.numpy())
        assert agrees_with_finite_differences(lambda x, b=beta: distillation(x, LOGITS, b), OTHER)
    symmetric = distillation(OTHER, LOGITS, 0.5)
    assert torch.allclose(symmetric, distillation(LOGITS, OTHER, 0.5))
    assert symmetric.max() <= math.log(2)


def test_divided_by_beta_the_middle_tends_to_the_ends():
    near = distillation(OTHER, LOGITS, 1e-6) / 1e-6
    assert near.numpy() == pytest.approx(kl(LOGITS, OTHER).numpy(), rel=1e-4)
    far = distillation(OTHER, LOGITS, 1 - 1e-6) / 1e-6
    assert far.numpy() == pytest.approx(kl(OTHER, LOGITS).numpy(), rel=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_a_student_equal_to_its_teacher_has_nothing_to_learn(beta):
    assert distillation(LOGITS, LOGITS, beta).abs().max() < 1e-12
    assert gradient(lambda x: distillation(x, LOGITS, beta), LOGITS).abs().max() < 1e-12
    teacher = OTHER.clone().requires_grad_()
    loss = distillation(LOGITS.clone().requires_grad_(), teacher, beta).sum()
    assert torch.autograd.grad(loss, teacher, allow_unused=True) == (None,)


def test_a_temperature_flattens_both():
    warm = distillation(OTHER, LOGITS, 0.0, temperature=2.0)
    assert torch.allclose(warm, kl(LOGITS / 2, OTHER / 2))
    with pytest.raises(ValueError, match="need 0 <= beta <= 1"):
        distillation(OTHER, LOGITS, 1.5)


def test_the_sampled_reward_is_minus_the_reverse_divergence_and_has_its_gradient():
    q = torch.softmax(OTHER, -1)
    reward = torch.tensor(distillation_rewards(P.log(), q.log()))
    assert (q * reward).sum(-1).numpy() == pytest.approx(-kl(OTHER, LOGITS).numpy())
    slope = gradient(lambda x: -(q * reward * torch.log_softmax(x, -1)).sum(-1), OTHER)
    assert torch.allclose(slope, gradient(lambda x: distillation(x, LOGITS, 1.0), OTHER))
    with pytest.raises(ConfigError, match="logp_teacher must be finite"):
        distillation_rewards([-math.inf], [-1.0])
