# mypy: ignore-errors
# The types of compiled functions are numba's, which mypy does not know.
"""The arithmetic between the matrix products of learning, forward and backward, compiled.

Each function is one pass over its numbers, where tensor operations make one pass and one new
tensor per step: for a small model those cost as much as the products. Numbers are float32, or
uint16 arrays that hold bfloat16 bits where a function's page says so; arithmetic is float32. What
a function writes is handed in, never made here. numba compiles them on first use and keeps the
result beside this file; every one releases the interpreter's lock.

Rows of a block of attention come as int64 (R, 4): first packed token and number of own tokens,
first and number of shared ones. Heads: `group` query heads share one key head. Block arrays, with
S own and P shared tokens wide: queries (R * kv, S * group, D), keys and values
(R * kv, P + S, D), scores (R * kv, S * group, P + S).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

# NaN must survive (a gradient that is not finite is refused by it), so "nnan" and "ninf" are out.
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
KERNEL: dict[str, Any] = {
    "nogil": True, "boundscheck": False, "error_model": "numpy", "cache": True, "fastmath": FAST,
}  # fmt: skip

ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
LEAST, MOST = np.float32(-87), np.float32(88)
# exp(r) on [-ln 2 / 2, ln 2 / 2]: its Taylor series to the seventh power, 3e-8 relative.
C2, C3, C4 = np.float32(1 / 2), np.float32(1 / 6), np.float32(1 / 24)
C5, C6, C7 = np.float32(1 / 120), np.float32(1 / 720), np.float32(1 / 5040)


@intrinsic
def _float_of(typing, bits):
    """The float32 with these bits."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def _bits_of(typing, number):
    """The bits of a float32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


def _get(number):
    """A number of an array, as float32."""


@overload(_get, inline="always")
def _overload_get(number):
    if isinstance(number, types.Integer):
        return lambda number: _float_of(np.int32(number) << np.int32(16))
    return lambda number: number


def _as(like, number):
    """A float32 as a number of an array like this one, rounded to the nearest, ties to even."""


@overload(_as, inline="always")
def _overload_as(like, number):
    if isinstance(like, types.Integer):

        def rounded(like, number):
            bits = _bits_of(number)
            odd = (bits >> np.int32(16)) & np.int32(1)
            return np.uint16((bits + np.int32(0x7FFF) + odd) >> np.int32(16))

        return rounded
    return lambda like, number: number


@njit(inline="always", **KERNEL)
def _exp(x):
    """exp(x) to 2e-7 relative; x is taken to lie in [-87, 88], and NaN is lost."""
    x = min(max(x, LEAST), MOST)
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = ONE + r * (ONE + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * (C6 + r * C7))))))
    return p * _float_of((np.int32(n) + np.int32(127)) << np.int32(23))


@njit(**KERNEL)
def normalise(x, weight, eps, out, scale):
    """out = x * scale * weight with scale = 1 / sqrt(mean(x^2) + eps). (N, W); scale (N,).

    out may be bfloat16.
    """
    rows, width = x.shape
    for i in range(rows):
        total = ZERO
        for j in range(width):
            total += x[i, j] * x[i, j]
        by = ONE / np.sqrt(total / np.float32(width) + eps)
        scale[i] = by
        for j in range(width):
            out[i, j] = _as(out[i, j], x[i, j] * by * weight[j])


@njit(**KERNEL)
def normalise_back(grad, x, weight, scale, grad_x, grad_weight):
    """Writes grad_x (N, W) and adds to grad_weight (W,). grad may be bfloat16."""
    rows, width = x.shape
    for i in range(rows):
        by = scale[i]
        along = ZERO
        for j in range(width):
            along += _get(grad[i, j]) * weight[j] * x[i, j]
        along *= by * by / np.float32(width)
        for j in range(width):
            g = _get(grad[i, j])
            grad_x[i, j] = (g * weight[j] - x[i, j] * along) * by
            grad_weight[j] += g * x[i, j] * by


@njit(**KERNEL)
def gate(both, out):
    """out = silu(first half) * second half, (N, 2 M) -> (N, M). Both may be bfloat16."""
    rows, width = out.shape
    for i in range(rows):
        first, second, to = both[i, :width], both[i, width:], out[i]
        for j in range(width):
            a = _get(first[j])
            to[j] = _as(to[j], a / (ONE + _exp(-a)) * _get(second[j]))


@njit(**KERNEL)
def gate_back(both, grad, found):
    """The gradient of `gate`, (N, 2 M). All may be bfloat16."""
    rows, width = grad.shape
    for i in range(rows):
        first, second, g = both[i, :width], both[i, width:], grad[i]
        to_first, to_second = found[i, :width], found[i, width:]
        for j in range(width):
            a, above = _get(first[j]), _get(g[j])
            opened = ONE / (ONE + _exp(-a))
            silu = a * opened
            slope = above * _get(second[j]) * (opened + silu * (ONE - opened))
            to_first[j] = _as(to_first[j], slope)
            to_second[j] = _as(to_second[j], above * silu)


@njit(inline="always", **KERNEL)
def _turn(x, cos, sin, out):
    """One head turned by its position: halves paired."""
    half = len(cos)
    for d in range(half):
        a, b = _get(x[d]), _get(x[half + d])
        out[d] = a * cos[d] - b * sin[d]
        out[half + d] = b * cos[d] + a * sin[d]


@njit(inline="always", **KERNEL)
def _turn_and_add(x, cos, sin, out):
    """One head turned back and added."""
    half = len(cos)
    for d in range(half):
        a, b = x[d], x[half + d]
        out[d] += a * cos[d] + b * sin[d]
        out[half + d] += b * cos[d] - a * sin[d]


@njit(**KERNEL)
def spread(x, cos, sin, rows, heads, kv, shared_width, queries, keys, values):
    """Packed queries, keys and values, (N, heads + 2 kv, D), turned, as a block's padded rows.

    x may be bfloat16.
    """
    group = heads // kv
    own_width = queries.shape[1] // group
    for r in range(len(rows)):
        first, own, before, shared = rows[r, 0], rows[r, 1], rows[r, 2], rows[r, 3]
        for k in range(kv):
            at = r * kv + k
            for p in range(shared_width + own_width):
                if p < shared:
                    place = before + p
                elif p >= shared_width and p - shared_width < own:
                    place = first + p - shared_width
                else:
                    keys[at, p] = ZERO
                    values[at, p] = ZERO
                    continue
                _turn(x[place, heads + k], cos[place], sin[place], keys[at, p])
                for d in range(x.shape[2]):
                    values[at, p, d] = _get(x[place, heads + kv + k, d])
            for t in range(own_width):
                for g in range(group):
                    if t < own:
                        _turn(
                            x[first + t, k * group + g],
                            cos[first + t],
                            sin[first + t],
                            queries[at, t * group + g],
                        )
                    else:
                        queries[at, t * group + g] = ZERO


@njit(**(KERNEL | {"fastmath": True}))
def _most(row):
    """The largest number of a row; anything where there is a NaN."""
    most = row[0]
    for i in range(len(row)):
        most = max(most, row[i])
    return most


@njit(**KERNEL)
def softmax(scores, rows, kv, group, shared_width, by):
    """Scores times `by` to shares, in place: each query sees what is shared, and itself back."""
    own_width = scores.shape[1] // group
    for r in range(len(rows)):
        own, shared = rows[r, 1], rows[r, 3]
        for k in range(kv):
            for t in range(own_width):
                for g in range(group):
                    row = scores[r * kv + k, t * group + g]
                    if t >= own:
                        row[:] = ZERO
                        continue
                    seen = row[: shared_width + t + 1]
                    seen[shared:shared_width] = seen[shared_width]
                    most, check = _most(seen), ZERO
                    for i in range(len(seen)):
                        check += seen[i] * ZERO  # NaN where any score is not finite
                    for i in range(len(seen)):
                        seen[i] = _exp((seen[i] - most) * by)
                    seen[shared:shared_width] = ZERO
                    total = check
                    for i in range(len(seen)):
                        total += seen[i]
                    over = ONE / total
                    for i in range(len(seen)):
                        seen[i] *= over
                    row[shared_width + t + 1 :] = ZERO


@njit(**KERNEL)
def softmax_back(share, grad, by):
    """The gradient of the scores in place of that of the shares."""
    for i in range(share.shape[0]):
        for j in range(share.shape[1]):
            p, g = share[i, j], grad[i, j]
            inner = ZERO
            for k in range(len(p)):
                inner += p[k] * g[k]
            for k in range(len(p)):
                g[k] = p[k] * (g[k] - inner) * by


@njit(**KERNEL)
def gather(mixed, rows, kv, group, out):
    """A block's padded rows, (R * kv, S * group, D), as packed ones, (N, heads, D).

    out may be bfloat16.
    """
    for r in range(len(rows)):
        for k in range(kv):
            for t in range(rows[r, 1]):
                for g in range(group):
                    to = out[rows[r, 0] + t, k * group + g]
                    for d in range(len(to)):
                        to[d] = _as(to[d], mixed[r * kv + k, t * group + g, d])


@njit(**KERNEL)
def scatter(x, rows, kv, group, out):
    """Packed heads, (N, heads, D), as a block's padded rows; padding is 0. x may be bfloat16."""
    own_width = out.shape[1] // group
    for r in range(len(rows)):
        for k in range(kv):
            for t in range(own_width):
                for g in range(group):
                    to = out[r * kv + k, t * group + g]
                    if t < rows[r, 1]:
                        for d in range(len(to)):
                            to[d] = _get(x[rows[r, 0] + t, k * group + g, d])
                    else:
                        to[:] = ZERO


@njit(**KERNEL)
def collect(queries, keys, values, cos, sin, rows, heads, kv, shared_width, found):
    """Gradients of a block's padded rows turned back and added to packed ones.

    found (N, heads + 2 kv, D) must begin at 0. What rows say about shared tokens is added in the
    order of the rows.
    """
    group = heads // kv
    for r in range(len(rows)):
        first, own, before, shared = rows[r, 0], rows[r, 1], rows[r, 2], rows[r, 3]
        for k in range(kv):
            at = r * kv + k
            for t in range(own):
                for g in range(group):
                    _turn_and_add(
                        queries[at, t * group + g],
                        cos[first + t],
                        sin[first + t],
                        found[first + t, k * group + g],
                    )
            for p in range(shared + own):
                place = before + p if p < shared else first + p - shared
                there = p if p < shared else shared_width + p - shared
                _turn_and_add(keys[at, there], cos[place], sin[place], found[place, heads + k])
                for d in range(keys.shape[2]):
                    found[place, heads + kv + k, d] += values[at, there, d]
