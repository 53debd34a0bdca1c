"""The first round of every policy gradient, against a gradient written out by hand.

The bigram table begins at zero, where each token has probability 1/5 and everything is on-policy:
ratios are 1 and the divergence from the first model has no gradient. Only the pushes differ.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from askesis.records import Attempt
from tests.recipes.letters import (
    first_adam_step,
    hand_gradient,
    metrics_of,
    on_letters,
    rewards_of,
)

ONE = (("rounds", "1"), ("explore.max-tokens", "3"), ("learn.policy.learning-rate", "0.1"))
Rewarded = list[list[tuple[Attempt, float]]]


def every(groups: Rewarded) -> list[Attempt]:
    return [a for group in groups for a, _ in group]


def running(groups: Rewarded) -> list[float]:
    baseline, found = 0.0, []
    for _, reward in (pair for group in groups for pair in group):
        found.append(reward - baseline)
        baseline = 0.95 * baseline + 0.05 * reward
    return found


def centred(groups: Rewarded) -> list[float]:
    return [r - np.mean([x for _, x in group]) for group in groups for _, r in group]


def standardised(groups: Rewarded) -> list[float]:
    found = []
    for group in groups:
        rewards = np.array([r for _, r in group])
        found += list((rewards - rewards.mean()) / (rewards.std() + 1e-6))
    return found


def mixed(groups: Rewarded) -> Rewarded:
    return [g for g in groups if len({r for _, r in g}) == 2]


def reinforce(groups):
    attempts = every(groups)
    tokens = sum(a.num_tokens for a in attempts)
    return [(a, x / tokens) for a, x in zip(attempts, running(groups), strict=True)]


def rloo(groups):
    attempts, k = every(groups), len(groups[0])
    return [
        (a, x * k / (k - 1) / len(attempts)) for a, x in zip(attempts, centred(groups), strict=True)
    ]


def grpo(groups):
    attempts = every(groups)
    return [(a, x / a.num_tokens / len(attempts))
            for a, x in zip(attempts, standardised(groups), strict=True)]  # fmt: skip


def dr_grpo(groups):
    attempts = every(groups)
    return [(a, x / 64 / len(attempts)) for a, x in zip(attempts, centred(groups), strict=True)]


def dapo(groups):
    groups = mixed(groups)[:3]
    attempts = every(groups)
    tokens = sum(a.num_tokens for a in attempts)
    return [(a, x / tokens) for a, x in zip(attempts, standardised(groups), strict=True)]


def nft(groups):
    """Right: (1 - r). Wrong: the derivative of -log((1 - r R) / (1 - r)) at R = 1 is r / (1 - r)."""
    groups = mixed(groups)
    num, pushes = len(every(groups)), []
    for group in groups:
        r = np.mean([x for _, x in group])
        pushes += [(a, (1 - r) * (1.0 if x else -r / (1 - r)) / 64 / num) for a, x in group]
    return pushes


CASES = [
    (reinforce, (("tasks.num", "128"),)),
    (rloo, (("num-attempts", "8"),)),
    (grpo, ()),
    (dr_grpo, ()),
    (
        dapo,
        (
            ("num-batches", "1"),
            ("refill.num-groups", "3"),
            ("select.policy.overlong-fraction", "0"),
        ),
    ),
    (grpo, ("gspo", ("num-batches", "1"))),  # on-policy a sequence's ratio pushes its mean token
    (nft, (("num-batches", "1"),)),
]


@pytest.mark.parametrize(("by_hand", "options"), CASES)
def test_the_first_update_is_the_gradient_written_out_by_hand(tmp_path, by_hand, options):
    recipe = by_hand.__name__
    if options and isinstance(options[0], str):
        recipe, *options = options
    run = on_letters(recipe, tmp_path / "run", *ONE, *options)
    groups = rewards_of(run, 0)
    gradient = hand_gradient(by_hand(groups))
    assert np.abs(gradient).max() > 0
    found = metrics_of(run, 0)
    length = np.linalg.norm(gradient)
    assert found["learn/policy/grad_norm"] == pytest.approx(length, rel=1e-5)
    expected = first_adam_step(gradient * min(1.0, 1 / length), 0.1)
    moved = np.abs(gradient) > 1e-6  # nearer to zero Adam's step is rounding
    table = run.models["policy"].module.logits.detach()
    torch.testing.assert_close(table[moved], expected[moved], atol=1e-5, rtol=1e-4)
    assert not table[np.abs(gradient) == 0].any()
    run.store.close()


def test_ppo_s_first_update_is_whitened_credit_and_a_head_that_sees_its_first_returns(tmp_path):
    """With a head of zeros a token's advantage is the reward, 0.95 less for each token it is early;
    the head's error is its whole return."""
    run = on_letters("ppo", tmp_path / "run", *ONE, ("num-batches", "1"), ("tasks.num", "64"))
    groups = rewards_of(run, 0)
    pairs = [pair for group in groups for pair in group]
    scale = np.std([r for _, r in pairs])
    credit = [r / scale * 0.95 ** np.arange(a.num_tokens - 1, -1, -1) for a, r in pairs]
    every_token = np.concatenate(credit)
    num, mean, std = len(every_token), every_token.mean(), every_token.std()
    pushes = [(a, (c - mean) / std / num) for (a, _), c in zip(pairs, credit, strict=True)]
    gradient, head = hand_gradient(pushes), np.zeros(6)
    for (attempt, _), returns in zip(pairs, credit, strict=True):
        turn = attempt.turns[0]
        for before, later in zip([turn.context[-1], *turn.tokens[:-1]], returns, strict=True):
            head[before] += 0.1 * later / num  # half a squared error, of a weight of 0.1
    found, length = metrics_of(run, 0), np.hypot(np.linalg.norm(gradient), np.linalg.norm(head))
    assert found["learn/policy/grad_norm"] == pytest.approx(length, rel=1e-5)
    assert found["select/reward_scale"] == pytest.approx(scale)
    assert found["learn/policy/explained_variance"] == pytest.approx(0.0)
    module, shorter = run.models["policy"].module, min(1.0, 1 / length)
    for table, expected in ((module.logits, gradient), (module.value, head)):
        moved = np.abs(expected) > 1e-6
        step = first_adam_step(expected * shorter, 0.1)
        torch.testing.assert_close(table.detach()[moved], step[moved], atol=1e-5, rtol=1e-3)
    run.store.close()


@pytest.mark.slow
def test_t1_punishes_what_was_cut_off_and_follows_with_an_average(tmp_path):
    run = on_letters("t1", tmp_path / "run", *ONE, ("num-attempts", "8"), ("rounds", "3"),
                     ("decay", "0.5"))  # fmt: skip
    pairs = [pair for group in rewards_of(run, 0) for pair in group]
    assert {r for a, r in pairs if a.stop.cut_off} == {-1.0}
    assert {r for a, r in pairs if not a.stop.cut_off} <= {0.0, 1.0}
    found = [metrics_of(run, r)["learn/policy/kl_reward"] for r in range(3)]
    assert found[0] == pytest.approx(0.0, abs=1e-6) and found[2] > found[0]
    name, average, _ = run.shelf.pins["policy", "average"]
    assert name == "policy~average@3"
    table = run.models["policy"].module.logits.detach()
    assert (average["logits"].abs() <= table.abs() + 1e-6).all()  # it follows from zero, behind
    assert not torch.equal(average["logits"], table)
    run.store.close()


def test_dapo_draws_again_until_enough_groups_are_mixed(tmp_path):
    run = on_letters("dapo", tmp_path / "run", *ONE, ("tasks.num", "2"), ("num-attempts", "4"),
                     ("refill.num-groups", "2"), ("refill.max-waves", "40"))  # fmt: skip
    groups = rewards_of(run, 0)
    slots = {a.id.split("/")[0] for a in every(groups)}
    assert {"0.explore", "0.explore~2"} <= slots
    learnt = {s.sources[0] for s in run.store.read("samples")}
    assert len(learnt) == 2 * 4
    assert len({a.id for a in every(groups)}) == len(every(groups))
    run.store.close()


def test_dapo_learns_from_what_there_is_when_its_draws_are_used_up(tmp_path):
    run = on_letters("dapo", tmp_path / "run", *ONE, ("tasks.num", "1"), ("num-attempts", "2"),
                     ("refill.num-groups", "50"), ("refill.max-waves", "2"))  # fmt: skip
    assert len(every(rewards_of(run, 0))) == 2 * 2
    run.store.close()


def after_one_round(path, recipe, *options) -> tuple[torch.Tensor, float]:
    """The table, and the length of the gradient if it were a sum over attempts."""
    run = on_letters(recipe, path, ("rounds", "1"), ("explore.max-tokens", "2"),
                     ("tasks.num", "32"), ("learn.policy.learning-rate", "0.1"),
                     ("explore.num-attempts", "8"), *options)  # fmt: skip
    found = metrics_of(run, 0)
    run.store.close()
    length = found["learn/policy/grad_norm"] * found["learn/policy/num_samples"]
    return run.models["policy"].module.logits.detach(), length


@pytest.mark.slow
def test_one_group_objective_covers_rejection_sampling_nft_grpo_and_dr_grpo(tmp_path):
    """Their first gradients are the same: in direction (all that Adam's first step sees) and, per
    attempt, in length; NFT leaves out the groups that push nothing."""
    batch = ("num-batches", "1")
    constant = [(f"learn.policy.objectives.clipped-policy-gradient.{k}", v)
                for k, v in (("mean", "constant"), ("max-tokens", "64"))]  # fmt: skip
    hard = after_one_round(tmp_path / "hard", "nft", batch)
    dr_grpo = after_one_round(tmp_path / "dr", "dr_grpo")
    standardised = after_one_round(tmp_path / "std", "nft", batch, ("priority", "standardised"))
    grpo = after_one_round(tmp_path / "grpo", "grpo", *constant)
    for one, other in ((hard, dr_grpo), (standardised, grpo)):
        assert torch.allclose(one[0], other[0], atol=1e-3)
        assert one[1] == pytest.approx(other[1], rel=1e-4)
    only = after_one_round(
        tmp_path / "only", "nft", batch, ("priority", "even"), ("negative-coef", "0")
    )
    rft = after_one_round(
        tmp_path / "rft", "rft", ("select.policy.distinct", "none"),
        ("select.policy.max-per-task", "none"), ("select.policy.cut-off", "true"),
    )  # fmt: skip
    assert torch.allclose(only[0], rft[0], atol=1e-3)
    assert only[1] > 1.05 * hard[1]  # so what was equal above is not equal by itself


@pytest.mark.slow
def test_several_updates_a_round_leave_the_policy_that_sampled_and_are_clipped(tmp_path):
    run = on_letters("gspo", tmp_path / "run", ("rounds", "1"), ("explore.max-tokens", "3"))
    found = metrics_of(run, 0)
    assert found["learn/policy/num_updates"] == 4
    assert found["learn/policy/ratio/deviation"] > 0 and found["learn/policy/clip_fraction"] > 0
    run.store.close()


def test_the_mismatch_of_sampler_and_learner_is_reported_where_it_is_corrected(tmp_path):
    run = on_letters("grpo", tmp_path / "run", *ONE, ("importance-cap", "2"))
    found, own = metrics_of(run, 0), "learn/policy/clipped_policy_gradient/"
    assert found[f"{own}importance"] == pytest.approx(1.0, abs=1e-5)
    assert found[f"{own}mismatch/gap"] == pytest.approx(0.0, abs=1e-5)
    run.store.close()
