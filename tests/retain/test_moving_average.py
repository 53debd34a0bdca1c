"""The average follows every update, has a name of its own each round, and survives a segment."""

from __future__ import annotations

import pytest
import torch

from askesis.errors import ConfigError
from askesis.models.tabular import TabularModel
from askesis.retain.moving_average import MovingAverage
from tests.explore.host import Host


def test_the_average_follows_by_its_decay_and_leaves_the_model_alone():
    model = TabularModel("policy", "ab")
    host = Host({"policy": model, "other": TabularModel("other", "ab")})
    part, ctx = MovingAverage(decay=0.75), host.context("retain")
    part.on_phase_start(ctx)
    assert host.shelf.find("policy", "average") == "policy@0"
    model.module.logits.data.fill_(4.0)
    part.on_step_end(ctx, model)
    part.on_step_end(ctx, host.models["other"])  # not the one it follows
    average = host.shelf.weights("policy", "average")["logits"]
    assert torch.equal(average, torch.ones_like(average))  # 0.75 * 0 + 0.25 * 4
    assert torch.equal(model.module.logits.detach(), torch.full_like(average, 4.0))
    first = host.shelf.find("policy", "average")
    model.version += 1  # as a learner does when it is done
    part.on_step_end(ctx, model)
    assert len({first, host.shelf.find("policy", "average"), "policy@0"}) == 3
    assert host.shelf.weights("policy", "average")["logits"][0, 0] == pytest.approx(1.75)


def test_a_later_phase_goes_on_with_the_average_it_finds():
    model = TabularModel("policy", "ab")
    host = Host({"policy": model})
    part, ctx = MovingAverage(decay=0.5), host.context("retain")
    part.on_phase_start(ctx)
    model.module.logits.data.fill_(2.0)
    part.on_step_end(ctx, model)
    part.on_phase_start(ctx)
    assert host.shelf.weights("policy", "average")["logits"][0, 0] == 1.0
    with pytest.raises(ConfigError, match=r"MovingAverage\.decay"):
        MovingAverage(decay=1.0)
