"""Small speakers for the engine tests, and the table of all that the contract battery is run on.

A row of `CAST` is an engine with a model it speaks for. An engine that cannot run on a machine
says why (`absent`), and the battery names it with that reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from askesis.engines.native import NativeEngine
from askesis.engines.table import ENGINES
from askesis.models.adapters import plain_module, with_adapters
from askesis.models.array_policy import ArrayPolicy
from askesis.models.language_model import LanguageModel
from askesis.models.renderers import ByteRenderer
from askesis.models.scripted import ScriptedModel
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.models.tokenizer import VOCAB_SIZE, byte_tokenizer
from askesis.requests import Sampling, SayTokens
from tests.engines import vllm_env
from tests.engines.served import remote_engine, remote_model

CONTEXT_LENGTH = 64
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "head_dim": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT_LENGTH,
    "initializer_range": 0.4,
}


# ---------------------------------------------------------------- models


def small_model(seed: int = 0, **changes: Any) -> LanguageModel:
    """A byte model of ten thousand parameters with a context of 64 and strong opinions."""
    return tiny_model("policy", seed, **(SMALL | changes))


def calm_model(seed: int = 0) -> LanguageModel:
    """The same with weights of an ordinary size."""
    return small_model(seed, initializer_range=0.2)


def valued_model(seed: int = 0) -> LanguageModel:
    """The same with a value head that says something."""
    return with_head(small_model(seed), seed)


def shallow_model(seed: int = 0) -> LanguageModel:
    """The same with one layer, for engines whose every pass costs milliseconds."""
    return with_head(small_model(seed, num_hidden_layers=1), seed)


def adapted_model(seed: int = 0) -> LanguageModel:
    """The same as a transformers module with adapters and a value head that say something."""
    return with_head(adapted_over(small_model(num_hidden_layers=1), seed), seed)


def adapted_over(base: LanguageModel, seed: int) -> LanguageModel:
    """Adapters that say something, on the weights of another model."""
    found = LanguageModel(
        "policy" if seed == 0 else f"policy {seed}",
        with_adapters(plain_module(base), 2),
        base.renderer,
        base.config,
        base.tokenizer,
        adapters=True,
        base_id=base.base_id,
    )
    generator = torch.Generator().manual_seed(seed + 3)
    with torch.no_grad():
        for name, tensor in sorted(found.weights().items()):
            if "lora_B" in name:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
    return found


def with_head(model: LanguageModel, seed: int) -> LanguageModel:
    model.add_heads(("value",))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.module.heads.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def uncovered_model(seed: int = 0) -> LanguageModel:
    """An architecture that the native engine does not cover."""
    config = GPT2Config(
        vocab_size=VOCAB_SIZE, n_positions=CONTEXT_LENGTH, n_embd=16, n_layer=1, n_head=2,
        initializer_range=0.6,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = GPT2LMHeadModel(config)
    renderer = ByteRenderer(CONTEXT_LENGTH)
    return LanguageModel("policy", module, renderer, config, byte_tokenizer(CONTEXT_LENGTH))


def wide_headed_model(seed: int = 0) -> LanguageModel:
    """The small model with heads as wide as vLLM's attention wants them on a processor."""
    return small_model(seed, head_dim=32)


def table_model(seed: int = 0) -> TabularModel:
    """A bigram table over 256 letters, so that the battery's contexts fit it."""
    rng = np.random.default_rng(seed)
    letters = "".join(map(chr, range(256)))
    model = TabularModel("policy", letters, rng.normal(size=(258, 258)) * 2)
    with torch.no_grad():
        model.module.value.copy_(torch.from_numpy(rng.normal(size=258)))
    return model


def script_model(seed: int = 0) -> ScriptedModel:
    """Says a hundred letters that depend on the noise and on how much was read."""

    def script(text: str, u: float) -> str:
        rng = np.random.default_rng([seed, len(text), int(u * 2**40)])
        return "".join(chr(c) for c in rng.integers(97, 123, 100))

    model = ScriptedModel("policy", script)
    model.renderer.context_length = CONTEXT_LENGTH
    return model


def array_model(seed: int = 0) -> ArrayPolicy:
    return ArrayPolicy("policy", 4, 5, seed=seed)


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Part:
    """One row: an engine, a model it speaks for, and what it should be able to do.

    engine: its name in `askesis.engines.table`. model(seed): two seeds give two models that can
    be served together. make(model, max_rows=...) opens it; a row without rows drops the option.
    capabilities: what it should declare for this model. tolerance: of log-probabilities, in nats.
    bytes: its tokens are bytes. refuses: settings that it refuses although it honours each of
    them. absent(): why it cannot run on this machine, "" where it can. slow: another row shows
    nearly the same, so that this one is left to the slow tests.
    """

    engine: str
    model: Callable[..., Any]
    make: Callable[..., Any]
    capabilities: frozenset[str]
    tolerance: float = 1e-4
    bytes: bool = True
    refuses: tuple[dict[str, Any], ...] = ()
    absent: Callable[[], str] = lambda: ""
    slow: bool = False


EXACT = frozenset({"say", "logp", "exact_logp", "replayable", "stop_strings"})
LANGUAGE = EXACT | {"score", "hidden", "allowed", "bias", "min_p", "named_weights"}


def native(model: Any, **options: Any) -> Any:
    return NativeEngine(model, known_bytes=1 << 20, **options)


def in_bfloat16(model: Any, **options: Any) -> Any:
    return native(model, dtype="bfloat16", **options)


def by_name(name: str, *dropped: str) -> Callable[..., Any]:
    """How to open an engine of the table; options it does not have are dropped."""

    def make(model: Any, **options: Any) -> Any:
        kept = {k: v for k, v in options.items() if k not in dropped}
        return ENGINES[name].load()(model, **kept)

    return make


def without(library: str) -> Callable[[], str]:
    """The reason why an engine cannot run where a library is not installed."""
    return lambda: "" if find_spec(library) else f"the library {library} is not installed"


def adapted_wide_headed_model(seed: int = 0) -> LanguageModel:
    return adapted_over(wide_headed_model(), seed)


def vllm_part(model: Callable[..., Any]) -> Part:
    """vLLM in this process; it applies min_p before top_p, and we after it."""
    return Part(
        "vllm",
        model,
        by_name("vllm"),
        LANGUAGE - {"hidden"},
        refuses=({"top_k": 20, "top_p": 0.7, "min_p": 0.1, "temperature": 0.8},),
        absent=lambda: "" if vllm_env.here() else vllm_env.HOW,
    )


CAST: dict[str, Part] = {
    "native float32": Part("native", valued_model, native, LANGUAGE | {"mixture", "value"}),
    # Rounding to eight bits grows with the size of the weights: a calmer model for the tolerance.
    "native bfloat16": Part(
        "native", calm_model, in_bfloat16, LANGUAGE | {"mixture"}, 0.1, slow=True
    ),
    "native with adapters": Part("native", adapted_model, native, LANGUAGE | {"mixture", "value"}),
    "transformers": Part(
        "transformers", shallow_model, by_name("transformers"), LANGUAGE | {"value"}
    ),
    "transformers with adapters": Part(
        "transformers", adapted_model, by_name("transformers"), LANGUAGE | {"value"}
    ),
    "transformers not covered": Part(
        "transformers", uncovered_model, by_name("transformers"), LANGUAGE, slow=True
    ),
    "scripted": Part(
        "scripted",
        script_model,
        by_name("scripted", "max_rows"),
        frozenset({"say", "stop_strings", "replayable"}),
        bytes=False,
    ),
    "tabular": Part(
        "tabular",
        table_model,
        by_name("tabular", "max_rows"),
        LANGUAGE - {"hidden"} | {"value", "mixture"},
        bytes=False,
    ),
    "array": Part(
        "array",
        array_model,
        by_name("array", "max_rows"),
        frozenset({"act", "logp", "exact_logp", "replayable"}),
        bytes=False,
    ),
    "openai": Part(
        "openai",
        remote_model,
        remote_engine,
        frozenset({"say", "score", "logp", "allowed", "bias", "stop_strings", "min_p"}),
        absent=without("openai"),
    ),
    "vllm": vllm_part(wide_headed_model),
    "vllm with adapters": vllm_part(adapted_wide_headed_model),
}


# ---------------------------------------------------------------- requests


def context(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, length]).integers(0, 256, length).astype(np.int32)


def ask(
    ids: np.ndarray,
    key: int = 1,
    stop_tokens: tuple[int, ...] = (),
    weights: str = "",
    **sampling: Any,
) -> SayTokens:
    return SayTokens(ids, Sampling(**({"max_tokens": 8} | sampling)), key, stop_tokens, weights)
