"""Passes of a transformers module, whatever options its architecture knows.

Tokens are int64 (B, T). `adapters` (B,) names the adapter of every row, where the module holds
several (`askesis.engines.weight_sets`); "" leaves it no choice.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch


def one_step(
    module: Any,
    tokens: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    cache: Any,
    adapters: np.ndarray,
) -> Any:
    """One pass of a transformers module; logits for the last position alone where it can."""
    known = _known(module)
    options: dict[str, Any] = {"attention_mask": mask, "past_key_values": cache, "use_cache": True}
    if "position_ids" in known:
        options["position_ids"] = positions
    if "logits_to_keep" in known:
        options["logits_to_keep"] = 1
    return module(tokens, **options, **_chosen(adapters))


def whole_rows(
    module: Any,
    tokens: torch.Tensor,
    lengths: torch.Tensor,
    adapters: np.ndarray,
    hidden: bool = False,
) -> Any:
    """A pass over whole rows padded on the right: all logits, or the hidden states instead."""
    seen = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    options: dict[str, Any] = {"attention_mask": seen.long(), "use_cache": False}
    if hidden:
        options["output_hidden_states"] = True
        if "logits_to_keep" in _known(module):
            options["logits_to_keep"] = 1
    return module(tokens, **options, **_chosen(adapters))


def _known(module: Any) -> Any:
    base = module.get_base_model() if hasattr(module, "get_base_model") else module
    return inspect.signature(base.forward).parameters


def _chosen(adapters: np.ndarray) -> dict[str, list[str]]:
    """Which adapter each row takes, as peft wants to be told, where there is a choice."""
    return {"adapter_names": adapters.tolist()} if adapters[0] else {}
