"""Activation checkpointing: keep little for the backward pass, compute the rest again there."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint

from askesis.models.decoder import Decoder


def set_recompute(module: Any, recompute: bool) -> bool:
    """Switch it for a decoder or a transformers (or peft) module; whether it could be switched.

    The layers of transformers look at their own flags. Setting those and no others leaves
    dropout off, as everywhere in this package.
    """
    if isinstance(module, Decoder):
        module.recompute = recompute
        return True
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers: list[Any] = [m for m in module.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer.training = layer.gradient_checkpointing = recompute
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    return bool(layers) or not recompute
