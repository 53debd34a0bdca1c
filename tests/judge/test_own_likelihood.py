"""A model's own likelihood as a judge: exact on tables, under any kept weights."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.explore.sample import SampleAttempts
from askesis.judge.own_likelihood import OwnLikelihood
from askesis.models.tabular import TabularModel
from askesis.records import Attempt, Group, Start, StopReason
from tests.explore.host import Host, says
from tests.probes.house import LetterWorld

TASK = LetterWorld().task("a")


def table() -> np.ndarray:
    logits = np.zeros((6, 6))
    logits[0, 2], logits[2, 4] = 2.0, 1.0  # a says x, x ends
    return logits


def host() -> Host:
    return Host(
        {"policy": TabularModel("policy", "abxy", table())},
        world=LetterWorld(),
        keep={("policy", "base")},
    )


def logp(text: str) -> list[float]:
    """Of the letters and the end after "a", by hand."""
    ids = [0, *("abxy".index(c) for c in text), 4]
    rows = table()[:, :5]
    rows = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    return [float(rows[i, j]) for i, j in pairwise(ids)]


def test_an_attempt_is_worth_its_log_probability_or_the_mean_over_tokens():
    here = host()
    group = Group("g", tuple(here.explore(SampleAttempts(num_attempts=6), Start(TASK))))
    sums = here.judge(OwnLikelihood(), group)
    means = here.judge(OwnLikelihood(mean=True), group)
    for attempt, one, mean in zip(group.attempts, sums, means, strict=True):
        if attempt.stop is StopReason.ENDED:
            assert one.value == pytest.approx(sum(logp(attempt.text)), abs=1e-5)
            assert mean.value == pytest.approx(np.mean(logp(attempt.text)), abs=1e-5)
        assert one.cost == 0  # the same weights said it


def test_after_learning_it_can_still_ask_the_first_weights():
    here = host()
    model = here.models["policy"]
    model.load({k: v + 3 * (v == 2.0) for k, v in model.weights().items()})
    here.shelf.learnt(model, 0)
    (attempt,) = here.explore(SampleAttempts(num_attempts=1, temperature=0.0), Start(TASK))
    assert attempt.text == "x" and attempt.turns[0].speaker == "policy@1"
    group = Group("g", (attempt,))
    (first,) = here.judge(OwnLikelihood(snapshot="base"), group)
    (now,) = here.judge(OwnLikelihood(), group)
    assert first.value == pytest.approx(sum(logp("x")), abs=1e-5)
    assert first.cost == 2 and now.cost == 0
    assert now.value > first.value


def test_what_failed_or_says_nothing_is_unknown_and_what_has_no_log_probability_is_asked():
    here = host()
    (one,) = here.explore(SampleAttempts(num_attempts=1, temperature=0.0), Start(TASK))
    bare = replace(one, turns=(replace(one.turns[0], logp_model=np.full(2, math.nan)),))
    failed = Attempt("f", Start(TASK), (), StopReason.FAILED, error="it broke")
    found = here.judge(OwnLikelihood(), Group("g", (failed, replace(one, turns=()), bare, one)))
    assert [v.value for v in found[:2]] == [None, None]
    assert found[2].value == pytest.approx(found[3].value, abs=1e-5) and found[2].cost == 2


def test_an_engine_that_says_no_log_probabilities_is_refused_before_the_first_round():
    OwnLikelihood().on_phase_start(host().context("judge"))
    with pytest.raises(ConfigError, match="no log-probabilities"):
        OwnLikelihood().on_phase_start(Host(says({})).context("judge"))
