"""Fitting until the held-out loss stops falling."""

from __future__ import annotations

import json

import pytest
import torch

from askesis.errors import ConfigError
from askesis.learn.fit import fit, held_out_loss
from askesis.learn.supervised import Supervised
from askesis.learn.trainer import Trainer
from tests.learn.fakes import Net, samples


@pytest.mark.slow
def test_fitting_stops_by_itself_with_the_best_weights_it_saw():
    model, apart = Net(), samples(12, seed=9)
    seen = []
    report = fit(
        model, samples(40), apart, learning_rate=0.05, batch_tokens=300, num_warmup=5,
        evaluate_every=5, patience=2, max_updates=2000, on_progress=seen.append,
    )  # fmt: skip
    assert report["stopped"] == "held_out_loss"
    assert report["num_updates"] < 2000
    assert report["held_out_loss"] < 0.5 * report["held_out_loss_before"]
    trainer = Trainer(model, (Supervised(),), micro_batch_tokens=2048, max_grad_norm=1.0)
    assert held_out_loss(trainer, apart) == pytest.approx(report["held_out_loss"])
    assert report["held_out_loss"] == min(loss for _, loss in report["curve"])
    assert seen[-1]["best"] == report["held_out_loss"]
    assert model.optimizer is None
    json.dumps(report)


def test_memorising_is_stopped_where_other_samples_start_to_suffer():
    few, apart = samples(2, seed=1), samples(30, seed=9)
    model = Net()
    report = fit(
        model, few, apart, learning_rate=0.1, num_warmup=1, evaluate_every=2, patience=3,
        num_decays=0, max_updates=500, weight_decay=0.0,
    )  # fmt: skip
    assert report["stopped"] == "held_out_loss"
    last = report["curve"][-1][1]
    assert report["held_out_loss"] < last


def test_fitting_repeats_itself_and_keeps_to_its_limits():
    def fitted(**limits: float) -> tuple[torch.Tensor, dict]:
        model = Net()
        report = fit(model, samples(30), samples(9, seed=4), batch_tokens=100, **limits)
        return torch.cat([v.reshape(-1) for v in model.copy_weights().values()]), report

    a, report = fitted(max_updates=7)
    assert report["num_updates"] == 7
    assert report["stopped"] == "max_updates"
    assert torch.equal(a, fitted(max_updates=7)[0])
    assert fitted(max_seconds=0.0)[1]["num_updates"] == 1


def test_fitting_needs_samples_on_both_sides():
    with pytest.raises(ConfigError, match="hold out"):
        fit(Net(), samples(3), [])
