"""Reward models against scipy and brute force; games of preferences against linear programs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp

from askesis.errors import ConfigError
from askesis.formulas.games import (
    best_and_worst,
    exploitability,
    geometric_mixture,
    minimax_winner,
    moving_average,
    nash_mirror_step,
    nash_reward,
    win_rates,
    win_rates_against,
)
from askesis.formulas.preference import preference_margin, soft_label_dpo
from askesis.formulas.reward_models import (
    bradley_terry,
    davidson,
    implicit_step_rewards,
    implicit_values,
    label_loss,
    plackett_luce,
    rao_kupper,
)
from tests.formulas.gradients import agrees_with_finite_differences, drawn

A, B = drawn(6), drawn(6, seed=1)
ROCK = np.array([[0.5, 0.0, 1.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.5]])


def tournament(num: int, seed: int) -> np.ndarray:
    """Random preferences, P[i, j] + P[j, i] = 1, with cycles."""
    upper = np.triu(np.random.default_rng(seed).random((num, num)), 1)
    return upper + np.tril(1 - upper.T, -1) + np.eye(num) / 2


# ---------------------------------------------------------------- pairs


def test_bradley_terry_equals_its_definition():
    a, b = A.numpy(), B.numpy()
    wanted = -log_expit(a - b - 0.3) + 0.01 * (a + b) ** 2
    found = bradley_terry(A, B, 6.0, margin=0.3, centre_coef=0.01)
    assert float(found) == pytest.approx(wanted.mean())
    each = torch.full((6,), 0.3)
    assert torch.allclose(found, bradley_terry(A, B, 6.0, each, 0.01))
    assert agrees_with_finite_differences(lambda x, y: bradley_terry(x, y, 6.0, 0.3, 0.01), A, B)


def test_scores_are_known_up_to_a_shift_unless_they_are_centred():
    assert torch.allclose(bradley_terry(A + 7, B + 7, 1.0), bradley_terry(A, B, 1.0))
    assert bradley_terry(A + 7, B + 7, 1.0, centre_coef=0.1) > bradley_terry(A, B, 1.0)


def test_dpo_is_bradley_terry_on_the_implicit_rewards():
    one = soft_label_dpo(preference_margin(A, B), 0.3, 6.0)
    assert torch.allclose(one, bradley_terry(0.3 * A, 0.3 * B, 6.0))


@pytest.mark.parametrize("formula", [rao_kupper, davidson])
def test_with_ties_the_three_outcomes_are_all_there_is(formula):
    found = [
        torch.exp(-torch.stack([formula(A[i : i + 1], B[i : i + 1], torch.tensor([o]), 0.7, 1.0)
                                for i in range(6)]))
        for o in (1, -1, 0)
    ]  # fmt: skip
    assert sum(found).tolist() == pytest.approx([1.0] * 6)
    outcome = torch.tensor([1, -1, 0, 1, -1, 0])
    assert agrees_with_finite_differences(lambda x, y: formula(x, y, outcome, 0.7, 6.0), A, B)
    turned = formula(B, A, -outcome, 0.7, 6.0)
    assert torch.allclose(turned, formula(A, B, outcome, 0.7, 6.0))
    width = torch.tensor(0.7, dtype=torch.float64)  # it can be learnt too
    assert agrees_with_finite_differences(lambda w: formula(A, B, outcome, w, 6.0), width)


def test_rao_kupper_and_davidson_equal_their_definitions():
    d, eta, nu = (A - B).numpy(), 0.7, math.exp(0.7)
    wins = expit(d - eta)
    ties = 1 - wins - expit(-d - eta)
    zero = torch.zeros(6)
    assert float(rao_kupper(A, B, zero, eta, 6.0)) == pytest.approx(-np.log(ties).mean())
    assert float(rao_kupper(A, B, zero + 1, eta, 6.0)) == pytest.approx(-np.log(wins).mean())
    up, down = np.exp(A.numpy()), np.exp(B.numpy())
    between = nu * np.sqrt(up * down)
    wanted = -np.log(between / (up + down + between)).mean()
    assert float(davidson(A, B, zero, 0.7, 6.0)) == pytest.approx(wanted)


def test_without_room_for_ties_both_are_bradley_terry():
    first = torch.ones(6)
    plain = float(bradley_terry(A, B, 6.0))
    assert float(rao_kupper(A, B, first, 1e-9, 6.0)) == pytest.approx(plain)
    assert float(davidson(A, B, first, -math.inf, 6.0)) == pytest.approx(plain)


# ---------------------------------------------------------------- rankings and labels


def test_plackett_luce_equals_its_definition_with_rows_of_any_length():
    scores = drawn(3, 4)
    lengths = [4, 2, 1]
    valid = torch.arange(4)[None] < torch.tensor(lengths)[:, None]
    wanted = 0.0
    for row, length in zip(scores.numpy(), lengths, strict=True):
        wanted -= sum(row[k] - logsumexp(row[k:length]) for k in range(length))
    assert float(plackett_luce(scores, valid, 3.0)) == pytest.approx(wanted / 3)
    assert agrees_with_finite_differences(lambda x: plackett_luce(x, valid, 3.0), scores)


def test_the_probabilities_of_all_rankings_sum_to_one_and_two_are_bradley_terry():
    scores = drawn(3)
    total = sum(
        math.exp(-float(plackett_luce(scores[list(p)][None], torch.ones(1, 3), 1.0)))
        for p in itertools.permutations(range(3))
    )
    assert total == pytest.approx(1)
    pairs = torch.stack([A, B], 1)
    assert torch.allclose(plackett_luce(pairs, torch.ones(6, 2), 6.0), bradley_terry(A, B, 6.0))


def test_padding_of_a_ranking_has_no_influence_and_gets_no_gradient():
    scores = torch.tensor([[1.0, 0.0, 1e30], [0.5, -0.5, -math.inf]], requires_grad=True)
    valid = torch.tensor([[1, 1, 0], [1, 1, 0]])
    loss = plackett_luce(scores, valid, 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(2 * -log_expit(1.0))
    assert scores.grad[:, 2].tolist() == [0.0, 0.0]
    assert scores.grad.isfinite().all()


def test_the_label_loss_is_cross_entropy_with_hard_and_soft_labels():
    logit, label = drawn(2, 3), drawn(2, 3, low=0, high=1, seed=1)
    weight = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 2.0]])
    r, q, w = logit.numpy(), label.numpy(), weight.numpy()
    wanted = -(w * (q * log_expit(r) + (1 - q) * log_expit(-r))).sum() / 4
    assert float(label_loss(logit, label, weight, 4.0)) == pytest.approx(wanted)
    assert agrees_with_finite_differences(lambda x: label_loss(x, label, weight, 4.0), logit)
    wild = logit.clone()
    wild[:, 0] = math.nan
    assert torch.equal(label_loss(wild, label, weight, 4.0), label_loss(logit, label, weight, 4.0))


# ---------------------------------------------------------------- implicit rewards


def test_the_implicit_value_is_the_soft_expectation_over_completions_by_the_reference():
    # two tokens of a vocabulary of three: beta log E_ref exp(r / beta), summed by brute force
    beta = 0.3
    policy = [torch.log_softmax(drawn(3), 0), torch.log_softmax(drawn(3, 3, seed=1), -1)]
    ref = [torch.log_softmax(drawn(3, seed=2), 0), torch.log_softmax(drawn(3, 3, seed=3), -1)]
    for first in range(3):
        outcomes = [
            beta * (policy[0][first] + policy[1][first, y] - ref[0][first] - ref[1][first, y])
            for y in range(3)
        ]
        terms = [ref[1][first, y] + outcomes[y] / beta for y in range(3)]
        soft = beta * torch.logsumexp(torch.stack(terms), 0)
        logp = torch.stack([policy[0][first], policy[1][first, 0]])[None]
        logp_ref = torch.stack([ref[0][first], ref[1][first, 0]])[None]
        values = implicit_values(logp, logp_ref, torch.ones(1, 2), beta)
        assert values[0, 0].item() == pytest.approx(soft.item())
        assert values[0, 1].item() == pytest.approx(outcomes[0].item())


def test_step_rewards_add_up_to_the_outcome_and_skip_what_is_not_the_policys():
    logp, ref = drawn(1, 6, low=-3, high=0), drawn(1, 6, low=-3, high=0, seed=1)
    mask = torch.tensor([[0, 1, 1, 0, 1, 1]])
    values = implicit_values(logp, ref, mask, 0.05)[0]
    assert values[0] == 0
    assert values[3] == values[2]
    steps = implicit_step_rewards(values, torch.tensor([2, 5]))
    assert steps.sum().item() == pytest.approx(values[-1].item())
    assert steps[0].item() == pytest.approx(0.05 * float((logp - ref)[0, 1:3].sum()))
    assert implicit_step_rewards(values, torch.zeros(0, dtype=torch.int64)).tolist() == []


# ---------------------------------------------------------------- games


def test_win_rates_of_a_group_have_mean_one_half_and_queues_may_be_empty():
    preferences = tournament(6, 0)
    found = win_rates(preferences)
    for i in range(6):
        assert found[i] == pytest.approx(np.mean([preferences[i, j] for j in range(6) if j != i]))
    assert found.mean() == pytest.approx(0.5)
    assert win_rates_against(preferences[:, :2]) == pytest.approx(preferences[:, :2].mean(1))
    assert win_rates(np.zeros((0, 0))).tolist() == []
    with pytest.raises(ConfigError, match="found a group of one"):
        win_rates([[0.5]])
    with pytest.raises(ConfigError, match="finite numbers; found nan"):
        win_rates([[0.5, math.nan], [0.5, 0.5]])


@pytest.mark.parametrize("seed", range(4))
def test_the_minimax_winner_cannot_be_exploited(seed):
    preferences = tournament(5, seed)
    winner = minimax_winner(preferences)
    assert winner.sum() == pytest.approx(1)
    assert exploitability(winner, preferences) == pytest.approx(0, abs=1e-9)
    assert exploitability(np.eye(5)[0], preferences) >= 0


def test_a_condorcet_winner_is_the_minimax_winner():
    preferences = tournament(4, 1)
    preferences[2], preferences[:, 2] = 0.9, 0.1
    preferences[2, 2] = 0.5
    assert minimax_winner(preferences).round(9).tolist() == [0, 0, 1, 0]


def test_nash_mirror_descent_reaches_the_winner_that_the_linear_program_gives():
    # small tau: the regularised equilibrium is near the minimax winner
    preferences = np.array([[0.5, 0.2, 0.9], [0.8, 0.5, 0.3], [0.1, 0.7, 0.5]])
    reference = np.full(3, 1 / 3)
    policy, tau = np.array([0.8, 0.1, 0.1]), 0.05
    for t in range(3000):
        policy = nash_mirror_step(policy, reference, preferences, 2 / (tau * (t + 2)), tau)
    assert exploitability(policy, preferences) < 0.02
    assert np.abs(policy - minimax_winner(preferences)).max() < 0.06


def test_the_fixed_point_of_nash_mirror_descent_is_the_regularised_equilibrium():
    # at the equilibrium pi ~ mu * exp(P(. > pi) / tau), Munos et al. 2023
    preferences, mu, tau = tournament(4, 3), np.array([0.4, 0.3, 0.2, 0.1]), 0.5
    policy = mu.copy()
    for t in range(4000):
        policy = nash_mirror_step(policy, mu, preferences, 2 / (tau * (t + 2)), tau)
    best = mu * np.exp(preferences @ policy / tau)
    assert policy == pytest.approx(best / best.sum(), abs=1e-3)


def test_one_mirror_step_maximises_what_it_is_defined_to_maximise():
    # argmax_pi eta P(pi > pi_mu) - KL(pi || pi_mu), found by scipy
    preferences, eta, tau = tournament(3, 5), 0.7, 0.3
    policy, mu = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    mixed = np.exp(geometric_mixture(np.log(policy), np.log(mu), eta * tau))

    def loss(x):
        p = np.exp(x - logsumexp(x))
        return -(eta * p @ preferences @ mixed - (p * np.log(p / mixed)).sum())

    best = minimize(loss, np.zeros(3), tol=1e-12).x
    wanted = np.exp(best - logsumexp(best))
    assert nash_mirror_step(policy, mu, preferences, eta, tau) == pytest.approx(wanted, abs=1e-5)


def test_the_mixture_has_its_ends_and_keeps_what_is_forbidden_forbidden():
    p, q = np.log([0.7, 0.2, 0.1]), np.log([0.1, 0.1, 0.8])
    assert geometric_mixture(p, q, 0.0) == pytest.approx(p)
    assert geometric_mixture(p, q, 1.0) == pytest.approx(q)
    middle = np.exp(geometric_mixture(p + 3, q - 2, 0.25))
    wanted = np.exp(0.75 * p + 0.25 * q)
    assert middle == pytest.approx(wanted / wanted.sum())
    q[0] = -np.inf
    assert np.exp(geometric_mixture(p, q, 0.5))[0] == 0.0
    assert np.exp(geometric_mixture(p, q, 0.0)) == pytest.approx([0.7, 0.2, 0.1])
    with pytest.raises(ValueError, match="beta is in"):
        geometric_mixture(p, q, 2.0)


def test_nash_reward_is_zero_on_average_against_an_equal():
    found = nash_reward([0.0, 1.0], [-2.0, -2.0], [-2.0, -2.0], 0.1)
    assert found.tolist() == [-0.5, 0.5]
    assert nash_reward([0.5], [-1.0], [-2.0], 0.1) == pytest.approx([-0.1])


def test_cycles_have_no_scores_that_explain_them():
    # the best Bradley-Terry scores of rock, paper, scissors are all equal: it cannot tell
    def loss(x):
        return -sum(
            ROCK[i, j] * log_expit(x[i] - x[j]) for i in range(3) for j in range(3) if i != j
        )

    best = minimize(loss, [0.3, -0.2, 0.1]).x
    assert np.ptp(best) < 1e-3


def test_the_pair_of_a_group_is_best_and_worst_with_lengths_paid_for():
    assert best_and_worst([]) is None
    assert best_and_worst([1.0]) is None
    assert best_and_worst([0.5, 0.5, 0.2, 0.2]) == (0, 2)
    assert best_and_worst([0.5, 0.6], lengths=[1, 50], length_coef=0.01) == (0, 1)
    with pytest.raises(ValueError, match="length_coef needs lengths"):
        best_and_worst([0.5, 0.6], length_coef=0.1)
    with pytest.raises(ConfigError, match="scores must be finite"):
        best_and_worst([math.nan, 1.0])


def test_a_moving_average_forgets_geometrically():
    average = np.zeros(2)
    for _ in range(10):
        average = moving_average(average, np.ones(2), 0.9)
    assert average == pytest.approx([1 - 0.9**10] * 2)
    assert moving_average(torch.zeros(1), torch.ones(1), 0.0).tolist() == [1.0]
    with pytest.raises(ValueError, match="decay is in"):
        moving_average(average, average, 1.5)
