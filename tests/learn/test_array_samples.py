"""Objectives on episodes of array steps: the same as on rows of tokens, or refused by name."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError
from askesis.learn.batch import Batch, collate, step_norm
from askesis.learn.checks import check_samples
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.learn.objectives.preference import ContrastivePreference
from askesis.models.array_policy import ArrayPolicy
from askesis.records import Sample
from tests.learn.test_objectives import CASES, Table, double, drawn_samples

SINGLE = {n: o for n, o in CASES.items() if o.atom in ("token", "sequence")}
SEVERAL = {n: o for n, o in CASES.items() if n not in SINGLE}


def as_episodes(samples: list[Sample]) -> list[Sample]:
    """The learnt tokens of token samples as steps; their columns as arrays of numbers."""
    found = []
    for sample in samples:
        (row,) = sample.sequences
        learnt = np.flatnonzero(row.columns["weight"])
        arrays = {n: np.asarray(c, np.float32)[learnt] for n, c in row.columns.items()}
        arrays |= {"token": row.tokens[learnt], "before": row.tokens[learnt - 1]}
        found.append(Sample("policy", (), sample.columns, sample.sources, arrays))
    return found


def outputs(batch: Batch, uses: frozenset[str], tokens: bool) -> Any:
    """What the table says: of rows as the conventions align it, of steps at once."""
    model = Table()
    if tokens:
        return model, model.outputs(batch, uses)
    before, token = batch.arrays["before"].long(), batch.arrays["token"].long()
    logits, other = model.logits[before], model.reference[before]
    whole, reference = logits.log_softmax(-1), other.log_softmax(-1)
    return model, SimpleNamespace(
        logp=whole.gather(-1, token[:, None])[:, 0],
        entropy=-(whole.exp() * whole).sum(-1),
        kl=(whole.exp() * (whole - reference)).sum(-1),
        value=model.value[before],
        logits=logits,
        logits_reference=other,
    )


@pytest.mark.parametrize("name", SINGLE)
def test_an_objective_of_single_sequences_says_the_same_of_steps_as_of_tokens(name):
    objective = SINGLE[name]
    samples = [s for s in drawn_samples(objective) if s.sequences[0].columns["weight"].any()]
    found = []
    for made in (samples, as_episodes(samples)):
        batch = double(collate(made))
        model, out = outputs(batch, objective.uses, bool(made[0].sequences))
        if "value" in objective.uses and "head" in name and made[0].arrays:
            # a head reads the state after the token; a step's value is that of before it
            out.value = model.value[batch.arrays["token"].long()]
        loss, metrics = objective(out, batch, step_norm(made))
        found.append((loss, metrics, model.gradient(loss)))
    (loss, metrics, slope), (again, same, steps) = found
    assert float(again.detach()) == pytest.approx(float(loss.detach()), rel=1e-6)
    for key, value in metrics.items():
        assert float(same[key]) == pytest.approx(float(value), rel=1e-5, abs=1e-9), key
    assert torch.allclose(steps, slope, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", SEVERAL)
def test_an_objective_of_several_sequences_refuses_episodes_in_a_line(name):
    made = [Sample("policy", (), arrays={"weight": np.ones(3, np.float32)})]
    model = SimpleNamespace(name="policy")
    objective = SEVERAL[name]
    wanted = rf"{type(objective).__name__} learns from several sequences of tokens.*array steps"
    with pytest.raises(ConfigError, match=wanted) as error:
        check_samples(model, (objective,), frozenset(), made)
    assert "\n" not in str(error.value)


def episodes(seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed)
    found = []
    for length in (3, 1, 5, 2):
        arrays = {
            "observation": rng.normal(size=(length, 3)).astype(np.float32),
            "action": rng.integers(0, 4, length),
            "weight": np.ones(length, np.float32),
            "advantage": np.full(length, rng.normal(), np.float32),
        }
        found.append(Sample("policy", (), arrays=arrays))
    return found


def test_gspo_learns_a_policy_over_arrays_with_one_ratio_an_episode():
    from tests.learn.test_references import context

    model = ArrayPolicy("policy", 3, 4)
    ratios: list[torch.Tensor] = []

    @dataclasses.dataclass(frozen=True)
    class Watched(ClippedPolicyGradient):
        def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
            gap = (out.logp - batch.column("logp_old")).detach()
            per = gap.new_zeros(batch.num_samples).index_add(0, batch.sample, gap)
            mean = (per / batch.lengths).exp()[batch.sample]
            loss, metrics = super().__call__(out, batch, norm)
            ratios.append(mean.mean())
            assert float(metrics["ratio"]) == pytest.approx(float(mean.mean()), rel=1e-5)
            return loss, metrics

    gspo = Watched(ratio="sequence", clip_low=0.2, clip_high=0.2)
    learn = Learn(objectives=(gspo,), num_updates=4, batch_tokens=10**6, micro_batch_tokens=10**6)
    learn.learn(context(model), model, episodes(), [])
    assert len(ratios) == 4 and float(ratios[0]) == pytest.approx(1.0)
    assert float(ratios[-1]) != pytest.approx(1.0, abs=1e-4)


def test_contrastive_preferences_of_arrays_are_refused_by_the_learner():
    from tests.learn.test_references import context

    model = ArrayPolicy("policy", 3, 4)
    learn = Learn(objectives=(ContrastivePreference(),))
    with pytest.raises(ConfigError, match="take an objective of single sequences for array roles"):
        learn.learn(context(model), model, episodes(), [])
