"""What the learner computes before the first update: its own and a reference's log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError
from askesis.learn.learner import Learn
from askesis.models.shelf import Shelf
from tests.learn.fakes import Learning
from tests.learn.test_packed_learning import attempts, small


@dataclass(frozen=True)
class Looks:
    """Keeps what it was given, and pushes the weights somewhere."""

    seen: list[Any]
    wants: frozenset[str]
    outputs: frozenset[str] = frozenset({"logp"})
    coef: float = 1.0
    atom = "sequence"

    @property
    def needs(self) -> frozenset[str]:
        return self.wants

    @property
    def uses(self) -> frozenset[str]:
        return self.outputs

    def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
        mask = batch.mask
        columns = {n: batch.column(n)[mask] for n in sorted(self.wants)}
        kl = None if getattr(out, "kl", None) is None else out.kl.detach()[mask]
        self.seen.append((out.logp.detach()[mask], columns, kl))
        return -(out.logp * batch.column("weight")).sum() / norm["tokens"], {}


def context(model: Any, **others: Any) -> Any:
    models = {"policy": model, **others}
    ctx = Learning(shelf=Shelf(models, [("policy", "base")]))
    ctx.models = models
    return ctx


def learn(ctx: Any, model: Any, wants: set[str], made: Any = None, **options: Any) -> list[Any]:
    seen: list[Any] = []
    outputs = options.pop("outputs", frozenset({"logp"}))
    objective = Looks(seen, frozenset(wants | {"weight"}), outputs)
    settings = {"num_updates": 2, "batch_tokens": 10**6, "micro_batch_tokens": 10**6} | options
    Learn(objectives=(objective,), learning_rate=0.02, **settings).learn(
        ctx, model, made or attempts(3), []
    )
    return seen


def test_the_old_log_probabilities_are_those_before_the_first_update():
    model = small(torch.float32)
    first, second = learn(context(model), model, {"logp_old"})
    torch.testing.assert_close(first[1]["logp_old"], first[0], atol=1e-6, rtol=0)
    assert (second[1]["logp_old"] - second[0]).abs().max() > 0.01
    torch.testing.assert_close(second[1]["logp_old"], first[1]["logp_old"])


def test_a_single_update_takes_the_old_log_probabilities_from_its_own_forward_pass():
    model, made = small(torch.float32), attempts(3)
    passes: list[int] = []
    outputs = model.outputs
    model.outputs = lambda batch, uses: passes.append(batch.num_samples) or outputs(batch, uses)
    (only,) = learn(context(model), model, {"logp_old"}, made, num_updates=1)
    assert torch.equal(only[0], only[1]["logp_old"])
    assert passes == [len(made), 1]  # one more sample, to see that it still makes sense


def test_samples_of_later_updates_get_theirs_before_the_first():
    model, made = small(torch.float32), attempts(6)
    before = learn(context(small(torch.float32)), small(torch.float32), set(), made, num_updates=1)
    seen = learn(
        context(model), model, {"logp_old"}, made, num_updates=3, epochs=1, batch_tokens=200
    )
    assert len(seen) == 3
    assert torch.equal(seen[0][0], seen[0][1]["logp_old"])
    assert not torch.equal(seen[1][0], seen[1][1]["logp_old"])
    old = torch.cat([columns["logp_old"] for _, columns, _ in seen]).sort().values
    torch.testing.assert_close(old, before[0][0].sort().values, atol=1e-5, rtol=0)


@pytest.mark.parametrize("reference", ["base", "policy@0", "teacher"])
def test_the_reference_is_a_snapshot_or_another_model_and_leaves_the_weights_alone(reference):
    model, teacher = small(torch.float32), small(torch.float32)
    ctx = context(model, teacher=teacher)
    learn(ctx, model, set())
    ctx.shelf.learnt(model, 0)
    version, before = model.version, model.copy_weights()
    first, second = learn(ctx, model, {"logp_reference"}, reference=reference)
    torch.testing.assert_close(first[1]["logp_reference"], second[1]["logp_reference"])
    assert (first[1]["logp_reference"] - first[0]).abs().max() > 0.01
    base = learn(context(teacher), teacher, set())[0][0]  # the weights that both began with
    torch.testing.assert_close(first[1]["logp_reference"], base, atol=1e-5, rtol=0)
    assert model.version == version + 1
    assert any(not torch.equal(before[n], t) for n, t in model.weights().items())


def test_a_column_that_the_selector_made_is_kept():
    model = small(torch.float32)
    made = []
    for sample in attempts(2):
        row = sample.sequences[0]
        columns = {**row.columns, "logp_reference": np.full(len(row.tokens), -7.0, np.float32)}
        made.append(replace(sample, sequences=(replace(row, columns=columns),)))
    seen = learn(context(model), model, {"logp_reference"}, made, reference="base")
    assert set(seen[0][1]["logp_reference"].tolist()) == {-7.0}


def test_the_divergence_over_the_vocabulary_starts_at_zero_and_is_that_of_the_logits():
    model = small(torch.float32)
    outputs = frozenset({"logp", "kl"})
    first, second = learn(context(model), model, set(), outputs=outputs, reference="base")
    assert first[2].abs().max() < 1e-6
    assert second[2].min() > -1e-6 and second[2].max() > 1e-3
    estimate = second[0] - first[0]  # its mean over the policy's own tokens; any size here
    assert estimate.shape == second[2].shape
    assert all(p.requires_grad for p in model.module.parameters())


def test_references_that_are_missing_or_read_other_tokens_are_named():
    model = small(torch.float32)
    with pytest.raises(ConfigError, match="needs a reference and none is named"):
        learn(context(model), model, {"logp_reference"})
    with pytest.raises(ConfigError, match="no snapshot 'bse'"):
        learn(context(model), model, {"logp_reference"}, reference="bse")
    other = SimpleNamespace(renderer=SimpleNamespace(vocab_size=32000), weights=dict, name="big")
    other.copy_weights = dict
    other.copy_optimizer = lambda: None
    with pytest.raises(ConfigError, match="another vocabulary; expected 264 tokens; found 32000"):
        learn(context(model, big=other), model, {"logp_reference"}, reference="big")
