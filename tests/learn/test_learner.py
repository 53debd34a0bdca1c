"""The learner: it learns, repeats itself exactly, and says when there was nothing to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError
from askesis.learn.learner import Learn
from askesis.learn.supervised import Supervised
from askesis.models.array_policy import ArrayPolicy
from askesis.models.shelf import Shelf
from askesis.records import Sample
from tests.learn.fakes import Learning, Net, samples


def weights(model: Any) -> torch.Tensor:
    return torch.cat([v.reshape(-1) for v in model.copy_weights().values()])


def test_learning_a_rule_makes_it_likely():
    model, learn = Net(), Learn(learning_rate=0.02, epochs=60, batch_tokens=200)
    found = learn.learn(Learning(), model, samples(40), [])
    assert found["loss/first"] > 2 > 0.8 > found["loss/last"]
    assert found["num_refused"] == 0
    assert model.version == 1


def test_what_was_learnt_is_counted():
    ctx, made = Learning(), samples(30)
    tokens = sum(s.num_tokens for s in made)
    found = Learn(epochs=2, batch_tokens=100).learn(ctx, Net(), made, [])
    assert found["tokens"] == ctx.counts["trained"] == 2 * tokens
    assert found["num_updates"] == ctx.counts["updates"] == 2 * round(tokens / 100)
    assert 0 <= found["padding_fraction"] < 0.4
    assert found["num_samples"] == 30


def test_a_round_without_samples_updates_nothing_and_says_so():
    model = Net()
    before = weights(model)
    found = Learn().learn(Learning(), model, [], [])
    assert (found["num_updates"], found["num_samples"], found["tokens"]) == (0, 0, 0)
    assert "loss" not in found
    assert model.version == 0
    assert torch.equal(weights(model), before)


def test_the_same_seed_learns_the_same_bits_and_another_seed_another_order():
    def learnt(seed: int) -> torch.Tensor:
        model = Net()
        Learn(batch_tokens=60).learn(Learning(seed), model, samples(30), [])
        return weights(model)

    assert torch.equal(learnt(1), learnt(1))
    assert not torch.equal(learnt(1), learnt(2))


def test_a_model_saved_between_rounds_continues_to_the_same_bits(tmp_path):
    learn = Learn(batch_tokens=60)

    def rounds(model: Any, first: int, last: int) -> Any:
        for i in range(first, last):
            learn.learn(Learning(i), model, samples(20, seed=i), [])
        return model

    whole = rounds(Net(), 0, 4)
    half = rounds(Net(), 0, 2)
    half.save_state(tmp_path)
    resumed = Net()
    resumed.load_state(tmp_path)
    rounds(resumed, 2, 4)
    assert torch.equal(weights(whole), weights(resumed))
    fresh = Net()
    fresh.load(half.weights())  # without the optimiser's averages it is another run
    assert not torch.equal(weights(rounds(fresh, 2, 4)), weights(whole))


def test_starting_from_base_forgets_the_last_round():
    model = Net()
    shelf = Shelf({"policy": model}, [("policy", "base")])
    ctx, made = Learning(shelf=shelf), samples(20)
    learn = Learn(start="base", optimizer="reset")
    learn.learn(ctx, model, made, [])
    once = weights(model)
    learn.learn(ctx, model, made, [])
    assert torch.equal(weights(model), once)
    Learn(start="continue").learn(ctx, model, made, [])
    assert not torch.equal(weights(model), once)


def test_the_optimiser_can_be_kept_over_a_restart_from_base():
    model = Net()
    shelf = Shelf({"policy": model}, [("policy", "base")])
    ctx = Learning(shelf=shelf)
    learn = Learn(start="base", optimizer="keep", num_updates=3)
    learn.learn(ctx, model, samples(20), [])
    learn.learn(ctx, model, samples(20), [])
    steps = [float(s["step"]) for s in model.optimizer.state_dict()["state"].values()]
    assert set(steps) == {6.0}


def test_an_exact_number_of_updates_can_be_asked_for():
    for asked in (1, 7):
        found = Learn(num_updates=asked, batch_tokens=50).learn(Learning(), Net(), samples(10), [])
        assert found["num_updates"] == asked


def test_the_schedule_reaches_the_optimiser():
    model = Net()
    Learn(schedule="linear", num_updates=4, warmup_fraction=0, learning_rate=0.4).learn(
        Learning(), model, samples(10), []
    )
    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_two_objectives_are_weighted_by_their_coefficients():
    one = Learn(objectives=(Supervised(coef=0.25), Supervised(coef=0.75)))
    two = Learn(objectives=(Supervised(),))
    a, b = Net(torch.float64), Net(torch.float64)
    one.learn(Learning(), a, samples(10), [])
    two.learn(Learning(), b, samples(10), [])
    assert torch.allclose(weights(a), weights(b), rtol=1e-12)


class Halves:
    """Parameter groups of a retainer: the embedding learns at half the rate of the rest."""

    def param_groups(self, ctx: Any, model: Any) -> list[dict[str, Any]]:
        slow = list(model.module.embed.parameters())
        rest = [p for n, p in model.module.named_parameters() if not n.startswith("embed")]
        return [{"params": slow, "lr_factor": 0.5}, {"params": rest}]


def test_a_retainer_can_make_the_parameter_groups_and_two_cannot():
    model = Net()
    hooks = [(Halves(), None)]
    Learn(learning_rate=0.2).learn(Learning(), model, samples(10), hooks)
    assert [g["lr"] for g in model.optimizer.param_groups] == [0.1, 0.2]
    with pytest.raises(ConfigError, match="both make parameter groups"):
        Learn().learn(Learning(), model, samples(10), hooks * 2)
    with pytest.raises(ConfigError, match="optimizer reset"):  # kept moments of other groups
        Learn().learn(Learning(), model, samples(10), [])


def test_array_samples_are_learnt_by_the_same_learner():
    rng = np.random.default_rng(0)
    observation = np.eye(4, dtype=np.float32)[rng.integers(4, size=200)]
    action = observation.argmax(1) % 3
    parts = np.split(np.arange(200), [30, 90, 91])
    made = [
        Sample("policy", (), arrays={"observation": observation[p], "action": action[p],
                                     "weight": np.ones(len(p), np.float32)})
        for p in parts
    ]  # fmt: skip
    model = ArrayPolicy("policy", 4, 3)
    for mean in ("token", "sequence"):
        learn = Learn(objectives=(Supervised(mean=mean),), learning_rate=0.05, epochs=30)
        found = learn.learn(Learning(), model, made, [])
    assert found["loss/last"] < 0.1
    assert found["tokens"] == 30 * 200
    assert found["padding_fraction"] == 0


def test_a_frozen_model_cannot_learn():
    model = Net()
    model.trainable = False
    with pytest.raises(ConfigError, match="frozen"):
        Learn().learn(Learning(), model, samples(2), [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"batch_tokens": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")},
        {"warmup_fraction": 1.0}, {"betas": (0.9, 1.0)}, {"schedule": "cosin"}, {"objectives": ()},
        {"optimizer": "maybe"}, {"num_updates": 0}, {"max_grad_norm": -1.0}, {"start": ""},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_refused_in_one_line(wrong):
    with pytest.raises(ConfigError, match=r"Learn|schedule") as refused:
        Learn(**wrong)
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="token or sequence"):
        Supervised(mean="both")
