"""Learning that runs away is stopped with the last good weights; bad budgets are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from askesis.errors import ConfigError, ModelError
from askesis.learn.divergence import REFUSED, LearningDiverged, Watch
from askesis.learn.learner import Learn
from askesis.learn.trainer import StepReport
from tests.learn.fakes import Learning, Net, samples


def test_updates_that_are_refused_in_a_row_end_the_learning():
    @dataclass(frozen=True)
    class Never:
        coef: float = 1.0
        needs, uses, atom = frozenset(), frozenset({"logp"}), "sequence"

        def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
            return out.logp.sum() * float("inf"), {}

    learn = Learn(objectives=(Never(),), num_updates=20, batch_tokens=60, learning_rate=0.3)
    ctx = Learning()
    with pytest.raises(
        LearningDiverged, match="5 updates in a row whose loss is not finite"
    ) as stop:
        learn.learn(ctx, Net(), samples(20), [])
    assert "learning-rate 0.1 or less" in str(stop.value) and "last good weights" in str(stop.value)
    assert "\n" not in str(stop.value)
    assert isinstance(stop.value, ModelError)
    assert ctx.counts["updates"] == 0


def test_a_learning_rate_that_diverges_ends_the_learning():
    learn = Learn(num_updates=60, batch_tokens=100, learning_rate=30.0)
    with pytest.raises(LearningDiverged, match="a loss that went from"):
        learn.learn(Learning(), Net(), samples(20), [])


def test_one_accident_or_a_loss_that_only_swings_ends_nothing():
    watch = Watch("policy", 1e-3)
    for i in range(40):
        watch.look(StepReport(loss=2.0 + 50 * (i % 2), refused="loss" if i % REFUSED else ""))


def test_a_budget_smaller_than_one_sample_says_what_to_type():
    with pytest.raises(ConfigError, match=r"at most 10 tokens.*--learn.policy.batch-tokens \d\d"):
        Learn(batch_tokens=10).learn(Learning(), Net(), samples(20), [])
