"""Gradients that no cut changes, guarded updates, hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError, ModelError
from askesis.learn.batching import micro_batches
from askesis.learn.checks import fitting
from askesis.learn.optimizer import open_optimizer
from askesis.learn.supervised import Supervised
from askesis.learn.trainer import Trainer
from askesis.records import Sample, Sequence
from tests.learn.fakes import Net, gradients, samples

MEANS = ("token", "sequence")


def trainer(model: Any, mean: str = "token", pieces: int = 10**6, **options: Any) -> Trainer:
    options = {"max_grad_norm": 0.0, **options}
    return Trainer(model, (Supervised(mean=mean),), micro_batch_tokens=pieces, **options)


def gradient(dtype: torch.dtype, mean: str, pieces: int, made: list[Sample]) -> torch.Tensor:
    model = Net(dtype)
    trainer(model, mean, pieces).gradient(made)
    return gradients(model)


def cuts(made: list[Sample], wanted: tuple[int, ...]) -> dict[int, int]:
    """Micro-batch limits that cut these samples into so many pieces."""
    found = {len(list(micro_batches(made, limit))): limit for limit in range(2000, 20, -1)}
    return {n: found[n] for n in wanted}


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_one_two_or_four_uneven_pieces_give_the_same_gradient(dtype, tolerance, mean, signed):
    made = samples(23, seed=3, signed=signed)
    limits = cuts(made, (1, 2, 4))
    whole = gradient(dtype, mean, limits[1], made)
    for pieces in (2, 4):
        part = gradient(dtype, mean, limits[pieces], made)
        assert (part - whole).norm() <= tolerance * whole.norm(), pieces


def test_several_threads_give_the_same_bits_as_one():
    made = samples(40, seed=5)
    found = []
    for num_workers in (1, 2, 3):
        model = Net()
        report = trainer(model, pieces=60, num_workers=num_workers).gradient(made)
        found.append((gradients(model), report))
        assert model.num_batches > 4
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][0], found[2][0])
    assert found[0][1] == found[1][1] == found[2][1]
    assert torch.get_num_threads() == 1


def test_an_error_in_a_thread_reaches_the_caller():
    class Broken(Net):
        def outputs(self, batch, uses):
            raise RuntimeError("no forward")

    with pytest.raises(RuntimeError, match="no forward"):
        trainer(Broken(), pieces=60, num_workers=2).gradient(samples(40))


@pytest.mark.parametrize("mean", MEANS)
def test_the_gradient_equals_finite_differences(mean):
    model, made = Net(torch.float64), samples(5)
    train = trainer(model, mean, 50)
    train.gradient(made)
    exact = gradients(model)
    parameters = list(model.module.parameters())
    sizes = np.cumsum([0] + [p.numel() for p in parameters])
    for place in range(0, sizes[-1], 17):
        which = int(np.searchsorted(sizes, place, side="right")) - 1
        flat = parameters[which].data.view(-1)
        losses = []
        for step in (1e-6, -1e-6):
            flat[place - sizes[which]] += step
            losses.append(train.gradient(made).loss)
            flat[place - sizes[which]] -= step
        estimate = (losses[0] - losses[1]) / 2e-6
        assert estimate == pytest.approx(float(exact[place]), abs=1e-7)


def test_the_loss_is_the_mean_over_weighted_tokens_of_the_whole_step():
    model, made = Net(torch.float64), samples(7)
    total = weight = 0.0
    for sample in made:
        row = sample.sequences[0]
        tokens = torch.as_tensor(row.tokens).long()[None]
        logits = torch.log_softmax(model.module(tokens[:, :-1]), -1)[0]
        for i in range(1, len(row.tokens)):
            total -= row.columns["weight"][i] * logits[i - 1, row.tokens[i]].item()
            weight += row.columns["weight"][i]
    assert trainer(model, pieces=40).gradient(made).loss == pytest.approx(total / weight)


def test_padding_changes_nothing():
    model = Net(torch.float64)
    made = samples(2, seed=1)
    together = gradient(torch.float64, "token", 10**6, made)
    apart = gradient(torch.float64, "token", 1, made)
    assert torch.allclose(together, apart, rtol=1e-12)
    assert model.renderer.pad_token not in made[0].sequences[0].tokens


@dataclass(frozen=True)
class Explodes:
    """A loss that is not finite, or whose gradient is not."""

    where: str
    coef: float = 1.0
    needs = frozenset()
    uses = frozenset({"logp"})
    atom = "sequence"

    def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
        total = out.logp.sum()
        if self.where == "loss":
            return total * float("nan"), {}
        return ((total - total.detach()).abs() + 1e-45).sqrt() * 0 + (total * 0).sqrt(), {}


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_an_update_that_is_not_finite_is_refused_and_says_why(where):
    model = Net()
    before = model.copy_weights()
    optimizer = open_optimizer(model, betas=(0.9, 0.95), weight_decay=0.0)
    train = Trainer(model, (Explodes(where),), micro_batch_tokens=100, max_grad_norm=1.0)
    assert train.update(optimizer, samples(3), 0.1).refused == where
    assert all(torch.equal(before[k], v) for k, v in model.weights().items())
    assert not optimizer.state_dict()["state"]
    assert trainer(model).update(optimizer, samples(3), 0.1).refused == ""


def test_weights_that_are_not_finite_end_the_run_with_a_hint():
    model = Net()
    optimizer = open_optimizer(model, betas=(0.9, 0.95), weight_decay=0.0)
    with torch.no_grad():
        model.module.inner.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"learning-rate 0\.033 or less"):
        trainer(model).update(optimizer, samples(3), 0.1)


def test_metrics_of_several_objectives_stand_below_their_names():
    @dataclass(frozen=True)
    class KLToNowhere(Supervised):
        def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
            loss, _ = super().__call__(out, batch, norm)
            return loss, {"likely": loss.detach() * 3}

    def metrics(*objectives: Any) -> dict[str, float]:
        made = Trainer(Net(), objectives, micro_batch_tokens=10**6, max_grad_norm=0.0)
        return made.gradient(samples(4)).metrics

    alone = metrics(KLToNowhere())
    assert alone.keys() == {"likely"}
    several = metrics(KLToNowhere(), Supervised(coef=0.5), KLToNowhere(coef=2.0))
    assert several.keys() == {
        "kl_to_nowhere/loss_share",
        "kl_to_nowhere/likely",
        "supervised/loss_share",
        "kl_to_nowhere_2/loss_share",
        "kl_to_nowhere_2/likely",
    }
    loss = alone["likely"] / 3
    assert several["kl_to_nowhere_2/likely"] == pytest.approx(alone["likely"])
    shares = [
        several[f"{n}/loss_share"] for n in ("kl_to_nowhere", "supervised", "kl_to_nowhere_2")
    ]
    assert shares == pytest.approx([loss, 0.5 * loss, 2 * loss])


def test_long_gradients_are_scaled_down():
    # plain gradient descent in Adam's place would hide nothing: look at the gradient itself
    model = Net(torch.float64)
    optimizer = open_optimizer(model, betas=(0.9, 0.95), weight_decay=0.0)
    report = trainer(model, max_grad_norm=1e-3).update(optimizer, samples(5), 0.1)
    assert report.grad_norm > 1e-2
    assert float(gradients(model).norm()) == pytest.approx(1e-3)


@dataclass
class Hooks:
    """A retainer with every hook of a step."""

    seen: list[str]

    def extra_loss(self, ctx: Any, model: Any) -> torch.Tensor:
        return 0.5 * sum((p**2).sum() for p in model.module.parameters())

    def transform_step(self, ctx: Any, model: Any, before: Any) -> None:
        self.seen.append("transform")
        with torch.no_grad():
            model.module.outer.bias.copy_(before["outer.bias"])

    def on_step_end(self, ctx: Any, model: Any) -> None:
        self.seen.append(ctx)


def test_retainers_add_a_loss_edit_the_step_and_hear_its_end():
    model, made = Net(torch.float64), samples(6)
    plain = trainer(model)
    plain.gradient(made)
    wanted = gradients(model) + torch.cat(
        [p.detach().reshape(-1) for p in model.module.parameters()]
    )
    model = Net(torch.float64)
    hooks = Hooks([])
    bias = model.module.outer.bias.detach().clone()
    optimizer = open_optimizer(model, betas=(0.9, 0.95), weight_decay=0.0)
    train = trainer(model, pieces=30, hooks=[(hooks, "its context")])
    train.update(optimizer, made, 0.1)
    assert torch.allclose(gradients(model), wanted)  # once a step, however many pieces
    assert torch.equal(model.module.outer.bias, bias)
    assert hooks.seen == ["transform", "its context"]


def test_samples_that_do_not_fit_are_refused_by_name():
    model = Net()
    with pytest.raises(ConfigError, match="handed to the learner of 'policy'"):
        trainer(model).check(samples(1, model="critic"))
    bare = Sample("policy", (Sequence(np.arange(3, dtype=np.int32), {}),))
    with pytest.raises(ConfigError, match="needs the columns weight"):
        trainer(model).check([bare])

    @dataclass(frozen=True)
    class Pairs(Supervised):
        atom = "pair"

    train = Trainer(model, (Pairs(),), micro_batch_tokens=100, max_grad_norm=0)
    with pytest.raises(ConfigError, match="atoms of 2 sequences"):
        train.check(samples(1))


def test_samples_longer_than_the_context_are_left_out():
    long = Sample(
        "policy", (Sequence(np.zeros(65, np.int32), {"weight": np.ones(65, np.float32)}),)
    )
    empty = Sample("policy", ())
    made = samples(2)
    assert fitting(Net(), [long, *made, empty]) == made


def test_parameters_that_share_a_gradient_are_scaled_once():
    class Shared(Net):
        """Two biases that are added: autograd hands both the same tensor."""

        def __init__(self):
            super().__init__(torch.float64)
            self.module.second = torch.nn.Parameter(self.module.outer.bias.detach().clone())

        def outputs(self, batch, uses):
            out = super().outputs(batch, uses)
            both = self.module.outer.bias + self.module.second
            out.logp = out.logp * 0 + both.sum()
            return out

    found = []
    for num_workers in (1, 2):
        model = Shared()
        optimizer = open_optimizer(model, betas=(0.9, 0.95), weight_decay=0.0)
        train = trainer(model, num_workers=num_workers, max_grad_norm=1e-3)
        train.update(optimizer, samples(3), 0.1)
        found.append(model.module.second.grad)
        assert torch.equal(model.module.second.grad, model.module.outer.bias.grad)
    assert torch.equal(*found)
