"""The shape of a small dense decoder, read from a Hugging Face configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import ModelError

COVERED = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes and switches of a decoder of the Llama / Qwen2 / Qwen3 shape.

    `num_kv_heads` divides `num_heads` (grouped-query attention). `qkv_bias` adds biases to the
    query, key and value projections (Qwen2), `qk_norm` normalises each query and key head
    (Qwen3). `inverse_frequencies` are the rotary ones, (head_size / 2,) radians per position.
    """

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    mlp_width: int
    context_length: int
    norm_eps: float
    tied: bool
    qkv_bias: bool
    out_bias: bool
    qk_norm: bool
    inverse_frequencies: tuple[float, ...]
    init_std: float = 0.02


def decoder_config(config: Any) -> DecoderConfig:
    """The `DecoderConfig` of a Hugging Face configuration.

    Raises ModelError for an architecture or a switch the decoder does not have.
    """
    kind = config.model_type
    if kind not in COVERED:
        raise _not_covered(f"architecture {kind!r}", f"one of {', '.join(COVERED)}")
    if config.hidden_act != "silu":
        raise _not_covered(f"activation {config.hidden_act!r}", "silu")
    if getattr(config, "mlp_bias", False):
        raise _not_covered("biases in the MLP", "none")
    if _slides(config):
        raise _not_covered("sliding-window attention", "full attention in every layer")
    bias = bool(getattr(config, "attention_bias", False))
    head_size = getattr(config, "head_dim", None) or (
        config.hidden_size // config.num_attention_heads
    )
    return DecoderConfig(
        vocab_size=config.vocab_size,
        width=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads or config.num_attention_heads,
        head_size=head_size,
        mlp_width=config.intermediate_size,
        context_length=config.max_position_embeddings,
        norm_eps=config.rms_norm_eps,
        tied=bool(config.tie_word_embeddings),
        qkv_bias=bias or kind == "qwen2",
        out_bias=bias and kind != "qwen2",
        qk_norm=kind == "qwen3",
        inverse_frequencies=_inverse_frequencies(config, head_size),
        init_std=config.initializer_range,
    )


def _slides(config: Any) -> bool:
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return any(kind != "full_attention" for kind in kinds)
    return config.model_type == "mistral" and config.sliding_window is not None


def _inverse_frequencies(config: Any, head_size: int) -> tuple[float, ...]:
    import torch

    rope = getattr(config, "rope_parameters", None) or {}
    kind = rope.get("rope_type", "default")
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise _not_covered("partial rotary embeddings", "rotary embeddings on whole heads")
    if kind == "default":
        theta = float(rope.get("rope_theta", 10000.0))
        exponent = torch.arange(0, head_size, 2, dtype=torch.int64).float() / head_size
        return tuple((1.0 / theta**exponent).tolist())
    if kind in ("linear", "llama3"):  # fixed frequencies: transformers knows the formula
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        frequencies, scaling = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
        if scaling == 1.0:
            return tuple(frequencies.tolist())
    raise _not_covered(f"rotary scaling {kind!r}", "default, linear or llama3")


def _not_covered(found: str, expected: str) -> ModelError:
    return ModelError(
        "the native decoder does not cover this model",
        expected=expected,
        found=found,
        hint="Use `--engine transformers`, which runs any causal language model",
    )
