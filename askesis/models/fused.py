"""Steps of a decoder whose derivatives are written out by hand.

Each does what the plain operations beside it in `askesis.models.decoder` do, in fewer passes over
memory and with less kept for the backward pass. There are two forms of each: one of tensor
operations, for any device and precision, and one on processors in float32 through
`askesis.models.compiled`. They can be differentiated once.
"""

from __future__ import annotations

from functools import cache, wraps
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from askesis.models.packing import Block, Packing


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension, given out in `dtype`.

    x (..., width), weight (width,). Zhang and Sennrich 2019.
    """
    if x.device.type != "cpu":  # accelerators have one kernel for it
        return F.rms_norm(x, (x.shape[-1],), weight, eps).to(dtype)
    if compiles(x) and weight.dtype == torch.float32:
        return _CompiledRmsNorm.apply(x, weight, eps, dtype)
    return _RmsNorm.apply(x, weight, eps, dtype)


def gated_silu(gate_and_up: Tensor) -> Tensor:
    """silu(gate) * up, (N, 2 M) -> (N, M); the gate is the first half. Shazeer 2020."""
    return (_CompiledGate if compiles(gate_and_up) else _GatedSilu).apply(gate_and_up)


def attend(
    qkv: Tensor, cos: Tensor, sin: Tensor, packing: Packing, heads: int, kv_heads: int
) -> Tensor:
    """Causal attention with rotary positions within the rows of a packing.

    qkv (N, (heads + 2 kv_heads) * D): queries, keys and values of the packed tokens, heads one
    after another. cos, sin (N, D / 2): the angles of their positions. Returns (N, heads * D).
    """
    if packing.num_scores * heads > SCORES_IN_MEMORY:
        cos, sin = cos.to(qkv.dtype), sin.to(qkv.dtype)
        return _attend_in_one_kernel(qkv, cos, sin, packing, heads, kv_heads)
    if compiles(qkv) and cos.dtype == torch.float32:
        return _CompiledAttention.apply(qkv, cos, sin, packing, heads, kv_heads)
    cos, sin = cos.to(qkv.dtype), sin.to(qkv.dtype)
    return _Attention.apply(qkv, cos, sin, packing, heads, kv_heads)


def compiles(x: Tensor) -> bool:
    """Whether the compiled form covers a tensor: on a processor, in float32 or bfloat16."""
    fits = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
    return fits and COMPILED and _has_numba()


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


COMPILED = True  # tests look at both forms
SCORES_IN_MEMORY = 1 << 24  # attention scores kept for the backward pass: 64 MiB a layer in float32


def _by_hand(backward: Any) -> Any:
    """A backward pass that cannot be differentiated again, without autocast whoever calls it."""

    @wraps(backward)
    def inner(ctx: Any, *grads: Tensor) -> Any:
        with torch.autocast(grads[0].device.type, enabled=False):
            return backward(ctx, *grads)

    return once_differentiable(inner)


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = (scale.square_().div_(x.shape[-1]).add_(eps)).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight).to(dtype)

    @staticmethod
    @_by_hand
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        grad = grad.to(x.dtype)
        unit = x * scale
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = (grad * unit).reshape(-1, x.shape[-1]).sum(0)
        inner = grad * weight
        along = torch.linalg.vecdot(inner, unit)[..., None].div_(-x.shape[-1])
        return inner.addcmul_(unit, along).mul_(scale), grad_weight, None, None


class _GatedSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        gate, up = both.chunk(2, -1)
        open_ = torch.sigmoid(gate)
        ctx.save_for_backward(both, open_)
        return (gate * open_).mul_(up)

    @staticmethod
    @_by_hand
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        both, open_ = ctx.saved_tensors
        gate, up = both.chunk(2, -1)
        found = torch.empty_like(both)
        grad_gate, grad_up = found.chunk(2, -1)
        silu = gate * open_
        torch.mul(grad, silu, out=grad_up)
        # d silu / d gate = sigmoid + silu * (1 - sigmoid)
        slope = silu.addcmul_(silu, open_, value=-1).add_(open_)
        torch.mul(grad, up, out=grad_gate)
        grad_gate.mul_(slope)
        return found


def rotate_flat(x: Tensor, cos: Tensor, sin: Tensor, sign: int = 1) -> Tensor:
    """Rotary positions of flat tokens, into a new tensor; `sign` -1 turns them back.

    x (N, heads, D), halves paired as Hugging Face weights expect; cos and sin (N, D / 2).
    """
    a, b = x.chunk(2, -1)
    cos, sin = cos[:, None], sin[:, None]
    found = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    first, second = found.chunk(2, -1)
    torch.mul(a, cos, out=first)
    first.addcmul_(b, sin, value=-sign)
    torch.mul(b, cos, out=second)
    second.addcmul_(a, sin, value=sign)
    return found


class _Attention(torch.autograd.Function):
    """Attention by whole products, the scores of all rows of a block at once.

    Query heads that share a key head lie one after another in the same product, so shared keys
    are neither copied nor read twice.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor, packing: Packing, heads: int, kv: int
    ) -> Tensor:
        size = qkv.shape[1] // (heads + 2 * kv)
        x = qkv.view(len(qkv), heads + 2 * kv, size)
        turned = rotate_flat(x[:, : heads + kv], cos, sin)
        queries = turned[:, :heads].reshape(len(x), heads * size)
        # (N, 2, kv, D): keys and values side by side, so that one gather fetches both
        keyed = torch.stack((turned[:, heads:], x[:, heads + kv :]), 1)
        out = torch.empty_like(queries)
        kept: list[Tensor] = []
        for block in packing.blocks:
            q = _folded(block.padded(queries), block, heads, kv)
            k, v = _keys(keyed, packing, block)
            scores = torch.baddbmm(
                packing.bias(block, heads // kv, kv, q.dtype), q, k.mT, alpha=size**-0.5
            )
            share = torch.softmax(scores, -1)
            mixed = torch.bmm(share, v)
            out[block.first : block.last] = block.real(_unfolded(mixed, block, heads, kv))
            kept += [q, k, v, share]
        ctx.save_for_backward(cos, sin, *kept)
        ctx.packing, ctx.shape = packing, (heads, kv, size)
        return out

    @staticmethod
    @_by_hand
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin, *kept = ctx.saved_tensors
        packing, (heads, kv, size) = ctx.packing, ctx.shape
        found = torch.empty(len(grad), heads + 2 * kv, size, dtype=grad.dtype, device=grad.device)
        keyed = torch.zeros(len(grad), 2, kv, size, dtype=grad.dtype, device=grad.device)
        grad_q = torch.empty_like(grad)
        for number, block in enumerate(packing.blocks):
            q, k, v, share = kept[4 * number : 4 * number + 4]
            g = _folded(block.padded(grad, zeros=True), block, heads, kv)
            grad_v = torch.bmm(share.mT, g)
            toward = torch.bmm(g, v.mT)
            toward = torch._softmax_backward_data(toward, share, -1, share.dtype)
            toward = toward.mul_(size**-0.5)
            grad_q[block.first : block.last] = block.real(
                _unfolded(torch.bmm(toward, k), block, heads, kv)
            )
            _add_keys(keyed, torch.bmm(toward.mT, q), grad_v, packing, block, kv)
        found[:, :heads] = rotate_flat(grad_q.view(len(grad), heads, size), cos, sin, -1)
        found[:, heads : heads + kv] = rotate_flat(keyed[:, 0], cos, sin, -1)
        found[:, heads + kv :] = keyed[:, 1]
        return found.view(len(grad), -1), None, None, None, None, None


def _folded(rows: Tensor, block: Block, heads: int, kv: int) -> Tensor:
    """(R * S, heads * D) -> (R * kv, S * group, D)."""
    x = rows.reshape(block.num_rows, block.width, kv, heads // kv, -1)
    if kv == 1:
        return x.reshape(block.num_rows, block.width * heads, -1)
    return x.transpose(1, 2).reshape(block.num_rows * kv, block.width * (heads // kv), -1)


def _unfolded(x: Tensor, block: Block, heads: int, kv: int) -> Tensor:
    """(R * kv, S * group, D) -> (R * S, heads * D)."""
    if kv == 1:
        return x.reshape(block.num_rows * block.width, -1)
    x = x.reshape(block.num_rows, kv, block.width, heads // kv, -1)
    return x.transpose(1, 2).reshape(block.num_rows * block.width, -1)


def _keys(keyed: Tensor, packing: Packing, block: Block) -> tuple[Tensor, Tensor]:
    """Keys and values that a block's rows see, (R * kv, K, D) each: shared ones, then own."""
    _, _, kv, size = keyed.shape
    seen = block.padded(keyed.view(len(keyed), -1)).view(block.num_rows, block.width, -1)
    if block.prefix is not None:
        shared = keyed.view(len(keyed), -1).index_select(0, block.prefix.places)
        shared = shared.view(-1, block.prefix.width, seen.shape[-1])
        seen = torch.cat((shared.index_select(0, block.prefix.owner), seen), 1)
    seen = seen.view(block.num_rows, -1, 2, kv, size)
    if kv == 1:
        return seen[:, :, 0, 0], seen[:, :, 1, 0]
    k, v = seen.permute(2, 0, 3, 1, 4).reshape(2, block.num_rows * kv, -1, size)
    return k, v


def _add_keys(
    found: Tensor, grad_k: Tensor, grad_v: Tensor, packing: Packing, block: Block, kv: int
) -> None:
    """Bring gradients of a block's keys and values, (R * kv, K, D), home to `found`.

    What rows of a family say about shared keys is summed by one product, in a fixed order.
    """
    size = grad_k.shape[-1]
    both = torch.stack((grad_k, grad_v), 1)  # (R * kv, 2, K, D)
    both = both.view(block.num_rows, kv, 2, -1, size).permute(0, 3, 2, 1, 4)  # (R, K, 2, kv, D)
    first = 0
    if block.prefix is not None:
        prefix = block.prefix
        first = prefix.width
        shared = both[:, :first].reshape(block.num_rows, -1)
        summed = (prefix.indicator(shared.dtype) @ shared).view(-1, 2 * kv * size)
        flat = found.view(len(found), -1)
        flat.index_add_(0, prefix.real_places, summed.index_select(0, prefix.real))
    own = both[:, first:].reshape(-1, 2 * kv * size)
    found.view(len(found), -1)[block.first : block.last] += block.real(own)


def _attend_in_one_kernel(
    qkv: Tensor, cos: Tensor, sin: Tensor, packing: Packing, heads: int, kv: int
) -> Tensor:
    """The same through torch's fused kernels, which never hold all scores: for long rows."""
    size = qkv.shape[1] // (heads + 2 * kv)
    x = qkv.view(len(qkv), heads + 2 * kv, size)
    a, b = x[:, : heads + kv].chunk(2, -1)
    c, s = cos[:, None], sin[:, None]
    turned = torch.cat((a * c - b * s, b * c + a * s), -1)
    keyed = torch.stack((turned[:, heads:], x[:, heads + kv :]), 1)
    queries = turned[:, :heads].reshape(len(x), heads * size)
    found = []
    for block in packing.blocks:
        q = block.padded(queries).view(block.num_rows, block.width, heads, size).transpose(1, 2)
        k, v = (t.view(block.num_rows, kv, -1, size) for t in _keys(keyed, packing, block))
        k, v = (t.repeat_interleave(heads // kv, 1) if kv < heads else t for t in (k, v))
        if block.prefix is None:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            bias = packing.bias(block, 1, 1, q.dtype)[:, None]
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        found.append(block.real(mixed.transpose(1, 2).reshape(-1, heads * size)))
    return torch.cat(found)


def _array(x: Tensor) -> np.ndarray:
    """A tensor's numbers for compiled functions: float32, or bfloat16 bits as uint16."""
    x = x.detach().contiguous()
    if x.dtype == torch.bfloat16:
        return x.view(torch.int16).numpy().view(np.uint16)
    return x.numpy()


class _CompiledRmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        from askesis.models import compiled

        rows = _array(x.float()).reshape(-1, x.shape[-1])
        out, scale = torch.empty(rows.shape, dtype=dtype), np.empty(len(rows), np.float32)
        compiled.normalise(rows, _array(weight), np.float32(eps), _array(out), scale)
        ctx.save_for_backward(x, weight)
        ctx.scale = scale
        return out.view(x.shape)

    @staticmethod
    @_by_hand
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from askesis.models import compiled

        x, weight = ctx.saved_tensors
        rows, g = (_array(t).reshape(-1, x.shape[-1]) for t in (x.float(), grad))
        found, grad_weight = torch.empty(rows.shape), torch.zeros(weight.shape)
        compiled.normalise_back(
            g, rows, _array(weight), ctx.scale, found.numpy(), grad_weight.numpy()
        )
        return found.view(x.shape).to(x.dtype), grad_weight, None, None


class _CompiledGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        from askesis.models import compiled

        out = torch.empty(len(both), both.shape[1] // 2, dtype=both.dtype)
        compiled.gate(_array(both), _array(out))
        ctx.save_for_backward(both)
        return out

    @staticmethod
    @_by_hand
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        from askesis.models import compiled

        (both,) = ctx.saved_tensors
        found = torch.empty_like(both)
        compiled.gate_back(_array(both), _array(grad), _array(found))
        return found


class _CompiledAttention(torch.autograd.Function):
    """As `_Attention`; what happens between the products is done row by row, all in float32."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor, packing: Packing, heads: int, kv: int
    ) -> Tensor:
        from askesis.models import compiled

        size, group = qkv.shape[1] // (heads + 2 * kv), heads // kv
        x = _array(qkv).reshape(len(qkv), heads + 2 * kv, size)
        turns = _array(cos), _array(sin)
        out = torch.empty(len(qkv), heads, size, dtype=qkv.dtype)
        kept: list[Tensor] = []
        for block in packing.blocks:
            before = block.prefix.width if block.prefix is not None else 0
            num = block.num_rows * kv
            q = torch.empty(num, block.width * group, size)
            k, v = (torch.empty(num, before + block.width, size) for _ in range(2))
            arrays = q.numpy(), k.numpy(), v.numpy()
            compiled.spread(x, *turns, block.rows, heads, kv, before, *arrays)
            share = torch.bmm(q, k.mT)
            by = np.float32(size**-0.5)
            compiled.softmax(share.numpy(), block.rows, kv, group, before, by)
            mixed = _array(torch.bmm(share, v))
            compiled.gather(mixed, block.rows, kv, group, _array(out))
            kept += [q, k, v, share]
        ctx.save_for_backward(cos, sin, *kept)
        ctx.packing, ctx.shape = packing, (heads, kv, size)
        return out.view(len(qkv), -1)

    @staticmethod
    @_by_hand
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from askesis.models import compiled

        cos, sin, *kept = ctx.saved_tensors
        packing, (heads, kv, size) = ctx.packing, ctx.shape
        group, turns = heads // kv, (_array(cos), _array(sin))
        whole = _array(grad).reshape(len(grad), heads, size)
        found = torch.zeros(len(grad), heads + 2 * kv, size)
        for number, block in enumerate(packing.blocks):
            q, k, v, share = kept[4 * number : 4 * number + 4]
            before = block.prefix.width if block.prefix is not None else 0
            g = torch.empty(q.shape)
            compiled.scatter(whole, block.rows, kv, group, g.numpy())
            grad_v = torch.bmm(share.mT, g)
            toward = torch.bmm(g, v.mT)
            compiled.softmax_back(share.numpy(), toward.numpy(), np.float32(size**-0.5))
            arrays = map(_array, (torch.bmm(toward, k), torch.bmm(toward.mT, q), grad_v))
            compiled.collect(*arrays, *turns, block.rows, heads, kv, before, found.numpy())
        return found.view(len(grad), -1).to(grad.dtype), None, None, None, None, None
