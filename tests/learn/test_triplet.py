"""Right answers closer together than wrong ones: by hand, and on a real model's hidden states."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError
from askesis.learn.batch import collate, step_norm
from askesis.learn.objectives.contrast import Triplet
from askesis.learn.trainer import Trainer
from askesis.records import Sample, Sequence
from tests.engines.cast import small_model


def row(*tokens: int, side: float, weight: float) -> Sequence:
    last = np.zeros(len(tokens), np.float32)
    last[-1] = 1.0
    columns = {"weight": weight * last, "side": side * last}
    return Sequence(np.array(tokens, np.int32), columns)


def answers(weight: float = 1.0) -> Sample:
    """A lesson, a right answer and two wrong ones."""
    rows = (row(1, 2, side=1, weight=weight), row(1, 3, side=2, weight=0),
            row(1, 4, side=-1, weight=0), row(1, 5, side=-1, weight=0))  # fmt: skip
    return Sample("policy", rows)


def by_hand(*samples: Sample):
    """Loss and metrics with hidden states that a test writes down: one for each last token."""
    states = {2: (1.0, 0.0), 3: (1.0, 1.0), 4: (0.0, 1.0), 5: (-2.0, 0.0)}
    batch = collate(samples)
    hidden = torch.tensor([[(0.0, 0.0), states[int(t[-1])]] for t in batch.tokens])
    out = SimpleNamespace(hidden=hidden)
    loss, metrics = Triplet(margin=1.5)(out, batch, step_norm(samples))
    return float(loss), {k: float(v) for k, v in metrics.items()}


def test_the_loss_is_the_mean_over_pairs_of_right_and_wrong_answers():
    near, far = 1 - 2**-0.5, (1.0, 2.0)  # distances from the lesson
    wanted = np.mean([max(0, near - d + 1.5) for d in far])
    loss, metrics = by_hand(answers())
    assert loss == pytest.approx(wanted, rel=1e-6) and metrics == {"compared_fraction": 1.0}


def test_samples_without_all_three_kinds_add_nothing_and_are_counted():
    lonely = Sample("policy", (row(1, 2, side=1, weight=1), row(1, 4, side=-1, weight=0)))
    loss, metrics = by_hand(answers(), lonely)
    assert loss == pytest.approx(by_hand(answers())[0] / 2) and metrics["compared_fraction"] == 0.5


def test_what_is_not_learnt_is_not_compared():
    assert by_hand(answers(weight=0.0)) == (0.0, {"compared_fraction": 0.0})


def test_a_model_learns_to_tell_them_apart():
    model = small_model()
    trainer = Trainer(
        model, (Triplet(coef=1.0),), micro_batch_tokens=64, max_grad_norm=1.0, hooks=()
    )
    optimizer = torch.optim.SGD(model.module.parameters(), lr=0.05)
    first, *_, last = [trainer.update(optimizer, [answers()], 0.05) for _ in range(8)]
    assert last.loss < first.loss - 0.05 and not last.refused


def test_a_margin_that_no_distance_has_is_refused():
    with pytest.raises(ConfigError, match="margin"):
        Triplet(margin=2.5)
