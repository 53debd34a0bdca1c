"""The forward that is sampled from and learnt through: a plain dense decoder.

Covers the Llama, Qwen2 and Qwen3 shapes: grouped-query attention with rotary positions,
RMS normalisation, gated SiLU MLPs, tied or untied embeddings. Parameters have the names of
the Hugging Face state dict, so such weights load with `load_state_dict`.

Batches are padded on the right. With a causal mask no real position can see padding, so no
other mask is needed; what stands at padded positions is meaningless.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from askesis.models.decoder_config import DecoderConfig

LOGITS_IN_MEMORY = 1 << 24  # elements of one chunk of the vocabulary matrix: 64 MiB in float32


class Decoder(nn.Module):
    """A decoder; `forward` gives hidden states, `logp` what most objectives want."""

    rotary: torch.Tensor

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

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 logits of hidden states, (..., width) -> (..., vocab)."""
        return F.linear(hidden, self.head).float()

    def logp(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32 (B, T): log-probability of each token given those before it.

        Position 0, which nothing predicts, is 0. The matrix of all logits is never held whole
        where the vocabulary is large, neither forward nor backward.
        """
        return chunked_logp(self(tokens), self.head, tokens)


def chunked_logp(hidden: torch.Tensor, head: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """float32 (B, T) log-probabilities of `tokens` from hidden states (B, T, width).

    Logits are made for a bounded number of positions at a time and made again for the backward.
    """
    batch, length = tokens.shape
    if length < 2:
        return hidden.new_zeros(batch, length, dtype=torch.float32)
    rows = hidden[:, :-1].reshape(-1, hidden.shape[-1])
    targets = tokens[:, 1:].reshape(-1)
    size = max(1, LOGITS_IN_MEMORY // head.shape[0])
    if len(rows) <= size:
        found = _logp_of(rows, head, targets)
    else:
        parts = []
        for first in range(0, len(rows), size):
            some = slice(first, first + size)
            if torch.is_grad_enabled():
                part = checkpoint(_logp_of, rows[some], head, targets[some], use_reentrant=False)
            else:
                part = _logp_of(rows[some], head, targets[some])
            parts.append(part)
        found = torch.cat(parts)
    return F.pad(found.view(batch, length - 1), (1, 0))


def _logp_of(rows: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -F.cross_entropy(F.linear(rows, head).float(), targets, reduction="none")


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

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


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
