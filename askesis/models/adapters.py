"""Low-rank adapters (Hu et al. 2021) through peft: train a few weights beside frozen ones."""

from __future__ import annotations

import copy
from typing import Any

import torch

from askesis.errors import ModelError


def with_adapters(module: Any, rank: int, seed: int = 0) -> Any:
    """The module with rank-`rank` adapters on all its linear layers but the head.

    The first adapter weights are a function of `seed`; they change nothing yet. Raises
    ModelError where peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ModelError(
            "adapters need the library peft, which is not installed",
            hint="pip install 'askesis[adapters]'",
        ) from None
    if rank < 1:
        raise ModelError("lora_rank must be positive", found=str(rank))
    settings = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        init_lora_weights=True,
    )
    wrapped = get_peft_model(module, settings)
    _initialise(wrapped, seed)
    return wrapped


def _initialise(module: Any, seed: int) -> None:
    """peft draws from the global generator; draw again from our own. B stays zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if "lora_A" in name or "lora_embedding_A" in name:
                bound = parameter.shape[-1] ** -0.5
                noise = torch.rand(parameter.shape, generator=generator) * 2 - 1
                parameter.copy_(noise * bound)


def merged(model: Any) -> Any:
    """The transformers module of a model with its adapters merged in; the model stays as it is."""
    module = model.module
    if not model.adapters:
        return module
    return copy.deepcopy(module).merge_and_unload()
