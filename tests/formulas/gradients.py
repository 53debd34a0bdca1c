"""Numbers to try formulas on, and gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

torch.set_num_threads(1)


def drawn(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> Tensor:
    """float64, uniform in [low, high), the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=torch.float64, generator=generator) * (high - low) + low


def agrees_with_finite_differences(formula: Callable[..., Tensor], *inputs: Tensor) -> bool:
    """Whether autograd's gradient of a formula is the one of central differences in float64."""
    return torch.autograd.gradcheck(formula, [x.clone().requires_grad_() for x in inputs])


def gradient(formula: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """d formula(x).sum() / dx."""
    x = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(formula(x).sum(), x)
    return found
