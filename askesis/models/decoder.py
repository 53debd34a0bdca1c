"""The forward that is sampled from and learnt through: a plain dense decoder.

Covers the Llama, Qwen2 and Qwen3 shapes: grouped-query attention with rotary positions,
RMS normalisation, gated SiLU MLPs, tied or untied embeddings. Parameters have the names of
the Hugging Face state dict, so such weights load with `load_state_dict`.

It has two forms of one forward. `Decoder.forward` is the plain one: batches padded on the right
(with a causal mask no real position can see padding, so no other mask is needed; what stands at
padded positions is meaningless). `Decoder.packed` is the one that is learnt through: the same
computation on the real tokens alone (`askesis.models.packing`), its steps differentiated by hand
(`askesis.models.fused`), in bfloat16 where `torch.autocast` asks for it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from askesis.models.decoder_config import DecoderConfig
from askesis.models.fused import attend, gated_silu, rms_norm
from askesis.models.packing import Packing
from askesis.models.token_statistics import logits_of, token_statistics


class Decoder(nn.Module):
    """A decoder; `forward` and `packed` give hidden states, `logp` what most objectives want.

    recompute: whether `packed` keeps only the states between layers for its backward pass and
    computes the rest again there: a third more arithmetic, memory that hardly grows with depth.
    """

    rotary: torch.Tensor
    recompute: bool = False

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Body(config)
        self.lm_head = (
            None if config.tied else nn.Linear(config.width, config.vocab_size, bias=False)
        )
        frequencies = torch.tensor(config.inverse_frequencies, dtype=torch.float32)
        self.register_buffer("rotary", frequencies, persistent=False)

    @property
    def head(self) -> torch.Tensor:
        """The output embedding, (vocab, width)."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Hidden states after the last norm: tokens int64 (B, T) -> (B, T, width)."""
        hidden = self.model.embed_tokens(tokens)
        # The angles stay in float32 whatever the weights are: positions are not rounded.
        angles = torch.arange(tokens.shape[1], device=tokens.device).float()[:, None] * self.rotary
        cos, sin = angles.cos().to(hidden.dtype), angles.sin().to(hidden.dtype)
        for layer in self.model.layers:
            hidden = layer(hidden, cos, sin)
        return self.model.norm(hidden)

    def packed(self, packing: Packing) -> torch.Tensor:
        """Hidden states after the last norm of packed tokens, (N, width).

        Equal to those of `forward` to rounding. Under `torch.autocast` the products of the layers
        are made in its dtype; the sums between layers, norms and the head keep that of the weights.
        """
        dtype = _product_dtype(packing.tokens.device, self.head.dtype)
        hidden = self.model.embed_tokens(packing.tokens)
        angles = packing.positions.float()[:, None] * self.rotary
        cos, sin = angles.cos(), angles.sin()
        with torch.autocast(packing.tokens.device.type, enabled=False):
            layer: Any
            for layer in self.model.layers:
                some = (hidden, cos, sin, packing, dtype)
                if self.recompute and torch.is_grad_enabled():
                    hidden = checkpoint(layer.packed, *some, use_reentrant=False)
                else:
                    hidden = layer.packed(*some)
            last = dtype if hidden.is_cuda else hidden.dtype  # see `logits_of`
            return rms_norm(hidden, self.model.norm.weight, self.config.norm_eps, last)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 logits of hidden states, (..., width) -> (..., vocab)."""
        return logits_of(hidden.flatten(0, -2), self.head).view(*hidden.shape[:-1], -1)

    def logp(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32 (B, T): log-probability of each token given those before it.

        Position 0, which nothing predicts, is 0. The matrix of all logits is never held whole
        where the vocabulary is large, neither forward nor backward.
        """
        if tokens.shape[1] < 2:
            return torch.zeros(tokens.shape, device=tokens.device)
        hidden, targets = self(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
        found, _, _ = token_statistics(hidden, self.head, targets)
        return F.pad(found.view(len(tokens), -1), (1, 0))


def _product_dtype(device: torch.device, own: torch.dtype) -> torch.dtype:
    """What products are made in: what autocast asks for, else the weights' own dtype."""
    if torch.is_autocast_enabled(device.type) and own == torch.float32:
        return torch.get_autocast_dtype(device.type)
    return own


def _joint(layers: list[nn.Linear], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Several linear maps of one input as one weight and bias, rows one after another."""
    weight = torch.cat([layer.weight for layer in layers]).to(dtype)
    if layers[0].bias is None:
        return weight, None
    return weight, torch.cat([layer.bias for layer in layers]).to(dtype)


class _Body(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.width)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_layers))
        self.norm = nn.RMSNorm(config.width, config.norm_eps)


class _Layer(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.width, config.norm_eps)
        self.self_attn = _Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.width, config.norm_eps)
        self.mlp = _Mlp(config)
        self.eps = config.norm_eps

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))

    def packed(
        self,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        packing: Packing,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        """The same for packed tokens (N, width), with products in `dtype`."""
        seen = rms_norm(x, self.input_layernorm.weight, self.eps, dtype)
        x = x + self.self_attn.packed(seen, cos, sin, packing).to(x.dtype)
        seen = rms_norm(x, self.post_attention_layernorm.weight, self.eps, dtype)
        return x + self.mlp.packed(seen).to(x.dtype)


class _Attention(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_heads, config.num_kv_heads
        self.head_size = config.head_size
        inner, outer = config.num_heads * config.head_size, config.num_kv_heads * config.head_size
        self.q_proj = nn.Linear(config.width, inner, bias=config.qkv_bias)
        self.k_proj = nn.Linear(config.width, outer, bias=config.qkv_bias)
        self.v_proj = nn.Linear(config.width, outer, bias=config.qkv_bias)
        self.o_proj = nn.Linear(inner, config.width, bias=config.out_bias)
        self.q_norm: Any = None
        self.k_norm: Any = None
        if config.qk_norm:
            self.q_norm = nn.RMSNorm(config.head_size, config.norm_eps)
            self.k_norm = nn.RMSNorm(config.head_size, config.norm_eps)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.num_heads, self.head_size)
        k = self.k_proj(x).view(batch, length, self.num_kv_heads, self.head_size)
        v = self.v_proj(x).view(batch, length, self.num_kv_heads, self.head_size)
        if self.q_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q, cos, sin).transpose(1, 2), rotate(k, cos, sin).transpose(1, 2)
        k, v = self._share(k), self._share(v.transpose(1, 2))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))

    def packed(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, packing: Packing
    ) -> torch.Tensor:
        """The same for packed tokens (N, width)."""
        weight, bias = _joint([self.q_proj, self.k_proj, self.v_proj], x.dtype)
        qkv = F.linear(x, weight, bias)
        if self.q_norm is not None:
            qkv = self._normed(qkv)
        mixed = attend(qkv, cos, sin, packing, self.num_heads, self.num_kv_heads)
        bias = self.o_proj.bias
        return F.linear(
            mixed, self.o_proj.weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        )

    def _normed(self, qkv: torch.Tensor) -> torch.Tensor:
        """Queries and keys normalised head by head (Qwen3); values as they are."""
        sizes = [self.num_heads, self.num_kv_heads, self.num_kv_heads]
        q, k, v = qkv.unflatten(-1, (-1, self.head_size)).split(sizes, 1)
        q = rms_norm(q, self.q_norm.weight, self.q_norm.eps, qkv.dtype)
        k = rms_norm(k, self.k_norm.weight, self.k_norm.eps, qkv.dtype)
        return torch.cat((q, k, v), 1).flatten(1)

    def _share(self, x: torch.Tensor) -> torch.Tensor:
        """(B, kv heads, T, D) -> (B, heads, T, D): every group of query heads shares one."""
        batch, kv_heads, length, size = x.shape
        group = self.num_heads // kv_heads
        return (
            x[:, :, None]
            .expand(-1, -1, group, -1, -1)
            .reshape(batch, kv_heads * group, length, size)
        )


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions (Su et al. 2021), halves paired as Hugging Face weights expect.

    x (B, T, heads, D); cos and sin (T, D / 2).
    """
    a, b = x.chunk(2, -1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class _Mlp(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.mlp_width, bias=False)
        self.up_proj = nn.Linear(config.width, config.mlp_width, bias=False)
        self.down_proj = nn.Linear(config.mlp_width, config.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))

    def packed(self, x: torch.Tensor) -> torch.Tensor:
        """The same for packed tokens (N, width)."""
        weight, _ = _joint([self.gate_proj, self.up_proj], x.dtype)
        return F.linear(gated_silu(F.linear(x, weight)), self.down_proj.weight.to(x.dtype))


def initialise(decoder: Decoder, seed: int) -> None:
    """Fill a decoder with weights that are a function of `seed` alone.

    Normal with standard deviation `init_std`; the two projections that write to the residual
    stream are scaled down by sqrt(2 layers), as in GPT-2. Norms are one, biases zero.
    """
    config = decoder.config
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(decoder.named_parameters()):
            if "norm" in name:
                parameter.fill_(1.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                std = config.init_std
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= (2 * config.num_layers) ** 0.5
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
                parameter.copy_(noise * std)
