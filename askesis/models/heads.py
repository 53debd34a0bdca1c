"""Heads: outputs beside the vocabulary, on the hidden state after the last norm.

A head is one linear map to one number, in float32 whatever the model is. It stands in the module
that it belongs to, under the name `heads`, so whoever walks the module's parameters trains it. It
begins at zero: a model that has just got a head predicts 0 and is otherwise what it was.

In a checkpoint every head is a file of its own below `heads/`: what reads the weights of a folder
(transformers, vLLM) finds those of the language model alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from askesis.errors import ModelError, nearest

KNOWN = ("value",)
PREFIX = "heads."


class Heads(nn.ModuleDict):
    """The heads of a module by name; each `nn.Linear(width, 1)`."""


def add_heads(module: Any, names: Sequence[str], width: int, device: Any = None) -> None:
    """Give a module heads that begin at zero. ModelError for a head that does not exist."""
    found = Heads()
    for name in names:
        if name not in KNOWN:
            raise ModelError(f"there is no head {name!r}", hint=nearest(name, KNOWN))
        linear = nn.utils.skip_init(nn.Linear, width, 1, device=device, dtype=torch.float32)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        found[name] = linear
    module.heads = found


def heads_of(module: Any) -> tuple[str, ...]:
    """The names of a module's heads."""
    found = getattr(module, "heads", None)
    return tuple(found) if isinstance(found, Heads) else ()


def is_head(name: str) -> bool:
    """Whether a weight of a module belongs to one of its heads, by its name."""
    return name.startswith(PREFIX)


def read_head(name: str, hidden: torch.Tensor, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What a head among weights says of hidden states, (..., width) -> float32 (...).

    ModelError where there is no such head.
    """
    if f"{PREFIX}{name}.weight" not in weights:
        raise ModelError(
            f"the model has no {name} head", hint=f"Give it one with --models.NAME.heads {name}"
        )
    weight, bias = weights[f"{PREFIX}{name}.weight"], weights[f"{PREFIX}{name}.bias"]
    with torch.autocast(hidden.device.type, enabled=False):
        return F.linear(hidden.float(), weight, bias)[..., 0]


def save_heads(module: Any, directory: Path) -> None:
    """Write a module's heads beside a checkpoint: heads/NAME.safetensors, nothing without any."""
    for name in heads_of(module):
        place = directory / "heads"
        place.mkdir(parents=True, exist_ok=True)
        tensors = {
            n: t.detach().cpu().contiguous() for n, t in module.heads[name].named_parameters()
        }
        save_file(tensors, place / f"{name}.safetensors")


def load_heads(module: Any, directory: Path) -> None:
    """Read the heads that `save_heads` wrote; those without a file stay as they are.

    ModelError where a file does not fit the model.
    """
    for name in heads_of(module):
        path = directory / "heads" / f"{name}.safetensors"
        if not path.is_file():
            continue
        linear = module.heads[name]
        try:
            linear.load_state_dict(load_file(path))
        except Exception as error:
            first = " ".join(str(error).split())
            raise ModelError(
                f"cannot read the head {path}",
                expected=f"weight {tuple(linear.weight.shape)} and bias (1,)",
                found=first[:160],
                hint="Export the model again, or delete the file to begin at zero",
            ) from error
        if not all(bool(torch.isfinite(p).all()) for p in linear.parameters()):
            raise ModelError(f"the head {path} is broken", expected="finite numbers", found="NaN")
