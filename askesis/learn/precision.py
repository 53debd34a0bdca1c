"""In which numbers a learner multiplies matrices."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from askesis.errors import ConfigError

Precision = Literal["float32", "bfloat16", "auto"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def product_dtype(precision: str, device: torch.device | None) -> torch.dtype | None:
    """What `torch.autocast` is asked for on a device; None leaves products as the weights are.

    "bfloat16" makes the products of the layers in bfloat16: weights and the averages of the
    optimiser stay in float32, and so do log-probabilities and losses. "auto" does so where the
    device multiplies bfloat16 faster than float32: GPUs that have it, and processors with
    avx512_bf16 or amx_bf16. Gradients then differ in the third digit from those of float32, and
    from one kind of machine to another. Raises ConfigError for another name.
    """
    if precision not in PRECISIONS:
        raise ConfigError(
            "precision has a wrong value", expected=" or ".join(PRECISIONS), found=repr(precision)
        )
    if precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16(device)):
        return torch.bfloat16
    return None


def multiplies_bfloat16(device: torch.device | None) -> bool:
    """Whether a device has instructions for products of bfloat16 numbers."""
    if device is None:
        return False
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return False
