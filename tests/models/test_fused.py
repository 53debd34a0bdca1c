"""Derivatives written by hand against finite differences, and values against plain operations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from askesis.models import fused as fused_file
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


@pytest.mark.slow
@pytest.mark.parametrize(("heads", "kv"), [(4, 1), (4, 2), (2, 2)])
def test_attention_has_the_derivative_of_finite_differences(heads, kv):
    rows = torch.tensor(
        [[1, 2, 3, 4, 5, 6, 0], [1, 2, 3, 4, 5, 7, 8], [1, 2, 3, 4, 9, 0, 0], [8, 7, 0, 0, 0, 0, 0]]
    )
    packing = pack(rows, torch.tensor([6, 7, 5, 2]))
    assert any(block.prefix is not None for block in packing.blocks)
    qkv = noise(len(packing.tokens), (heads + 2 * kv) * 4)
    angles = packing.positions[:, None].double() * torch.tensor([1.0, 0.1])

    def attention(x):
        return attend(x, angles.cos(), angles.sin(), packing, heads, kv)

    # Every element once; along random directions for the simpler ways of grouping heads.
    assert gradcheck(attention, (qkv,), fast_mode=(heads, kv) != (4, 2))


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


def test_what_is_not_finite_is_not_hidden():
    hidden = noise(3, 2).detach()
    hidden[1] = float("nan")
    head, targets = noise(5, 2, seed=1), torch.tensor([0, 1, 2])
    logp, entropy, apart = token_statistics(
        hidden, head, targets, entropy=True, reference=(hidden, head.detach())
    )
    assert logp.isnan().tolist() == entropy.isnan().tolist() == [False, True, False]
    assert bool(apart[1].isnan())
    for some in (logp, entropy, apart):
        (gradient,) = torch.autograd.grad(some.sum(), head, retain_graph=True)
        assert gradient.isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("heads", "kv"), [(4, 1), (4, 2)])
def test_compiled_and_tensor_forms_agree(heads, kv, dtype, monkeypatch):
    tolerance = 2e-5 if dtype == torch.float32 else 0.02
    found = []
    for compiled in (True, False):
        monkeypatch.setattr(fused_file, "COMPILED", compiled)
        rows = torch.tensor([[1, 2, 3, 4, 5, 6, 0], [1, 2, 3, 4, 5, 7, 8], [8, 7, 0, 0, 0, 0, 0]])
        packing = pack(rows, torch.tensor([6, 7, 2]))
        x, weight = noise(len(packing.tokens), 24).float().detach(), noise(24, seed=1).float()
        qkv = noise(24, (heads + 2 * kv) * 8, seed=2).float() * 5
        angles = packing.positions[:, None].float() * torch.tensor([1.0, 0.3, 0.1, 0.03])
        x, weight, qkv = (t.detach().requires_grad_() for t in (x, weight, qkv))
        seen = rms_norm(x, weight, 1e-5, dtype) @ qkv.to(dtype)
        mixed = attend(seen, angles.cos(), angles.sin(), packing, heads, kv)
        out = gated_silu(torch.cat([mixed, seen], 1)[:, :32])
        assert out.dtype == dtype
        pull = noise(*out.shape, seed=3).detach().to(dtype)
        gradients = torch.autograd.grad(out, (x, weight, qkv), pull)
        found.append([out.float(), *gradients])
    for a, b in zip(*found, strict=True):
        assert (a - b).norm() <= tolerance * b.norm()


@pytest.mark.parametrize("place", ["queries", "keys", "values"])
def test_compiled_attention_does_not_hide_what_is_not_finite(place):
    packing = pack(torch.tensor([[1, 2, 3, 4]]), torch.tensor([4]))
    qkv = noise(4, 12).float().detach()
    at = {"queries": 0, "keys": 4, "values": 8}[place]
    qkv[1, at : at + 4] = float("nan")
    found = attend(qkv, torch.ones(4, 2), torch.zeros(4, 2), packing, 1, 1)
    assert found[1].isnan().any()


def test_nothing_to_predict_is_no_error():
    head = noise(7, 3)
    found, _, _ = token_statistics(noise(0, 3), head, torch.zeros(0, dtype=torch.long))
    found.sum().backward()
    assert found.shape == (0,)
    assert not head.grad.any()
