"""The default model: about a million parameters, made on the spot.

A standard Llama decoder over the byte vocabulary. Sizes are chosen for two processor cores:
four layers of width 128 whose four query heads share one key and value head, because reading
the key-value cache is what limits sampling once matrix products are batched.
"""

from __future__ import annotations

from typing import Any

from askesis.models.decoder import Decoder, initialise
from askesis.models.decoder_config import decoder_config
from askesis.models.language_model import LanguageModel
from askesis.models.renderers import ByteRenderer
from askesis.models.tokenizer import END, PAD, VOCAB_SIZE, byte_tokenizer

CONTEXT_LENGTH = 512


def tiny_config(**changes: Any) -> Any:
    """The Hugging Face configuration of the tiny model; `changes` replace its fields."""
    from transformers import LlamaConfig

    fields: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": CONTEXT_LENGTH,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "rms_norm_eps": 1e-5,
        "initializer_range": 0.05,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": END,
        "pad_token_id": PAD,
        "architectures": ["LlamaForCausalLM"],
        "dtype": "float32",
    }
    return LlamaConfig(**(fields | changes))


def tiny_model(
    name: str = "policy", seed: int = 0, trainable: bool = True, **changes: Any
) -> LanguageModel:
    """A tiny model with untrained weights that are a function of `seed` alone.

    `changes` replace fields of `tiny_config` (a wider or deeper one for a study).
    """
    config = tiny_config(**changes)
    decoder = Decoder(decoder_config(config))
    initialise(decoder, seed)
    context_length = config.max_position_embeddings
    return LanguageModel(
        name,
        decoder,
        ByteRenderer(context_length),
        config,
        byte_tokenizer(context_length),
        trainable,
    )
