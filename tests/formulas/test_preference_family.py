"""Losses of pairs against numpy in float64, finite differences, and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit

from askesis.errors import ConfigError
from askesis.formulas.preference import (
    bald,
    consistency_label,
    hinge,
    ipo,
    kto,
    margin_scaled_beta,
    preference_margin,
    robust_dpo,
    soft_label_dpo,
    step_apo,
    uncertainty_label,
)
from askesis.formulas.preference_free import (
    contrastive_preference,
    discounted_sum,
    log_odds,
    orpo_term,
    simpo,
)
from tests.formulas.gradients import agrees_with_finite_differences, drawn, gradient

quick = settings(max_examples=40, deadline=None)
MARGIN = drawn(6, low=-15, high=15)
D = MARGIN.numpy()


# ---------------------------------------------------------------- with a reference


def test_the_margin_is_zero_where_policy_and_reference_agree():
    chosen, rejected = drawn(4, low=-9, high=0), drawn(4, low=-9, high=0, seed=1)
    assert preference_margin(chosen, rejected, chosen, rejected).tolist() == [0.0] * 4
    margin = preference_margin(chosen, rejected)
    assert torch.equal(margin, chosen - rejected)


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [  # each written down again in numpy with scipy's log_expit, float64
        (lambda m: soft_label_dpo(m, 0.3, 6.0), -log_expit(0.3 * D)),
        (
            lambda m: soft_label_dpo(m, 0.3, 6.0, label=0.9, offset=0.5),
            -0.9 * log_expit(0.3 * D - 0.5) - 0.1 * log_expit(0.5 - 0.3 * D),
        ),
        (
            lambda m: robust_dpo(m, 0.3, 0.2, 6.0),
            (-0.8 * log_expit(0.3 * D) + 0.2 * log_expit(-0.3 * D)) / 0.6,
        ),
        (lambda m: ipo(m, 0.1, 6.0), (D - 5) ** 2),
        (lambda m: hinge(m, 0.1, 6.0), np.maximum(0, 1 - 0.1 * D)),
        (
            lambda m: step_apo(m, torch.full((6,), 1.5), 0.3, 1.0, 6.0),
            -log_expit(0.3 * D - 1.5),
        ),
    ],
)
def test_a_loss_of_margins_equals_its_definition_and_its_gradient(formula, wanted):
    assert float(formula(MARGIN)) == pytest.approx(wanted.mean())
    assert agrees_with_finite_differences(formula, MARGIN)


def test_dpo_at_the_reference_is_log_two_and_its_gradient_half_beta():
    # hand: -log sigma(0) = log 2; d/dDelta = -beta * sigma(0)
    zero = torch.zeros(3, dtype=torch.float64)
    assert float(soft_label_dpo(zero, 0.1, 3.0)) == pytest.approx(math.log(2))
    assert gradient(lambda m: soft_label_dpo(m, 0.1, 1.0), zero).tolist() == pytest.approx(
        [-0.05] * 3
    )


@quick
@given(st.floats(0.01, 0.99), st.floats(0.05, 2.0), st.floats(-2, 2))
def test_the_optimum_of_a_soft_label_is_its_own_log_odds(label, beta, offset):
    best = torch.tensor([(math.log(label / (1 - label)) + offset) / beta], dtype=torch.float64)
    slope = gradient(lambda m: soft_label_dpo(m, beta, 1.0, label, offset), best)
    assert slope.item() == pytest.approx(0, abs=1e-9)


def test_a_label_of_one_is_dpo_and_of_one_half_wants_to_stay_at_the_reference():
    assert torch.equal(
        soft_label_dpo(MARGIN, 0.3, 1.0, label=1.0), soft_label_dpo(MARGIN, 0.3, 1.0)
    )
    labels = torch.ones(6, dtype=torch.float64)
    assert torch.allclose(
        soft_label_dpo(MARGIN, 0.3, 1.0, labels), soft_label_dpo(MARGIN, 0.3, 1.0)
    )
    half = gradient(lambda m: soft_label_dpo(m, 0.3, 1.0, 0.5), torch.zeros(1, dtype=torch.float64))
    assert half.item() == 0.0


def test_turning_a_pair_and_its_label_round_changes_nothing():
    one = soft_label_dpo(MARGIN, 0.3, 1.0, label=0.8)
    assert torch.allclose(one, soft_label_dpo(-MARGIN, 0.3, 1.0, label=0.2))


def test_label_smoothing_zero_is_dpo_for_the_robust_form_too():
    assert torch.allclose(robust_dpo(MARGIN, 0.3, 0.0, 2.0), soft_label_dpo(MARGIN, 0.3, 2.0))
    with pytest.raises(ValueError, match="flip_rate is in"):
        robust_dpo(MARGIN, 0.3, 0.5, 1.0)


def test_the_robust_loss_is_the_clean_one_on_average_over_flipped_labels():
    # Chowdhury et al. 2024: the expectation over flips with rate e is the loss without flips
    e = 0.3
    clean = soft_label_dpo(MARGIN, 0.3, 1.0)
    noisy = (1 - e) * robust_dpo(MARGIN, 0.3, e, 1.0) + e * robust_dpo(-MARGIN, 0.3, e, 1.0)
    assert torch.allclose(noisy, clean)


def test_extreme_margins_stay_finite():
    far = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = soft_label_dpo(far, 1.0, 1.0, label=0.9)
    loss.backward()
    assert loss.isfinite()
    assert far.grad.isfinite().all()


def test_an_impossible_rejected_answer_teaches_nothing_and_an_impossible_chosen_one_is_infinite():
    margin = preference_margin(torch.tensor([-1.0]), torch.tensor([-math.inf]))
    margin.requires_grad_()
    loss = soft_label_dpo(margin, 0.1, 1.0)
    loss.backward()
    assert (loss.item(), margin.grad.item()) == (0.0, 0.0)
    other = preference_margin(torch.tensor([-math.inf]), torch.tensor([-1.0]))
    assert soft_label_dpo(other, 0.1, 1.0).item() == math.inf  # refused by the trainer


def test_no_pairs_have_loss_zero():
    none = torch.zeros(0)
    for loss in (soft_label_dpo(none, 0.1, 1.0), ipo(none, 0.1, 1.0), hinge(none, 0.1, 1.0)):
        assert loss.item() == 0.0


def test_step_apo_without_alpha_is_step_dpo_and_a_wider_gap_pushes_harder():
    gap = torch.tensor([0.2, 1.8], dtype=torch.float64)
    margin = torch.zeros(2, dtype=torch.float64)
    assert torch.allclose(step_apo(margin, gap, 0.3, 0.0, 1.0), soft_label_dpo(margin, 0.3, 1.0))
    push = gradient(lambda m: step_apo(m, gap, 0.3, 1.0, 1.0), margin).abs()
    # hand: beta * sigma(alpha * gap)
    assert push.tolist() == pytest.approx([0.3 * expit(0.2), 0.3 * expit(1.8)])


def test_a_pairs_own_beta_grows_with_the_margin_and_is_bounded():
    d = np.array([-1.0, 0.0, 1.0, 100.0])
    found = margin_scaled_beta(d, 0.1, w=0.5, k=0.5)
    # hand: 0.1 * (1 + 0.5 * (1 - e^(-0.5 d))), d below 0 as 0
    assert found == pytest.approx([0.1, 0.1, 0.1 * (1.5 - 0.5 * math.exp(-0.5)), 0.15])
    assert margin_scaled_beta(torch.tensor(d), 0.1).tolist() == pytest.approx(found.tolist())
    each = torch.tensor(found)
    apart = sum(float(soft_label_dpo(MARGIN[i : i + 1], found[i], 4.0)) for i in range(4))
    assert float(soft_label_dpo(MARGIN[:4], each, 4.0)) == pytest.approx(apart)


# ---------------------------------------------------------------- KTO


def test_kto_equals_its_definition():
    R, good = drawn(6, low=-20, high=20), torch.tensor([1, 0, 1, 0, 1, 0])
    r, g = R.numpy(), good.numpy()
    # Ethayarajh et al. 2024, section 4, in numpy: lambda - v
    wanted = np.where(g, 1.5 * (1 - expit(0.1 * (r - 2))), 0.8 * (1 - expit(0.1 * (2 - r))))
    found = kto(R, good, kl=2.0, beta=0.1, norm=6.0, desirable_coef=1.5, undesirable_coef=0.8)
    assert float(found) == pytest.approx(wanted.mean())
    assert agrees_with_finite_differences(lambda x: kto(x, good, 2.0, 0.1, 6.0), R)


def test_kto_learns_from_one_side_alone_and_nothing_flows_through_its_reference_point():
    R = torch.tensor([0.5, -0.5], dtype=torch.float64)
    kl = torch.tensor([0.1, 0.1], dtype=torch.float64, requires_grad=True)
    slope = gradient(lambda x: kto(x, torch.ones(2), kl, 0.1, 1.0), R)
    assert (slope < 0).all()  # all good: likelier
    assert (gradient(lambda x: kto(x, torch.zeros(2), kl, 0.1, 1.0), R) > 0).all()
    loss = kto(R.requires_grad_(), torch.ones(2), kl, 0.1, 1.0)
    assert torch.autograd.grad(loss, kl, allow_unused=True) == (None,)


# ---------------------------------------------------------------- without a reference


def test_simpo_equals_its_definition():
    chosen, rejected = drawn(5, low=-3, high=0), drawn(5, low=-3, high=0, seed=1)
    wanted = -log_expit(2.5 * (chosen - rejected).numpy() - 1.4)
    assert float(simpo(chosen, rejected, 2.5, 1.4, 5.0)) == pytest.approx(wanted.mean())
    assert agrees_with_finite_differences(lambda a, b: simpo(a, b, 2.5, 1.4, 5.0), chosen, rejected)


def test_orpo_equals_its_definition():
    chosen, rejected = drawn(5, low=-3, high=-0.1), drawn(5, low=-3, high=-0.1, seed=1)
    p, q = np.exp(chosen.numpy()), np.exp(rejected.numpy())
    wanted = -np.log(expit(np.log((p / (1 - p)) / (q / (1 - q)))))
    assert float(orpo_term(chosen, rejected, 5.0)) == pytest.approx(wanted.mean())
    assert agrees_with_finite_differences(lambda a, b: orpo_term(a, b, 5.0), chosen, rejected)


@quick
@given(st.floats(-700, -1e-12))
def test_log_odds_are_exact_near_certainty_and_far_from_it(mean_logp):
    found = log_odds(torch.tensor([mean_logp], dtype=torch.float64)).item()
    wanted = mean_logp - math.log(-math.expm1(mean_logp))  # exact for both ends in float64
    assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_the_odds_of_certainty_are_infinite_and_of_the_impossible_minus_infinite():
    assert log_odds(torch.tensor([0.0, -math.inf])).tolist() == [math.inf, -math.inf]


def test_cpl_with_one_step_log_ratios_and_no_bias_is_dpo():
    chosen, rejected, a, b = (drawn(4, low=-5, high=0, seed=i) for i in range(4))
    found = contrastive_preference(0.2 * (chosen - a), 0.2 * (rejected - b), 1.0, 4.0)
    wanted = soft_label_dpo(preference_margin(chosen, rejected, a, b), 0.2, 4.0)
    assert torch.allclose(found, wanted)


def test_cpl_equals_its_definition_on_segments():
    logp, mask = drawn(4, 5, low=-3, high=0), torch.ones(4, 5)
    mask[1, 2:] = 0
    mask[2, 0] = 0

    def loss(x):
        score = 0.1 * discounted_sum(x, mask, 0.9)
        return contrastive_preference(score[:2], score[2:], 0.5, 2.0)

    x, scores = logp.numpy(), []
    for i in range(4):
        steps = x[i][mask[i].numpy() > 0]
        scores.append(0.1 * sum(0.9**k * v for k, v in enumerate(steps)))
    pairs = [(scores[0], scores[2]), (scores[1], scores[3])]
    wanted = [-math.log(math.exp(a) / (math.exp(a) + math.exp(0.5 * b))) for a, b in pairs]
    assert float(loss(logp)) == pytest.approx(np.mean(wanted))
    assert agrees_with_finite_differences(loss, logp)


def test_the_bias_keeps_both_segments_from_falling_together():
    # with l = 1 lowering both scores alike changes nothing; with l < 1 it costs
    plus, minus = torch.tensor([-1.0]), torch.tensor([-2.0])
    same = contrastive_preference(plus - 9, minus - 9, 1.0, 1.0)
    assert same == pytest.approx(float(contrastive_preference(plus, minus, 1.0, 1.0)))
    assert contrastive_preference(plus - 9, minus - 9, 0.5, 1.0) > contrastive_preference(
        plus, minus, 0.5, 1.0
    )


# ---------------------------------------------------------------- soft labels


def test_consistency_is_kendalls_tau_between_zero_and_one():
    assert consistency_label([1, 2, 3, 4], [4, 3, 2, 1]) == 0.0
    # hand: pairs (1,2) (1,3) (2,3) of which one is turned round: tau 1/3
    assert consistency_label([1, 2, 3], [2, 1, 3]) == pytest.approx(2 / 3)
    assert consistency_label([1, 1, 1], [1, 2, 3]) == 0.5
    assert consistency_label([1], [1]) == 0.5
    with pytest.raises(ConfigError, match="nan at position 1"):
        consistency_label([1, math.nan], [1, 2])


def test_bald_is_the_mutual_information_and_its_label_never_flips_a_pair():
    p = drawn(10, 7, low=0, high=1).numpy()

    def entropy(x):
        return -(x * np.log(x) + (1 - x) * np.log(1 - x))

    assert bald(p) == pytest.approx(entropy(p.mean(0)) - entropy(p).mean(0))
    assert bald([[0.0, 1.0], [1.0, 1.0]]) == pytest.approx([math.log(2), 0.0])
    labels = uncertainty_label(bald(p))
    assert ((labels >= 0.5) & (labels <= 1)).all()
