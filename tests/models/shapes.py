"""Small models of every covered shape, made on the spot."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from askesis.models.decoder import Decoder
from askesis.models.decoder_config import decoder_config

BASE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,  # large, so that a mistake shows
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama tied one kv head": ("llama", {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "llama untied full heads": ("llama", {"num_key_value_heads": 4, "tie_word_embeddings": False}),
    "llama biases, odd head size": (
        "llama",
        {"num_key_value_heads": 2, "attention_bias": True, "head_dim": 16},
    ),
    "llama 3 rotary": ("llama", {"num_key_value_heads": 2, "rope_parameters": LLAMA3_ROPE}),
    "mistral": ("mistral", {"num_key_value_heads": 2, "sliding_window": None}),
    "qwen2": ("qwen2", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"num_key_value_heads": 2, "head_dim": 12}),
}


def both(shape: str, seed: int = 0) -> tuple[Any, Decoder]:
    """A transformers module with every parameter random, and our decoder with its weights."""
    kind, changes = SHAPES[shape]
    config = AutoConfig.for_model(kind, **(BASE | changes))
    module = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator) * 0.2
            parameter.copy_(1 + noise if "norm" in name else noise)
    shape_of = decoder_config(config)
    decoder = Decoder(shape_of)
    weights = module.state_dict()
    if shape_of.tied:
        weights.pop("lm_head.weight")
    decoder.load_state_dict(weights)
    return module, decoder
