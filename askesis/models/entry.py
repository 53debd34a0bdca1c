"""What every row of the table of models shares: weights, optimiser, saving and loading exactly.

A training state is a directory with `weights.safetensors`, `optimizer.safetensors`,
`optimizer.json` and `state.json`. Nothing is pickled, and a loaded state continues to the same
bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from askesis.errors import RunError


class Entry:
    """A model by name. Implements `askesis.protocols.Model` for any torch module.

    `version` rises whenever the weights change outside a forward pass; engines compare it.
    `optimizer` is None until a learner makes one; a loaded optimiser state waits in
    `optimizer_state` for the learner that makes the optimiser again.
    """

    def __init__(
        self, name: str, module: Any, renderer: Any = None, trainable: bool = True
    ) -> None:
        self.name, self.module, self.renderer, self.trainable = name, module, renderer, trainable
        self.optimizer: Any = None
        self.optimizer_state: dict[str, Any] | None = None
        self.version = 0

    def weights(self) -> Mapping[str, torch.Tensor]:
        """Name -> tensor, by reference. Tied tensors appear once."""
        seen: dict[int, str] = {}
        found: dict[str, torch.Tensor] = {}
        if self.module is None:
            return found
        for name, tensor in self.module.state_dict().items():
            if tensor.data_ptr() and tensor.data_ptr() in seen:
                continue
            seen[tensor.data_ptr()] = name
            found[name] = tensor
        return found

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Copy weights in, in place, and raise the version."""
        own = self.weights()
        with torch.no_grad():
            for name, tensor in weights.items():
                own[name].copy_(tensor)
        self.version += 1

    def copy_weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights that later learning does not touch."""
        return {name: tensor.detach().clone() for name, tensor in self.weights().items()}

    def copy_optimizer(self) -> dict[str, Any] | None:
        """A copy of the optimiser's state, or None where there is none yet."""
        state = self.optimizer.state_dict() if self.optimizer is not None else self.optimizer_state
        return None if state is None else _cloned(state)

    def load_optimizer(self, state: dict[str, Any] | None) -> None:
        """Continue with this optimiser state (None: the next learner begins anew)."""
        self.optimizer, self.optimizer_state = None, None if state is None else _cloned(state)

    def save(self, directory: Path) -> None:
        """Write the weights alone."""
        directory.mkdir(parents=True, exist_ok=True)
        save_file(_contiguous(self.weights()), directory / "model.safetensors")

    def save_state(self, directory: Path) -> None:
        """Write all that is needed to continue exactly: weights and optimiser."""
        directory.mkdir(parents=True, exist_ok=True)
        save_file(_contiguous(self.weights()), directory / "weights.safetensors")
        self.save_optimizer_state(self.copy_optimizer(), directory / "optimizer")
        (directory / "state.json").write_text(json.dumps({"version": self.version}))

    @staticmethod
    def save_optimizer_state(state: dict[str, Any] | None, path: Path) -> None:
        """Write an optimiser's state as `path`.safetensors and `path`.json."""
        tensors: dict[str, torch.Tensor] = {}
        plain = None if state is None else _flatten(state, "o", tensors)
        save_file(_contiguous(tensors), path.with_name(path.name + ".safetensors"))
        path.with_name(path.name + ".json").write_text(json.dumps(plain))

    @staticmethod
    def load_optimizer_state(path: Path) -> dict[str, Any] | None:
        """What `save_optimizer_state` wrote."""
        plain = json.loads(path.with_name(path.name + ".json").read_text())
        tensors = load_file(path.with_name(path.name + ".safetensors"))
        return None if plain is None else _unflatten(plain, tensors)

    def load_state(self, directory: Path) -> None:
        """Continue from `save_state`. Raises RunError where the state does not fit the model."""
        weights = load_file(directory / "weights.safetensors")
        own = self.weights()
        if set(weights) != set(own) or any(weights[k].shape != own[k].shape for k in own):
            raise RunError(
                f"the saved state of model {self.name!r} does not fit it",
                expected=f"{len(own)} tensors as in the configuration",
                found=f"{len(weights)} tensors in {directory}",
                hint="was the model's source changed since the run began?",
            )
        self.load(weights)
        self.load_optimizer(self.load_optimizer_state(directory / "optimizer"))
        self.version = int(json.loads((directory / "state.json").read_text())["version"])


def _contiguous(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def _cloned(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: _cloned(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_cloned(v) for v in value)
    return value


def _flatten(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Plain JSON with tensors moved out to `tensors`; keeps integer keys and tuples apart."""
    if isinstance(value, torch.Tensor):
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, dict):
        items = [[k, _flatten(v, f"{path}.{k}", tensors)] for k, v in value.items()]
        return {"dict": items}
    if isinstance(value, list | tuple):
        inner = [_flatten(v, f"{path}.{i}", tensors) for i, v in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": inner}
    return {"plain": value}


def _unflatten(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {k: _unflatten(v, tensors) for k, v in inner}
    if kind == "list":
        return [_unflatten(v, tensors) for v in inner]
    if kind == "tuple":
        return tuple(_unflatten(v, tensors) for v in inner)
    return inner
