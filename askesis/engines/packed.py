"""A decoder's weights arranged for sampling.

Query, key and value projections stand in one matrix, gate and up projections in another, and the
gains of the norms and the scale of attention are multiplied into the weights that follow. Scores
do not change by any of it, beyond rounding.

Matrix products run in `dtype` (float32 or bfloat16); the residual stream, attention and
normalisation stay in float32, and so do the head and the log-probabilities of small vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from askesis.models.decoder_config import DecoderConfig

SMALL_HEAD = 1 << 24  # elements of a head that is kept in float32 whatever `dtype` is


@dataclass(frozen=True)
class PackedLayer:
    """Weights of one layer; (out, in) each, biases (out,)."""

    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    out: torch.Tensor
    out_bias: torch.Tensor | None
    gate_up: torch.Tensor
    down: torch.Tensor
    gain: torch.Tensor  # of query and key norms, float32 (heads + kv heads, 2, half); or none


class Packed:
    """Weights for sampling, made from a state dict with Hugging Face names.

    embedding (vocab, width) float32; head (vocab, width) with the last norm's gain in it, which
    `norm` (width,) float32 is as well; cos and sin float32 (context, head size / 2).
    """

    def __init__(
        self, config: DecoderConfig, weights: Mapping[str, torch.Tensor], dtype: torch.dtype
    ) -> None:
        self.config, self.dtype = config, dtype
        embedding = weights["model.embed_tokens.weight"].detach()
        self.device = embedding.device
        self.embedding = embedding.float().clone()
        self.layers = [self._layer(weights, i) for i in range(config.num_layers)]
        head = embedding if config.tied else weights["lm_head.weight"].detach()
        self.norm = weights["model.norm.weight"].detach().float().clone()
        head = head.float() * self.norm
        self.head = head if head.numel() <= SMALL_HEAD else head.to(dtype)
        frequencies = torch.tensor(config.inverse_frequencies, device=self.device)
        positions = torch.arange(config.context_length, device=self.device).float()
        angles = positions[:, None] * frequencies
        self.cos, self.sin = angles.cos().contiguous(), angles.sin().contiguous()

    def _layer(self, weights: Mapping[str, torch.Tensor], index: int) -> PackedLayer:
        c = self.config

        def get(name: str) -> torch.Tensor:
            return weights[f"model.layers.{index}.{name}"].detach().float()

        # With query norms a scale before them would be undone: it goes into their gain.
        scale = c.head_size**-0.5
        before = 1.0 if c.qk_norm else scale
        qkv = [get("self_attn.q_proj.weight") * before]
        qkv += [get(f"self_attn.{name}_proj.weight") for name in "kv"]
        bias, gain = None, torch.empty(0, 2, c.head_size // 2, device=self.device)
        if c.qkv_bias:
            biases = [get("self_attn.q_proj.bias") * before]
            biases += [get(f"self_attn.{name}_proj.bias") for name in "kv"]
            bias = torch.cat(biases).to(self.dtype)
        if c.qk_norm:
            q = get("self_attn.q_norm.weight") * scale
            k = get("self_attn.k_norm.weight")
            gain = torch.cat([q.expand(c.num_heads, -1), k.expand(c.num_kv_heads, -1)])
            gain = gain.reshape(-1, 2, c.head_size // 2).contiguous()
        gate_up = torch.cat([get("mlp.gate_proj.weight"), get("mlp.up_proj.weight")])
        return PackedLayer(
            qkv=(torch.cat(qkv) * get("input_layernorm.weight")).to(self.dtype),
            qkv_bias=bias,
            out=get("self_attn.o_proj.weight").to(self.dtype),
            out_bias=get("self_attn.o_proj.bias").to(self.dtype) if c.out_bias else None,
            gate_up=(gate_up * get("post_attention_layernorm.weight")).to(self.dtype),
            down=get("mlp.down_proj.weight").to(self.dtype),
            gain=gain,
        )
