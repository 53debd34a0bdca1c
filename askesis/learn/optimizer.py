"""The optimiser of a model: made, kept between rounds, or begun anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from askesis.errors import ConfigError


def default_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: matrices decay, vectors (norms, biases) do not."""
    trained = [p for p in model.module.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2]
    vectors = [p for p in trained if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def open_optimizer(
    model: Any,
    *,
    betas: tuple[float, float],
    weight_decay: float,
    groups: Sequence[dict[str, Any]] = (),
) -> torch.optim.Optimizer:
    """AdamW for a model (Loshchilov and Hutter 2019), continuing its state where it has one.

    groups: parameter groups of a retainer, in place of the default ones; a group's `lr_factor`
    (default 1) scales the learning rate of its parameters. Settings are always the caller's;
    only the moments and step counts come from a kept state. Raises ConfigError where a kept
    state does not fit the groups.
    """
    made = [dict(g) for g in groups] or default_groups(model, weight_decay)
    if not made:
        raise ConfigError(
            f"model {model.name!r} has nothing to train",
            hint="set models.NAME.trainable to true, or give it adapters with lora-rank",
        )
    optimizer = model.optimizer
    if optimizer is None or not _same_parameters(optimizer.param_groups, made):
        optimizer = _make(model, made)
    for group, new in zip(optimizer.param_groups, made, strict=True):
        group["betas"] = betas
        group["weight_decay"] = new.get("weight_decay", weight_decay)
        group["lr_factor"] = new.get("lr_factor", 1.0)
    model.optimizer, model.optimizer_state = optimizer, None
    return optimizer


def _make(model: Any, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """A new optimiser with the moments of the old one, where there was one."""
    state = model.optimizer.state_dict() if model.optimizer is not None else model.optimizer_state
    # One fused kernel for all parameters: measured 3.5 to 5 times as fast as the loop over
    # tensors for a million parameters on CPU (0.7 against 2.6 ms a step).
    optimizer = torch.optim.AdamW([{"params": g["params"]} for g in groups], lr=0.0, fused=True)
    if state is not None:
        try:
            optimizer.load_state_dict(state)
        except ValueError as error:
            raise ConfigError(
                f"the kept optimiser of model {model.name!r} does not fit its parameters ({error})",
                hint=f"begin it anew with --learn.{model.name}.optimizer reset",
            ) from None
    return optimizer


def _same_parameters(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> bool:
    """Whether two lists of groups hold the same tensors in the same order."""
    return [[id(p) for p in g["params"]] for g in old] == [
        [id(p) for p in g["params"]] for g in new
    ]


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """The same learning rate for every group, times the group's own `lr_factor`."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("lr_factor", 1.0)


def num_made(optimizer: torch.optim.Optimizer) -> int:
    """How many updates an optimiser has made in its life, over rounds and restarts."""
    steps = [int(state["step"]) for state in optimizer.state.values() if "step" in state]
    return max(steps, default=0)
