"""Small speakers for the engine tests: models whose next-token distributions are not flat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from askesis.engines.native import NativeEngine
from askesis.engines.transformers import TransformersEngine
from askesis.models.adapters import with_adapters
from askesis.models.language_model import LanguageModel
from askesis.models.tiny import tiny_model
from askesis.requests import Sampling, SayTokens

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "head_dim": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
}


def small_model(seed: int = 0, **changes: Any) -> LanguageModel:
    """A byte model of ten thousand parameters with a context of 64 and strong opinions."""
    return tiny_model("policy", seed, **(SMALL | changes))


def calm_model() -> LanguageModel:
    """The same with weights of an ordinary size."""
    return small_model(initializer_range=0.2)


def adapted_model() -> LanguageModel:
    """The same as a transformers module with (non-zero) adapters."""
    import tempfile
    from pathlib import Path

    from transformers import AutoModelForCausalLM

    model = small_model()
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        module = AutoModelForCausalLM.from_pretrained(folder)
    module = with_adapters(module, 2)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    renderer, config, tokenizer = model.renderer, model.config, model.tokenizer
    return LanguageModel("policy", module, renderer, config, tokenizer, adapters=True)


# name -> (how to make the model, how to make its engine, tolerance of log-probabilities)
ENGINES: dict[str, tuple[Callable[[], Any], Callable[..., Any], float]] = {
    "native float32": (small_model, lambda m, **o: NativeEngine(m, **o), 1e-4),
    # Rounding to eight bits grows with the size of the weights: a calmer model for the tolerance.
    "native bfloat16": (calm_model, lambda m, **o: NativeEngine(m, dtype="bfloat16", **o), 0.1),
    "transformers": (small_model, lambda m, **o: TransformersEngine(m, **o), 1e-4),
    "transformers with adapters": (adapted_model, lambda m, **o: TransformersEngine(m, **o), 1e-4),
}


def context(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, length]).integers(0, 256, length).astype(np.int32)


def ask(
    ids: np.ndarray, key: int = 1, stop_tokens: tuple[int, ...] = (), **sampling: Any
) -> SayTokens:
    return SayTokens(ids, Sampling(**({"max_tokens": 12} | sampling)), key, stop_tokens)
