"""The pass for processors: matrix products by torch, everything between them compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from askesis.engines import kernels
from askesis.engines.packed import Packed
from askesis.engines.passes import Cached, Chunk

ROOMS = 64  # numbers of tokens for which views of the working memory are kept


class CompiledPass(Cached):
    """Not shared between threads: it works in its own memory, made as large as it was needed."""

    def __init__(self, packed: Packed, num_blocks: int) -> None:
        super().__init__(packed, num_blocks)
        c = packed.config
        self._keys, self._values = numbers(self.keys), numbers(self.values)
        half, heads = c.head_size // 2, c.num_heads + c.num_kv_heads
        group = c.num_heads // c.num_kv_heads
        positions = -(-c.context_length // kernels.BLOCK) * kernels.BLOCK
        turned = np.zeros((heads, 2, half), np.float32)
        scores = np.zeros((group, positions), np.float32)
        self._scratch = (turned, scores, np.zeros((group, self.padded), np.float32))
        self._eps = np.float32(c.norm_eps)
        self._memory: _Memory | None = None
        self._rooms: dict[int, _Room] = {}
        self.use([packed])

    def use(self, packed: Sequence[Packed]) -> None:
        super().use(packed)
        layers = self.packed.layers
        self._weights = [
            tuple(w.t() for w in (layer.qkv, layer.out, layer.gate_up, layer.down))
            for layer in layers
        ]
        self._gains = [layer.gain.numpy() for layer in layers]
        self._angles = (self.packed.cos.numpy(), self.packed.sin.numpy())

    def logits(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        return torch.mm(self._run(chunk, table, wanted), self.packed.head.t()).float()

    def hidden(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        return self._run(chunk, table, wanted).float() * self.packed.norm

    def _room(self, n: int) -> _Room:
        """Working memory for n tokens."""
        room = self._rooms.get(n)
        if room is None:
            if self._memory is None or self._memory.size < n:
                self._memory = _Memory(self.packed, max(n, 64))
                self._rooms.clear()
            if len(self._rooms) >= ROOMS:
                self._rooms.clear()
            room = self._rooms[n] = _Room(self.packed, self._memory, n)
        return room

    def _run(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        """What the head reads, (n, width): valid until the next call."""
        packed, eps = self.packed, self._eps
        rows, positions = chunk.row_of, chunk.positions
        at = self._room(len(chunk.tokens))
        torch.index_select(packed.embedding, 0, torch.from_numpy(chunk.tokens), out=at.x)
        kernels.normalise(at.x_numbers, at.h_numbers, eps)
        last = len(packed.layers) - 1
        for index, layer in enumerate(packed.layers):
            qkv, out, gate_up, down = self._weights[index]
            _product(at.h, qkv, layer.qkv_bias, at.qkv)
            kernels.attend(
                at.split, self._gains[index], eps, *self._angles, table, rows, positions, index,
                self._keys, self._values, at.mixed, *self._scratch,
            )  # fmt: skip
            if index == last and wanted is not None:
                at = self._only(at, wanted)
            _product(at.heads, out, layer.out_bias, at.y)
            kernels.add_and_normalise(at.x_numbers, at.y_numbers, at.h_numbers, eps)
            torch.mm(at.h, gate_up, out=at.both)
            kernels.gate(at.gates, at.gated_numbers)
            torch.mm(at.gated, down, out=at.y)
            after = at.last_numbers if index == last else at.h_numbers
            kernels.add_and_normalise(at.x_numbers, at.y_numbers, after, eps)
        return at.last

    def _only(self, at: _Room, wanted: np.ndarray) -> _Room:
        """Go on with the tokens at the places `wanted` alone."""
        some = torch.from_numpy(wanted)
        x, heads = at.x[some], at.heads[some]
        fewer = self._room(len(wanted))
        fewer.x.copy_(x)
        fewer.heads.copy_(heads)
        return fewer


class _Memory:
    """Working memory for `size` tokens."""

    def __init__(self, packed: Packed, size: int) -> None:
        c, dtype = packed.config, packed.dtype
        inner = c.num_heads * c.head_size
        self.size = size
        self.x = torch.empty(size, c.width)
        self.h = torch.empty(size, c.width, dtype=dtype)
        self.qkv = torch.empty(size, inner + 2 * c.num_kv_heads * c.head_size, dtype=dtype)
        self.heads = torch.empty(size, inner, dtype=dtype)
        self.y = torch.empty(size, c.width, dtype=dtype)
        self.both = torch.empty(size, 2 * c.mlp_width, dtype=dtype)
        self.gated = torch.empty(size, c.mlp_width, dtype=dtype)
        self.last = torch.empty(size, c.width, dtype=packed.head.dtype)


class _Room:
    """The first n rows of it, as tensors for the products and as arrays for the kernels: making
    these views anew for every small operation cost a tenth of a step."""

    def __init__(self, packed: Packed, memory: _Memory, n: int) -> None:
        c = packed.config
        self.x, self.h, self.qkv, self.heads = (
            t[:n] for t in (memory.x, memory.h, memory.qkv, memory.heads)
        )
        self.y, self.both, self.gated, self.last = (
            t[:n] for t in (memory.y, memory.both, memory.gated, memory.last)
        )
        self.x_numbers, self.h_numbers, self.y_numbers = map(numbers, (self.x, self.h, self.y))
        self.split = numbers(self.qkv).reshape(n, -1, 2, c.head_size // 2)
        self.mixed = numbers(self.heads).reshape(n, c.num_heads, c.head_size)
        self.gates = numbers(self.both).reshape(n, 2, c.mlp_width)
        self.gated_numbers, self.last_numbers = numbers(self.gated), numbers(self.last)


def _product(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor
) -> None:
    """out = x weight + bias."""
    if bias is None:
        torch.mm(x, weight, out=out)
    else:
        torch.addmm(bias, x, weight, out=out)


def numbers(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's memory as the kernels read it: float32, or the bits of bfloat16."""
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    return tensor.numpy()
