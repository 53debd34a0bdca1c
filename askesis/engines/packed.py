"""A decoder's weights arranged for sampling, and the two passes made with them.

Query, key and value projections stand in one matrix, gate and up projections in another, the
gains of the norms and the scale of attention are multiplied into the weights that follow, and
the two halves of every query and key head are interleaved, so that a rotary turn is one complex
product. Scores do not change by any of it, beyond rounding.

Matrix products run in `dtype` (float32 or bfloat16); the residual stream, attention and
normalisation stay in float32, and so do the head and the log-probabilities of small vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from askesis.models.decoder_config import DecoderConfig

SMALL_HEAD = 1 << 24  # elements of a head that is kept in float32 whatever `dtype` is


@dataclass
class PackedLayer:
    """Weights of one layer; (out, in) each."""

    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    gain: torch.Tensor | None  # of query and key norms, (heads + kv heads, head size)
    out: torch.Tensor
    out_bias: torch.Tensor | None
    gate_up: torch.Tensor
    down: torch.Tensor


class Packed:
    """Weights for sampling, made from a state dict with Hugging Face names."""

    def __init__(
        self, config: DecoderConfig, weights: Mapping[str, torch.Tensor], dtype: torch.dtype
    ) -> None:
        self.config, self.dtype = config, dtype
        embedding = weights["model.embed_tokens.weight"].detach()
        self.device = embedding.device
        self.embedding = embedding.clone()
        self.layers = [self._layer(weights, i) for i in range(config.num_layers)]
        head = embedding if config.tied else weights["lm_head.weight"].detach()
        head = head.float() * weights["model.norm.weight"].detach().float()
        self.head = head if head.numel() <= SMALL_HEAD else head.to(dtype)
        frequencies = torch.tensor(config.inverse_frequencies, device=self.device)
        positions = torch.arange(config.context_length, device=self.device).float()
        angles = positions[:, None] * frequencies
        self.turns = torch.polar(torch.ones_like(angles), angles)  # complex (context, D / 2)

    def _layer(self, weights: Mapping[str, torch.Tensor], index: int) -> PackedLayer:
        c = self.config

        def get(name: str) -> torch.Tensor:
            return weights[f"model.layers.{index}.{name}"].detach().float()

        # With query norms a scale before them would be undone: it goes into their gain.
        scale = c.head_size**-0.5
        before = 1.0 if c.qk_norm else scale
        q = _interleave(get("self_attn.q_proj.weight"), c.head_size) * before
        k = _interleave(get("self_attn.k_proj.weight"), c.head_size)
        qkv = torch.cat([q, k, get("self_attn.v_proj.weight")])
        bias = gain = None
        if c.qkv_bias:
            q = _interleave(get("self_attn.q_proj.bias"), c.head_size) * before
            k = _interleave(get("self_attn.k_proj.bias"), c.head_size)
            bias = torch.cat([q, k, get("self_attn.v_proj.bias")]).to(self.dtype)
        if c.qk_norm:
            q = _interleave(get("self_attn.q_norm.weight"), c.head_size) * scale
            k = _interleave(get("self_attn.k_norm.weight"), c.head_size)
            gain = torch.cat([q.expand(c.num_heads, -1), k.expand(c.num_kv_heads, -1)])
        gate_up = torch.cat([get("mlp.gate_proj.weight"), get("mlp.up_proj.weight")])
        return PackedLayer(
            (qkv * get("input_layernorm.weight")).to(self.dtype),
            bias,
            gain,
            get("self_attn.o_proj.weight").to(self.dtype),
            get("self_attn.o_proj.bias").to(self.dtype) if c.out_bias else None,
            (gate_up * get("post_attention_layernorm.weight")).to(self.dtype),
            get("mlp.down_proj.weight").to(self.dtype),
        )

    # ------------------------------------------------------------ passes

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """float32 logits (N, vocab) of the residual stream (N, width) after the last layer."""
        x = F.rms_norm(x, (self.config.width,), None, self.config.norm_eps)
        return F.linear(x.to(self.head.dtype), self.head).float()

    def step(
        self, tokens: torch.Tensor, positions: torch.Tensor, span: int, cache: Cache
    ) -> torch.Tensor:
        """One token for each of the first n rows of the cache; residual stream (n, width).

        tokens, positions int64 (n,): the newest token of each row and its place; span: one past
        the largest place.
        """
        c, n = self.config, len(tokens)
        turns = self.turns[positions][:, None]
        hidden = cache.columns[:span] > positions[:, None]
        mask = torch.zeros(n, span, device=self.device).masked_fill_(hidden, -torch.inf)
        if c.num_kv_heads > 1:
            mask = mask.repeat_interleave(c.num_kv_heads, 0)
        mask = mask[:, None]  # (n * kv heads, 1, span)
        writing = cache.writing(positions)
        x = F.embedding(tokens, self.embedding).float()
        heads = (c.num_heads, c.num_kv_heads, c.num_kv_heads)
        group = c.num_heads // c.num_kv_heads
        for index, layer in enumerate(self.layers):
            q, k, v = self._qkv(layer, x, turns).split(heads, 1)
            cache.write(index, writing, k, v)
            keys, values = cache.upto(index, n, span)
            q = q.reshape(n * c.num_kv_heads, group, c.head_size)
            weights = torch.softmax(torch.baddbmm(mask, q, keys), -1)
            self._add_rest(layer, x, torch.bmm(weights, values).view(n, -1))
        return x

    def read(
        self, tokens: torch.Tensor, lengths: torch.Tensor, all_positions: bool = False
    ) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
        """A padded batch of whole prompts: tokens int64 (B, T), padded on the right.

        Returns the residual stream at each prompt's last position (B, width), or at all
        positions (B * T, width); and keys and values of every layer, (B, kv heads, T, D).
        """
        c, (batch, length) = self.config, tokens.shape
        turns = self.turns[:length].repeat(batch, 1)[:, None]
        x = F.embedding(tokens.reshape(-1), self.embedding).float()
        last = torch.arange(batch, device=self.device) * length + lengths - 1
        heads = (c.num_heads, c.num_kv_heads, c.num_kv_heads)
        kept = []
        for index, layer in enumerate(self.layers):
            qkv = self._qkv(layer, x, turns).view(batch, length, -1, c.head_size)
            q, k, v = (part.transpose(1, 2) for part in qkv.split(heads, 2))
            kept.append((k, v))
            mixed = F.scaled_dot_product_attention(
                q, _shared(k, c), _shared(v, c), is_causal=True, scale=1.0
            )
            mixed = mixed.transpose(1, 2).reshape(batch * length, -1)
            if index == c.num_layers - 1 and not all_positions:
                x, mixed = x[last], mixed[last]
            self._add_rest(layer, x, mixed)
        return x, kept

    def logp(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32 (B, T) log-probability of each token given those before; 0 at position 0."""
        batch, length = tokens.shape
        full = torch.full((batch,), length, device=self.device)
        x, _ = self.read(tokens, full, all_positions=True)
        x = x.view(batch, length, -1)[:, :-1].reshape(batch * (length - 1), -1)
        targets = tokens[:, 1:].reshape(-1)
        size = max(1, (1 << 24) // self.config.vocab_size)
        parts = [
            -F.cross_entropy(self.logits(a), b, reduction="none")
            for a, b in zip(x.split(size), targets.split(size), strict=True)
        ]
        found = torch.cat(parts) if parts else x.new_zeros(0)
        return F.pad(found.view(batch, length - 1), (1, 0))

    def _qkv(self, layer: PackedLayer, x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        """Queries, keys and values with positions turned in, float32 (N, heads, D)."""
        c = self.config
        h = F.rms_norm(x, (c.width,), None, c.norm_eps).to(self.dtype)
        y = F.linear(h, layer.qkv, layer.qkv_bias).float().view(len(x), -1, c.head_size)
        turned = y[:, : c.num_heads + c.num_kv_heads]
        if layer.gain is not None:
            turned.copy_(F.rms_norm(turned, (c.head_size,), None, c.norm_eps) * layer.gain)
        torch.view_as_complex(turned.unflatten(-1, (-1, 2))).mul_(turns)
        return y

    def _add_rest(self, layer: PackedLayer, x: torch.Tensor, mixed: torch.Tensor) -> None:
        """The output projection and the MLP, added to the residual stream in place."""
        c = self.config
        x += F.linear(mixed.to(self.dtype), layer.out, layer.out_bias)
        h = F.rms_norm(x, (c.width,), None, c.norm_eps).to(self.dtype)
        both = F.linear(h, layer.gate_up)
        gate, up = both[:, : c.mlp_width], both[:, c.mlp_width :]
        x += F.linear(F.silu(gate).mul_(up), layer.down)


class Cache:
    """Keys and values of running rows, float32, allocated once and kept.

    keys (layer, row, kv head, D, column), values (layer, row, kv head, column, D): each as the
    product that reads it likes it best. Memory that no row has reached yet is not touched.
    Everything starts as zeros because a masked column still enters the sums, with weight zero.
    """

    def __init__(
        self, config: DecoderConfig, num_rows: int, num_columns: int, device: torch.device
    ) -> None:
        layers, heads, size = config.num_layers, config.num_kv_heads, config.head_size
        self.keys = torch.zeros(layers, num_rows, heads, size, num_columns, device=device)
        self.values = torch.zeros(layers, num_rows, heads, num_columns, size, device=device)
        self.num_rows, self.num_columns = num_rows, num_columns
        self.columns = torch.arange(num_columns, device=device)
        self._heads, self._size = heads, size
        self._key_first = torch.arange(num_rows * heads * size, device=device) * num_columns
        self._value_first = torch.arange(num_rows * heads, device=device) * num_columns

    def writing(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Flat places of one column per row, of keys and of values, for `write`."""
        if self._heads > 1:
            positions = positions.repeat_interleave(self._heads)
        many = positions.repeat_interleave(self._size)
        return self._key_first[: len(many)] + many, self._value_first[: len(positions)] + positions

    def write(
        self,
        layer: int,
        writing: tuple[torch.Tensor, torch.Tensor],
        k: torch.Tensor,
        v: torch.Tensor,
    ) -> None:
        """Put one key and value per row, (n, kv heads, D) each."""
        self.keys[layer].view(-1).index_copy_(0, writing[0], k.reshape(-1))
        self.values[layer].view(-1, self._size).index_copy_(
            0, writing[1], v.reshape(-1, self._size)
        )

    def upto(self, layer: int, n: int, span: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys (n * kv heads, D, span) and values (n * kv heads, span, D) of the first n rows."""
        keys = self.keys[layer].view(-1, self._size, self.num_columns)
        values = self.values[layer].view(-1, self.num_columns, self._size)
        return keys[: n * self._heads, :, :span], values[: n * self._heads, :span]

    def fill(
        self, first: int, kept: Sequence[tuple[torch.Tensor, torch.Tensor]], source: torch.Tensor
    ) -> None:
        """Give rows first, first + 1, ... the prompts `source` (indices into `kept`)."""
        rows, span = slice(first, first + len(source)), kept[0][0].shape[2]
        for layer, (k, v) in enumerate(kept):
            self.keys[layer, rows, :, :, :span] = k.transpose(2, 3)[source]
            self.values[layer, rows, :, :span] = v[source]

    def move(self, to: np.ndarray, source: np.ndarray, span: int) -> None:
        """Copy rows over others, up to `span` columns."""
        a, b = (torch.from_numpy(i).to(self.keys.device) for i in (to, source))
        self.keys[:, a, :, :, :span] = self.keys[:, b, :, :, :span]
        self.values[:, a, :, :span] = self.values[:, b, :, :span]


def _interleave(weight: torch.Tensor, head_size: int) -> torch.Tensor:
    """Rows (a_0..a_m, b_0..b_m) of every head as (a_0, b_0, a_1, b_1, ...)."""
    halves = weight.view(-1, 2, head_size // 2, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def _shared(x: torch.Tensor, c: DecoderConfig) -> torch.Tensor:
    """(B, kv heads, T, D) -> (B, heads, T, D), each kv head serving its group of queries."""
    batch, kv_heads, length, size = x.shape
    group = c.num_heads // c.num_kv_heads
    return (
        x[:, :, None].expand(-1, -1, group, -1, -1).reshape(batch, kv_heads * group, length, size)
    )
