"""Credit that needs the model's own numbers: KL in the reward, and a value head's advantages."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.learn.credit import GeneralisedAdvantages, KLInReward
from askesis.records import Sample, Sequence


def sample(numbers: dict[str, float], weight: list[float], **columns: list[float]) -> Sample:
    made = {name: np.array(c, np.float32) for name, c in {"weight": weight, **columns}.items()}
    return Sample("policy", (Sequence(np.arange(len(weight), dtype=np.int32), made),), numbers)


def three() -> list[Sample]:
    """Log-ratios 1, 2 and 6 (what stands on the prompt does not count); two groups."""
    return [
        sample({"advantage": a, "group": g}, [0, 1, 1], logp_old=old, logp_reference=[-9, -2, -3])
        for a, g, old in ((1.0, 0, [5, -2, -2]), (0.0, 0, [0, -1, -2]), (0.5, 1, [0, 1, 0]))
    ]


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("none", [1 - 0.1, 0 - 0.2, 0.5 - 0.6]),
        ("batch", [1 - 0.1 * (1 - 3), 0 - 0.1 * (2 - 3), 0.5 - 0.1 * (6 - 3)]),
        # of the others of the group: 1 - 2 and 2 - 1; a group of one has no others
        ("leave_one_out", [1 + 0.1, 0 - 0.1, 0.5 - 0.6]),
    ],
)
def test_a_log_ratio_is_taken_off_the_reward_with_the_reward_s_own_baseline(baseline, expected):
    made, metrics = KLInReward(coef=0.1, baseline=baseline)(three())
    assert [s.columns["advantage"] for s in made] == pytest.approx(expected)
    assert metrics == {"kl_reward": pytest.approx(3.0)}


def test_kl_in_the_reward_is_leave_one_out_of_the_whole_reward():
    """RLOO as printed subtracts beta KL from r and then compares; comparing is linear."""
    from askesis.formulas.advantages import leave_one_out

    rewards, ratios = np.array([1.0, 0.0]), np.array([1.0, 2.0])
    printed = leave_one_out(rewards - 0.3 * ratios)
    pair = [s for s in three() if s.columns["group"] == 0]
    for one, advantage in zip(pair, leave_one_out(rewards), strict=True):
        one.columns["advantage"] = float(advantage)
    made, _ = KLInReward(coef=0.3, baseline="leave_one_out")(pair)
    assert [s.columns["advantage"] for s in made] == pytest.approx(list(printed))


def test_a_coefficient_of_zero_reads_nothing_and_changes_nothing():
    part, samples = KLInReward(coef=0.0), three()
    assert part.needs == frozenset() and part(samples)[0] == samples


def test_advantages_and_returns_are_those_of_the_formula_with_kl_and_the_reward_at_the_end():
    one = sample({"reward": 1.0}, [0, 1, 1], value_old=[9, 0.5, 0.25], logp_old=[0, -1, -1],
                 logp_reference=[0, -2, -1])  # fmt: skip
    part = GeneralisedAdvantages(kl_coef=0.5, lambda_=0.5, whiten=False)
    (made,), metrics = part([one])
    # rewards -0.5 * 1 and 1; delta_2 = 1 - 0.25, delta_1 = -0.5 + 0.25 - 0.5; A_1 = d1 + 0.5 d2
    columns = made.sequences[0].columns
    assert columns["advantage"].tolist() == [0, -0.375, 0.75]
    assert columns["returns"].tolist() == [0, 0.125, 1.0]
    assert metrics["kl_reward"] == 1.0


def test_whitening_is_over_the_learnt_tokens_of_the_whole_round():
    many = [sample({"reward": r}, [0, 1, 0, 1], value_old=[0] * 4) for r in (0.0, 1.0, 1.0)]
    made, _ = GeneralisedAdvantages(kl_coef=0.0, lambda_=1.0)(many)
    advantages = np.concatenate([s.sequences[0].columns["advantage"] for s in made])
    inside = advantages[advantages != 0]
    assert len(inside) == 6 and abs(inside.mean()) < 1e-6 and abs(inside.std() - 1) < 1e-6


def test_values_that_know_the_returns_explain_all_of_them():
    many = [sample({"reward": r}, [0, 1], value_old=[0, r]) for r in (0.0, 1.0)]
    _, metrics = GeneralisedAdvantages(kl_coef=0.0)(many)
    assert metrics["explained_variance"] == 1.0


def test_what_is_missing_is_named_in_a_line():
    with pytest.raises(ConfigError, match="needs the number 'reward'"):
        GeneralisedAdvantages(kl_coef=0.0)([sample({"advantage": 1.0}, [1], value_old=[0])])
    arrays = Sample("policy", (), {"advantage": 1.0}, arrays={"x": np.zeros(2)})
    with pytest.raises(ConfigError, match="samples of arrays"):
        KLInReward()([arrays])
    with pytest.raises(ConfigError, match=r"KLInReward\.baseline is out of range"):
        KLInReward(baseline="mean")
    with pytest.raises(ConfigError, match=r"GeneralisedAdvantages\.gamma"):
        GeneralisedAdvantages(gamma=2.0)
