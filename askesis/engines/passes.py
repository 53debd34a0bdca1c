"""One pass of a packed decoder over new tokens of many rows, against a cache in blocks.

A pass takes a `Chunk`: tokens of several rows laid end to end, without padding. Prompts, ends of
prompts whose beginning is known, and the newest tokens of running rows are all the same to it.
`CompiledPass` is for processors and needs numba, `TensorPass` does the same with tensor
operations, on any device; `MixedPass` speaks for several models at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from askesis.engines.blocks import BLOCK
from askesis.engines.packed import Packed, PackedLayer


@dataclass(frozen=True)
class Chunk:
    """Tokens to compute, int64 (N,): num[i] tokens of row rows[i] from position first[i] on, one
    row after the other. A row that is named twice comes in the order of its positions."""

    tokens: np.ndarray
    rows: np.ndarray
    first: np.ndarray
    num: np.ndarray

    @cached_property
    def row_of(self) -> np.ndarray:
        """int64 (N,): the row of each token."""
        return self.rows if self.single else np.repeat(self.rows, self.num)

    @cached_property
    def positions(self) -> np.ndarray:
        """int64 (N,): where each token stands in its row."""
        if self.single:
            return self.first
        begins = np.cumsum(self.num) - self.num
        return np.arange(len(self.tokens)) + np.repeat(self.first - begins, self.num)

    @property
    def single(self) -> bool:
        """Whether every row has one token."""
        return len(self.tokens) == len(self.rows)

    @property
    def lasts(self) -> np.ndarray:
        """Places of each row's last token."""
        return np.cumsum(self.num) - 1


class Pass(Protocol):
    """What a batch needs of the model or models it speaks for."""

    vocab_size: int
    device: torch.device

    def logits(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        """float32 (n, vocab) after the tokens at the places `wanted` (None: all)."""
        ...

    def hidden(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        """float32 (n, width) behind the last norm."""
        ...

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy blocks of the cache: (from, to)."""
        ...

    def use(self, packed: Sequence[Packed]) -> None:
        """Speak with other weights of the same shapes, one a member."""
        ...


class Cached:
    """Keys and values of all layers, in blocks, in the precision of the products. Memory that was
    never used is not touched; it starts as zeros because masked positions still enter sums, with
    weight zero."""

    def __init__(self, packed: Packed, num_blocks: int) -> None:
        c = packed.config
        self.packed, self.vocab_size, self.device = packed, c.vocab_size, packed.device
        self.padded = -(-c.head_size // BLOCK) * BLOCK
        shape = (c.num_layers, num_blocks, c.num_kv_heads)
        keys, values = (*shape, c.head_size, BLOCK), (*shape, BLOCK, self.padded)
        self.keys, self.values = self._zeros(keys), self._zeros(values)

    def _zeros(self, shape: tuple[int, ...]) -> torch.Tensor:
        """On a processor from numpy, whose zeros take no memory before they are touched."""
        dtype = self.packed.dtype
        if self.device.type != "cpu":
            return torch.zeros(shape, dtype=dtype, device=self.device)
        kind = np.float32 if dtype is torch.float32 else np.int16
        return torch.from_numpy(np.zeros(shape, kind)).view(dtype)

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy blocks of the cache: (from, to)."""
        if not pairs:
            return
        source, to = torch.tensor(pairs, device=self.device).T
        self.keys[:, to] = self.keys[:, source]
        self.values[:, to] = self.values[:, source]

    def use(self, packed: Sequence[Packed]) -> None:
        """Speak with other weights of the same shape."""
        (self.packed,) = packed


class TensorPass(Cached):
    """The pass in tensor operations, on any device."""

    def logits(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        x = self._normalised(self._run(chunk, table, wanted))
        return F.linear(x.to(self.packed.head.dtype), self.packed.head).float()

    def hidden(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        return self._normalised(self._run(chunk, table, wanted)) * self.packed.norm

    def _normalised(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, x.shape[-1:], None, self.packed.config.norm_eps)

    def _run(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        """The residual stream float32 (n, width) after the last layer."""
        packed, dtype = self.packed, self.packed.dtype
        tokens = self._tensor(chunk.tokens)
        places = _Places(chunk, table, self)
        x = F.embedding(tokens, packed.embedding)
        for index, layer in enumerate(packed.layers):
            mixed = self._attend(index, layer, x, places)
            if wanted is not None and index == len(packed.layers) - 1:
                some = self._tensor(wanted)
                x, mixed = x[some], mixed[some]
            x = x + F.linear(mixed.to(dtype), layer.out, layer.out_bias)
            both = F.linear(self._normalised(x).to(dtype), layer.gate_up)
            gate, up = both.chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        return x

    def _attend(
        self, index: int, layer: PackedLayer, x: torch.Tensor, places: _Places
    ) -> torch.Tensor:
        c, size = self.packed.config, self.packed.config.head_size
        h = self._normalised(x).to(self.packed.dtype)
        heads = F.linear(h, layer.qkv, layer.qkv_bias).float().view(len(x), -1, size)
        num = (c.num_heads, c.num_kv_heads, c.num_kv_heads)
        q, k, v = heads.split(num, 1)
        qk = torch.cat([q, k], 1)
        if len(layer.gain):
            qk = F.rms_norm(qk, (size,), None, c.norm_eps) * layer.gain.flatten(1)
        a, b = qk.chunk(2, -1)
        cos, sin = places.cos, places.sin
        q, k = torch.cat([a * cos - b * sin, a * sin + b * cos], -1).split(num[:2], 1)
        self.keys[index][places.block, :, :, places.column] = k.to(self.keys.dtype)
        self.values[index][places.block, :, places.column, :size] = v.to(self.keys.dtype)
        # (segments, blocks, kv heads, size, 16) -> (segments, kv heads, positions, size)
        keys = self.keys[index][places.blocks].permute(0, 2, 1, 4, 3).flatten(2, 3)
        values = self.values[index][places.blocks].transpose(1, 2).flatten(2, 3)[..., :size]
        group = c.num_heads // c.num_kv_heads
        shape = (*places.shape, c.num_kv_heads, group, size)
        query = keys.new_zeros(places.shape[0] * places.shape[1], c.num_heads, size)
        query[places.at] = q.to(keys.dtype)
        query = query.view(shape).permute(0, 2, 1, 3, 4).flatten(2, 3)
        # every key head serves `group` query heads: they are so many more queries
        mask = places.mask.repeat_interleave(group, 1)[:, None]
        mixed = F.scaled_dot_product_attention(query, keys, values, mask, scale=1.0)
        mixed = mixed.unflatten(2, (places.shape[1], group)).permute(0, 2, 1, 3, 4)
        return mixed.flatten(0, 1)[places.at].flatten(1)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


class _Places:
    """Where the tokens of a chunk go in the cache, and what each of them sees."""

    def __init__(self, chunk: Chunk, table: np.ndarray, of: TensorPass) -> None:
        positions, rows = chunk.positions, chunk.row_of
        self.block = of._tensor(table[rows, positions // BLOCK].astype(np.int64))
        self.column = of._tensor(positions % BLOCK)
        longest, span = int(chunk.num.max()), int(positions.max()) + 1
        num_blocks = -(-span // BLOCK)
        self.blocks = of._tensor(table[chunk.rows, :num_blocks].astype(np.int64))
        self.shape = (len(chunk.rows), longest)
        begins = np.cumsum(chunk.num) - chunk.num
        segment = np.repeat(np.arange(len(chunk.rows)), chunk.num)
        self.at = of._tensor(segment * longest + np.arange(len(positions)) - begins[segment])
        where = np.zeros(self.shape, np.int64)  # padding sees position 0 and is dropped
        where.reshape(-1)[self.at.cpu().numpy()] = positions
        columns = torch.arange(num_blocks * BLOCK, device=of.device)
        self.mask = columns <= of._tensor(where)[..., None]
        turned = of._tensor(positions)
        self.cos, self.sin = of.packed.cos[turned][:, None], of.packed.sin[turned][:, None]


class MixedPass:
    """Several models over one tokeniser as one: log-probabilities, each times its coefficient."""

    def __init__(self, members: Sequence[tuple[float, Pass]]) -> None:
        self.members = list(members)
        # Layers may be padded beyond the tokeniser that they share, each to its own size.
        self.vocab_size = min(member.vocab_size for _, member in members)
        self.device = members[0][1].device

    def logits(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        total: torch.Tensor | None = None
        for coefficient, member in self.members:
            logits = member.logits(chunk, table, wanted).to(self.device)
            part = coefficient * torch.log_softmax(logits, -1)[:, : self.vocab_size]
            total = part if total is None else total + part
        assert total is not None
        return total

    def hidden(self, chunk: Chunk, table: np.ndarray, wanted: np.ndarray | None) -> torch.Tensor:
        raise NotImplementedError("a mixture of models has no hidden state of its own")

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        for _, member in self.members:
            member.copy(pairs)

    def use(self, packed: Sequence[Packed]) -> None:
        for (_, member), weights in zip(self.members, packed, strict=True):
            member.use([weights])
