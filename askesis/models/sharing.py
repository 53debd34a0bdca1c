"""Second modules over weights that are already in memory."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from askesis.models.decoder import Decoder
from askesis.models.heads import is_head


def twin(module: Any, *, detached: bool = False) -> Any:
    """A module of the same shape over the same tensors: only Python objects are copied.

    detached: its parameters are others over the same memory, so that what is done to them
    (freezing, gradients) leaves those of the original alone.
    """
    tensors = [*module.parameters(), *module.buffers()]
    kept = {id(t): t for t in tensors}
    if detached:
        kept |= {id(p): nn.Parameter(p.detach(), False) for p in module.parameters()}
    found = copy.deepcopy(module, dict(kept))
    if hasattr(found, "heads") and isinstance(found.heads, nn.Module):
        del found.heads
    return found


def transformers_module(decoder: Decoder, config: Any) -> Any:
    """A transformers module whose parameters are the decoder's own; heads are left out."""
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():  # what it is filled with at first is thrown away
        module = AutoModelForCausalLM.from_config(config, dtype=decoder.head.dtype)
    trained = {name: p.requires_grad for name, p in decoder.named_parameters()}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(trained[name])  # torch hands this on to what it assigns
    state = decoder.state_dict(keep_vars=True)
    body = {name: tensor for name, tensor in state.items() if not is_head(name)}
    module.load_state_dict(body, strict=False, assign=True)
    module.tie_weights()
    return module.to(decoder.head.device).eval()
