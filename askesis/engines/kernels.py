# mypy: ignore-errors
# The types of compiled functions are numba's, which mypy does not know.
"""The arithmetic between the matrix products, compiled: norms, gates, attention, drawing.

A step of a small model is a few matrix products and many small operations on the same numbers. As
separate tensor operations these cost more than the products; here each stretch between two
products is one pass. numba compiles them on first use and keeps the result beside this file, so
no compiler has to be installed.

Numbers come as float32 arrays, or as uint16 arrays that hold bfloat16 bits; arithmetic is float32.
The two inner products of attention are written as vectors of sixteen, which is why a block of the
key-value cache holds `BLOCK` = 16 positions. Every kernel releases the interpreter's lock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

BLOCK = 16
LANES = ir.VectorType(ir.FloatType(), BLOCK)

# NaN must survive (broken weights are noticed by it), so "nnan" and "ninf" are not among these.
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
KERNEL: dict[str, Any] = {
    "nogil": True, "boundscheck": False, "error_model": "numpy", "cache": True, "fastmath": FAST,
}  # fmt: skip

# ---------------------------------------------------------------- numbers


@intrinsic
def _float_of(typing: Any, bits: Any) -> Any:
    """The float32 with these bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def _bits_of(typing: Any, number: Any) -> Any:
    """The bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


def _get(number: Any) -> Any:
    """An element of an array as float32."""


@overload(_get, inline="always", strict=False)
def _overload_get(number: Any) -> Any:
    if number == types.uint16:
        return lambda number: _float_of(np.int32(number) << np.int32(16))
    return lambda number: number


def _as(like: Any, x: Any) -> Any:
    """A float32 as an element of an array whose elements are like `like`."""


@overload(_as, inline="always", strict=False)
def _overload_as(like: Any, x: Any) -> Any:
    if like == types.uint16:  # round to nearest, ties to even

        def rounded(like: Any, x: Any) -> Any:
            bits = _bits_of(np.float32(x))
            odd = (bits >> np.int32(16)) & np.int32(1)
            return np.uint16((bits + np.int32(0x7FFF) + odd) >> np.int32(16))

        return rounded
    return lambda like, x: x


@njit(nogil=True, boundscheck=False, error_model="numpy", cache=True)
def _exp(x: Any) -> Any:
    """exp in float32 to two units in the last place, for -87 <= x <= 88 (clamped), as a
    polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes' expf), in a form that compiles to vectors."""
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    k = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    r = x - k * np.float32(0.693359375) - k * np.float32(-2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1.0)
    return p * _float_of((np.int32(k) + np.int32(127)) << np.int32(23))


# ---------------------------------------------------------------- vectors of sixteen


def _pointer(builder: Any, base: Any, index: Any, kind: Any, width: int = 4) -> Any:
    """Address of element `index` of `width` bytes after the address `base`."""
    offset = builder.mul(index, ir.Constant(ir.IntType(64), width))
    return builder.inttoptr(builder.add(base, offset), kind.as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    """A vector with the same number in every place."""
    nothing = ir.Constant(LANES, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), None)
    return builder.shuffle_vector(one, nothing, places)


def _vector(builder: Any, base: Any, index: Any, half: bool) -> Any:
    """Sixteen numbers from element `index` on, as float32; stored so, or (half) as bfloat16."""
    if not half:
        return builder.load(_pointer(builder, base, index, LANES), align=4)
    short, word = (ir.VectorType(ir.IntType(n), BLOCK) for n in (16, 32))
    stored = builder.load(_pointer(builder, base, index, short, 2), align=2)
    shift = ir.Constant(word, [ir.Constant(ir.IntType(32), 16)] * BLOCK)
    return builder.bitcast(builder.shl(builder.zext(stored, word), shift), LANES)


def _products(num: int, half: bool) -> Any:
    """An intrinsic (weights, stride, vectors, step, out, out_stride, count) -> None of `num` rows:
    out[r] += sum over i < count of weights[r, i] * vectors[i], all vectors of sixteen numbers.

    Addresses are integers, strides count numbers. Sums stay in registers: that is all the
    difference to a plain loop, and it is fivefold.
    """

    def products(
        typing: Any, weights: Any, stride: Any, vectors: Any, step: Any, out: Any,
        out_stride: Any, count: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights, stride, vectors, step, out, out_stride, count = arguments
            word = ir.IntType(64)
            outs = [
                _pointer(builder, out, builder.mul(out_stride, ir.Constant(word, r)), LANES)
                for r in range(num)
            ]
            firsts = [builder.load(place, align=4) for place in outs]
            before = builder.block
            loop = builder.append_basic_block("products")
            after = builder.append_basic_block("summed")
            builder.branch(loop)
            builder.position_at_end(loop)
            i = builder.phi(word)
            i.add_incoming(ir.Constant(word, 0), before)
            sums = [builder.phi(LANES) for _ in range(num)]
            vector = _vector(builder, vectors, builder.mul(i, step), half)
            nexts = []
            for r, (total, first) in enumerate(zip(sums, firsts, strict=True)):
                total.add_incoming(first, before)
                place = builder.add(builder.mul(stride, ir.Constant(word, r)), i)
                weight = builder.load(_pointer(builder, weights, place, ir.FloatType()))
                product = builder.fmul(_spread(builder, weight), vector, flags=["contract"])
                nexts.append(builder.fadd(total, product, flags=["contract"]))
            following = builder.add(i, ir.Constant(word, 1))
            i.add_incoming(following, loop)
            for total, later in zip(sums, nexts, strict=True):
                total.add_incoming(later, loop)
            builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
            builder.position_at_end(after)
            for place, later in zip(outs, nexts, strict=True):
                builder.store(later, place, align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), generate

    return intrinsic(products)


_four_floats, _one_float = _products(4, False), _products(1, False)
_four_halves, _one_half = _products(4, True), _products(1, True)


def _products_of(num: int, numbers: Any, *arguments: Any) -> None:
    """`_products` for any number of rows, four at a time; `numbers` is an element of the array
    that `vectors` points into and tells how its numbers are stored."""


@overload(_products_of, strict=False)
def _overload_products_of(
    num: Any, numbers: Any, weights: Any, stride: Any, vectors: Any, step: Any, out: Any,
    out_stride: Any, count: Any,
) -> Any:  # fmt: skip
    four, one = (_four_floats, _one_float)
    if numbers == types.uint16:
        four, one = (_four_halves, _one_half)

    def products(num, numbers, weights, stride, vectors, step, out, out_stride, count):  # type: ignore
        row = 0
        while row + 4 <= num:
            four(
                weights + 4 * row * stride, stride, vectors, step, out + 4 * row * out_stride,
                out_stride, count,
            )  # fmt: skip
            row += 4
        while row < num:
            one(
                weights + 4 * row * stride, stride, vectors, step, out + 4 * row * out_stride,
                out_stride, count,
            )  # fmt: skip
            row += 1

    return products


@intrinsic
def _fetch(typing: Any, address: Any) -> Any:
    """Ask for the cache line at an address ahead of time."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        flags = [ir.Constant(word, n) for n in (0, 3, 1)]
        builder.call(prefetch, [builder.inttoptr(arguments[0], byte), *flags])
        return context.get_dummy_value()

    return types.void(types.int64), generate


# ---------------------------------------------------------------- kernels


@njit(**KERNEL)
def normalise(x: Any, out: Any, eps: Any) -> None:
    """out = x / rms(x), row by row: x float32 (n, width), out (n, width)."""
    n, width = x.shape
    for i in range(n):
        total = np.float32(0)
        for j in range(width):
            total += x[i, j] * x[i, j]
        gain = np.float32(1) / np.sqrt(total / np.float32(width) + eps)
        for j in range(width):
            out[i, j] = _as(out[i, j], x[i, j] * gain)


@njit(**KERNEL)
def add_and_normalise(x: Any, y: Any, out: Any, eps: Any) -> None:
    """x += y, then out = x / rms(x): the residual stream float32 (n, width), in place."""
    n, width = x.shape
    for i in range(n):
        total = np.float32(0)
        for j in range(width):
            added = x[i, j] + _get(y[i, j])
            x[i, j] = added
            total += added * added
        gain = np.float32(1) / np.sqrt(total / np.float32(width) + eps)
        for j in range(width):
            out[i, j] = _as(out[i, j], x[i, j] * gain)


@njit(**KERNEL)
def gate(both: Any, out: Any) -> None:
    """out = silu(both[:, 0]) * both[:, 1]: both (n, 2, width), out (n, width)."""
    n, width = out.shape
    for i in range(n):
        for j in range(width):
            x = _get(both[i, 0, j])
            gated = x * _get(both[i, 1, j]) / (np.float32(1) + _exp(-x))
            out[i, j] = _as(out[i, j], gated)


@njit(**KERNEL)
def attend(
    heads: Any, gain: Any, eps: Any, cos: Any, sin: Any, table: Any, rows: Any, positions: Any,
    layer: int, keys: Any, values: Any, out: Any, turned: Any, scores: Any, mixed: Any,
) -> None:  # fmt: skip
    """Turn queries and keys, put keys and values into the cache, and attend, token by token.

    heads (n, num_heads + 2 num_kv_heads, 2, half): what the first projection gave; query heads are
    scaled already. gain float32 (num_heads + num_kv_heads, 2, half): of query and key norms, or of
    size 0 where the model has none. cos, sin float32 (context, half). Token i stands at
    positions[i] of row rows[i], whose blocks are table[row]; tokens of one row come in order.
    keys (layers, blocks, kv heads, head size, 16), values (layers, blocks, kv heads, 16, padded
    head size). out (n, num_heads, head size). turned (heads + kv heads, 2, half), scores
    (group, at least all positions), mixed (group, padded head size) are scratch, float32.
    """
    n, num_heads, size = out.shape
    num_kv = heads.shape[1] - turned.shape[0]
    group = num_heads // num_kv
    half = turned.shape[2]
    padded = mixed.shape[1]
    key_at, value_at = keys.ctypes.data, values.ctypes.data
    turned_at, scores_at, mixed_at = turned.ctypes.data, scores.ctypes.data, mixed.ctypes.data
    width = keys.itemsize
    num_blocks_held, scores_stride = keys.shape[1], scores.shape[1]
    has_gain = gain.shape[0] > 0
    for i in range(n):
        p, row = positions[i], rows[i]
        if i + 1 < n and rows[i + 1] != row:
            # The next row's keys and values come from far away: ask for them now.
            for b in range((positions[i + 1] >> 4) + 1):
                place = (layer * num_blocks_held + np.int64(table[rows[i + 1], b])) * num_kv
                for line in range(0, width * num_kv * size * 16, 64):
                    _fetch(key_at + width * place * size * 16 + line)
                for line in range(0, width * num_kv * padded * 16, 64):
                    _fetch(value_at + width * place * padded * 16 + line)
        for h in range(turned.shape[0]):
            factor = np.float32(1)
            if has_gain:
                total = np.float32(0)
                for side in range(2):
                    for d in range(half):
                        a = _get(heads[i, h, side, d])
                        total += a * a
                factor = np.float32(1) / np.sqrt(total / np.float32(size) + eps)
                for d in range(half):
                    a = _get(heads[i, h, 0, d]) * factor * gain[h, 0, d]
                    b = _get(heads[i, h, 1, d]) * factor * gain[h, 1, d]
                    turned[h, 0, d] = a * cos[p, d] - b * sin[p, d]
                    turned[h, 1, d] = a * sin[p, d] + b * cos[p, d]
            else:
                for d in range(half):
                    a = _get(heads[i, h, 0, d])
                    b = _get(heads[i, h, 1, d])
                    turned[h, 0, d] = a * cos[p, d] - b * sin[p, d]
                    turned[h, 1, d] = a * sin[p, d] + b * cos[p, d]
        num_blocks = (p >> 4) + 1
        column, block = p & 15, table[row, num_blocks - 1]
        for g in range(num_kv):
            for side in range(2):
                for d in range(half):
                    at = side * half + d
                    keys[layer, block, g, at, column] = _as(
                        keys[layer, block, g, at, column], turned[num_heads + g, side, d]
                    )
                    values[layer, block, g, column, at] = _as(
                        values[layer, block, g, column, at],
                        _get(heads[i, num_heads + num_kv + g, side, d]),
                    )
        for g in range(num_kv):
            for h in range(group):
                for t in range(num_blocks * 16):
                    scores[h, t] = np.float32(0)
                for d in range(padded):
                    mixed[h, d] = np.float32(0)
            for b in range(num_blocks):
                place = (layer * num_blocks_held + np.int64(table[row, b])) * num_kv + g
                _products_of(
                    group, keys[0, 0, 0, 0, 0], turned_at + 4 * g * group * size, size,
                    key_at + width * place * size * 16, 16, scores_at + 64 * b, scores_stride, size,
                )  # fmt: skip
            for h in range(group):
                most = scores[h, 0]
                for t in range(p + 1):
                    most = max(most, scores[h, t])
                for t in range(p + 1):
                    scores[h, t] = _exp(scores[h, t] - most)
            for b in range(num_blocks):
                place = (layer * num_blocks_held + np.int64(table[row, b])) * num_kv + g
                count = min(np.int64(16), np.int64(p) + 1 - 16 * b)
                for c in range(0, padded, 16):
                    _products_of(
                        group, values[0, 0, 0, 0, 0], scores_at + 64 * b, scores_stride,
                        value_at + width * (place * 16 * padded + c), padded, mixed_at + 4 * c,
                        padded, count,
                    )  # fmt: skip
            for h in range(group):
                total = np.float32(0)
                for t in range(p + 1):
                    total += scores[h, t]
                total = np.float32(1) / total
                for d in range(size):
                    out[i, g * group + h, d] = _as(out[i, g * group + h, d], mixed[h, d] * total)


@njit(**KERNEL)
def draw(
    logits: Any, temperature: Any, noise: Any, tokens: Any, logp_sampling: Any, logp_model: Any,
    scratch: Any,
) -> None:  # fmt: skip
    """A token for every row by inverting the cumulative distribution at `noise`.

    logits float32 (n, vocab), temperature float32 (n,), 0 takes the most likely; noise float64
    (n,). tokens int64 (n,), -1 where the logits are not numbers; log-probabilities float32 (n,)
    under softmax(logits / temperature) and softmax(logits). scratch float32 (vocab + 31,).
    """
    n, vocab = logits.shape
    for i in range(n):
        most, broken = logits[i, 0], 0
        for v in range(vocab):
            most = max(most, logits[i, v])
            broken += logits[i, v] != logits[i, v]
        warm = temperature[i]
        slope = np.float32(1) / warm if warm > 0 else np.float32(1)
        total = _exponentials(logits, i, most, slope, scratch)
        if broken or not total > 0:
            tokens[i] = -1
            continue
        token = -1
        if warm == 0:
            for v in range(vocab):
                if logits[i, v] == most:
                    token = v
                    break
        else:
            token = _invert(scratch, vocab, noise[i] * total)
        tokens[i] = token
        z = np.float64(logits[i, token]) - np.float64(most)
        if warm == 0:
            logp_sampling[i] = np.float32(0)
            logp_model[i] = np.float32(z - np.log(total))
        else:
            logp_sampling[i] = np.float32(z * slope - np.log(total))
            if slope != 1:
                total = _exponentials(logits, i, most, np.float32(1), scratch)
            logp_model[i] = np.float32(z - np.log(total))


@njit(**KERNEL)
def _exponentials(logits: Any, i: int, most: Any, slope: Any, out: Any) -> Any:
    """out = exp((logits[i] - most) * slope); their sum in float64, over runs of 32."""
    vocab = logits.shape[1]
    for v in range(vocab):
        difference = (logits[i, v] - most) * slope
        out[v] = _exp(difference) if difference > np.float32(-87.0) else np.float32(0)
    for v in range(vocab, out.shape[0]):
        out[v] = np.float32(0)
    total = 0.0
    for first in range(0, vocab, 32):
        part = np.float32(0)
        for v in range(first, first + 32):
            part += out[v]
        total += part
    return total


@njit(**KERNEL)
def _invert(weights: Any, vocab: int, threshold: Any) -> Any:
    """The first index where the running sum is above `threshold`; of weight zero never."""
    before, last = 0.0, 0
    for first in range(0, vocab, 32):
        part = np.float32(0)
        for v in range(first, first + 32):
            part += weights[v]
        if before + part > threshold:
            running = before
            for v in range(first, min(first + 32, vocab)):
                if weights[v] > 0:
                    running += weights[v]
                    last = v
                    if running > threshold:
                        return v
        elif part > 0:
            for v in range(first, min(first + 32, vocab)):
                if weights[v] > 0:
                    last = v
        before += part
    return last
