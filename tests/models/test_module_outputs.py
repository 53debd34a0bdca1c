"""Transformers modules without much padding and without all logits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM

from askesis.errors import ModelError
from askesis.models.bins import PADDING, bins, rows_of
from askesis.models.module_outputs import module_outputs, short_cuts
from askesis.models.recompute import set_recompute
from tests.models.shapes import both

BOTH = frozenset({"bins", "states"})


def gpt2() -> torch.nn.Module:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "gpt2", vocab_size=97, n_positions=64, n_embd=16, n_layer=2, n_head=2
    )
    return AutoModelForCausalLM.from_config(config).eval()


def bloom() -> torch.nn.Module:
    """Linear biases on attention, made from the mask: positions cannot be started anew."""
    torch.manual_seed(0)
    config = AutoConfig.for_model("bloom", vocab_size=97, hidden_size=16, n_layer=2, n_head=2)
    return AutoModelForCausalLM.from_config(config).eval()


def batch(lengths=(30, 9, 14, 7, 22, 3)) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 97, (len(lengths), max(lengths)), generator=generator)
    sizes = torch.tensor(lengths)
    mask = (torch.arange(max(lengths)) < sizes[:, None]) & (torch.arange(max(lengths)) > 1)
    return SimpleNamespace(tokens=tokens, lengths=sizes, mask=mask)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_rows_hold_every_sequence_once_and_little_else(lengths):
    sizes = np.array(lengths)
    rows, width = rows_of(sizes)
    assert sorted(i for row in rows for i in row) == list(range(len(sizes)))
    assert all(sizes[row].sum() <= width for row in rows)
    assert 1 - sizes.sum() / (len(rows) * width) <= PADDING + 1e-12


def test_a_sequence_keeps_its_tokens_and_its_positions_in_a_shared_row():
    made = batch()
    found = bins(made.tokens, made.lengths)
    for i, length in enumerate(made.lengths.tolist()):
        at = found.places[i, :length]
        assert torch.equal(found.tokens.flatten()[at], made.tokens[i, :length])
        assert found.positions.flatten()[at].tolist() == list(range(length))
    assert found.tokens.numel() < 0.5 * made.tokens.numel()


@pytest.mark.parametrize("make", [gpt2, lambda: both("qwen3")[0]], ids=["gpt2", "qwen3"])
@pytest.mark.parametrize("way", ["bins", "states"])
def test_short_cuts_give_the_same_outputs_and_gradients(make, way):
    module = make()
    assert short_cuts(module, 97) == BOTH
    found = []
    for allows in (frozenset(), frozenset({way})):
        module.zero_grad()
        out = module_outputs(module, batch(), frozenset({"logp", "entropy", "hidden"}), allows)
        (out.logp.sum() + 0.5 * out.entropy.sum()).backward()
        gradient = torch.cat([p.grad.flatten() for p in module.parameters()])
        found.append((out.logp, out.entropy, out.hidden[batch().mask], gradient))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)
    assert out.positions < batch().tokens.numel() or way == "states"


def test_an_architecture_that_does_not_restart_positions_is_asked_plainly():
    module = bloom()
    assert short_cuts(module, 97) <= {"states"}


def test_logits_are_given_whole_where_they_are_asked_for():
    module = both("qwen2")[0]
    made = batch()
    out = module_outputs(module, made, frozenset({"logits"}), BOTH)
    expected = module(made.tokens).logits
    torch.testing.assert_close(out.logits[made.mask], expected[made.mask], atol=1e-4, rtol=1e-4)
    with pytest.raises(ModelError, match="native decoder"):
        module_outputs(module, made, frozenset({"kl"}), BOTH)


@pytest.mark.parametrize("make", [gpt2, lambda: both("qwen3")[0]], ids=["gpt2", "qwen3"])
def test_recomputing_activations_changes_no_gradient_and_switches_no_dropout_on(make):
    module = make()
    found = []
    for recompute in (False, True, False):
        assert set_recompute(module, recompute)
        module.zero_grad()
        module_outputs(module, batch(), frozenset({"logp"})).logp.sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in module.parameters()]))
        dropouts = [m for m in module.modules() if isinstance(m, torch.nn.Dropout)]
        assert not any(m.training for m in dropouts)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
