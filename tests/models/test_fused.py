"""Derivatives written by hand against finite differences, and values against plain operations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from askesis.models import token_statistics as statistics_file
from askesis.models.fused import attend, gated_silu, rms_norm, rotate_flat
from askesis.models.packing import pack
from askesis.models.token_statistics import token_statistics


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_the_norm_is_the_plain_one_with_its_derivative():
    x, weight = noise(3, 2, 8), noise(8, seed=1)
    torch.testing.assert_close(
        rms_norm(x, weight, 1e-5, torch.float64), F.rms_norm(x, (8,), weight, 1e-5)
    )
    assert gradcheck(lambda x, w: rms_norm(x, w, 1e-5, torch.float64), (x, weight))


def test_the_gate_is_the_plain_one_with_its_derivative():
    both = noise(4, 10)
    gate, up = both.chunk(2, -1)
    torch.testing.assert_close(gated_silu(both), F.silu(gate) * up)
    assert gradcheck(gated_silu, (both,))


def test_turning_back_undoes_turning():
    x, angles = noise(5, 3, 8).detach(), noise(5, 4, seed=1).detach()
    turned = rotate_flat(x, angles.cos(), angles.sin())
    torch.testing.assert_close(rotate_flat(turned, angles.cos(), angles.sin(), -1), x)


@pytest.mark.parametrize(("heads", "kv"), [(4, 1), (4, 2), (2, 2)])
def test_attention_has_the_derivative_of_finite_differences(heads, kv):
    rows = torch.tensor(
        [[1, 2, 3, 4, 5, 6, 0], [1, 2, 3, 4, 5, 7, 8], [1, 2, 3, 4, 9, 0, 0], [8, 7, 0, 0, 0, 0, 0]]
    )
    packing = pack(rows, torch.tensor([6, 7, 5, 2]))
    assert any(block.prefix is not None for block in packing.blocks)
    qkv = noise(len(packing.tokens), (heads + 2 * kv) * 4)
    angles = packing.positions[:, None].double() * torch.tensor([1.0, 0.1])
    assert gradcheck(lambda x: attend(x, angles.cos(), angles.sin(), packing, heads, kv), (qkv,))


@pytest.mark.parametrize("chunk", [10**6, 2 * 7], ids=["whole", "in chunks"])
def test_token_statistics_are_those_of_the_definition(chunk, monkeypatch):
    monkeypatch.setattr(statistics_file, "LOGITS_IN_MEMORY", chunk)
    hidden, head, targets = noise(5, 3), noise(7, 3, seed=1), torch.tensor([0, 6, 2, 2, 5])
    other, other_head = noise(5, 3, seed=2).detach(), noise(7, 3, seed=3).detach()

    def all_three(hidden, head):
        return token_statistics(hidden, head, targets, entropy=True, reference=(other, other_head))

    logp, entropy, apart = all_three(hidden, head)
    p = torch.distributions.Categorical(logits=hidden @ head.T)
    q = torch.distributions.Categorical(logits=other @ other_head.T)
    torch.testing.assert_close(logp, p.log_prob(targets))
    torch.testing.assert_close(entropy, p.entropy())
    torch.testing.assert_close(apart, torch.distributions.kl_divergence(p, q))
    assert gradcheck(all_three, (hidden, head))
    assert token_statistics(hidden, head, targets)[1:] == (None, None)


def test_a_token_that_is_impossible_has_no_entropy_and_no_nan():
    hidden = torch.tensor([[1.0]], dtype=torch.float64, requires_grad=True)
    head = torch.tensor([[0.0], [-1e6]], dtype=torch.float64)
    logp, entropy, _ = token_statistics(hidden, head, torch.tensor([0]), entropy=True)
    (logp + entropy).sum().backward()
    assert logp.item() == entropy.item() == 0.0
    assert torch.isfinite(hidden.grad).all()


def test_nothing_to_predict_is_no_error():
    head = noise(7, 3)
    found, _, _ = token_statistics(noise(0, 3), head, torch.zeros(0, dtype=torch.long))
    found.sum().backward()
    assert found.shape == (0,)
    assert not head.grad.any()
