"""Which transformers module speaks for which set of weights.

A set is the model itself, another entry over the same base, or a pinned copy. Sets that are
adapters on one base speak through one module that holds them all, so rows of several fit in one
batch (peft picks the adapter row by row); sets of full weights have a module each.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from askesis.errors import ModelError, nearest
from askesis.models.adapters import is_adapter, plain_module, rank_of, settings
from askesis.models.decoder import Decoder
from askesis.models.heads import is_head
from askesis.models.sharing import transformers_module

BASE = "__base__"  # peft's word for rows without an adapter


@dataclass(frozen=True, slots=True)
class Speaker:
    """A module, and which of its adapters a row wants ("" where the module has no choice)."""

    module: Any
    adapter: str = ""


@dataclass(slots=True)
class _Set:
    """An entry that may learn on (`model`), or weights that stay (`pinned`)."""

    model: Any = None
    pinned: Mapping[str, torch.Tensor] | None = None
    module: Any = None  # over the tensors of `model`, or a private copy
    made_of: int = 0  # address of the tensors it was made over
    adapters: bool = False  # whether it is adapters on the base of the engine's own model
    label: str = ""  # its adapter in the module of all adapters


class WeightSets:
    """The sets of one engine by name; "" is the engine's own model until weights are loaded."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._sets = {"": _Set(model, adapters=model.adapters)}
        self._many: Any = None  # the module of all adapters, over the model's base
        self._num_labels = 0

    @property
    def heads(self) -> frozenset[str]:
        """Heads that some set has."""
        found: set[str] = set()
        for entry in self._sets.values():
            if entry.pinned is None:
                found.update(entry.model.heads)
            else:
                found.update(n.split(".")[1] for n in entry.pinned if is_head(n))
        return frozenset(found)

    def load(self, weights: Mapping[str, torch.Tensor], name: str) -> None:
        """Keep a copy of weights under a name: all of a model, or adapters on the base."""
        self.drop(name)
        pinned = {n: t.detach().clone() for n, t in weights.items()}
        entry = _Set(pinned=pinned, adapters=bool(rank_of(pinned)))
        if not entry.adapters:
            entry.module = copy.deepcopy(self._module(_Set(self.model)))
            own = dict(entry.module.named_parameters()) | dict(entry.module.named_buffers())
            with torch.no_grad():
                for key in [n for n in pinned if not is_head(n)]:
                    own[key].copy_(pinned.pop(key))
        self._sets[name] = entry

    def attach(self, model: Any, name: str) -> None:
        """Follow another entry under a name."""
        self.drop(name)
        on_base = model.adapters and model.base_id == self.model.base_id
        self._sets[name] = _Set(model, adapters=on_base)

    def drop(self, name: str) -> None:
        """Forget a set; nothing where there is none."""
        gone = self._sets.pop(name, None)
        if gone is None or not gone.label:
            return
        others = [entry.label for entry in self._sets.values() if entry.label]
        if others:
            self._many.set_adapter(others[0])  # peft warns when what it calls active is deleted
            self._many.delete_adapter(gone.label)
        else:
            self._many = None

    def close(self) -> None:
        """Let go of everything but the model itself."""
        own = _Set(self.model, adapters=self.model.adapters)
        self._sets, self._many = {"": own}, None

    def speakers(self, names: Iterable[str]) -> dict[str, Speaker]:
        """Who speaks for the sets that a batch names. ModelError for a name nobody loaded."""
        wanted = {name: self._find(name) for name in dict.fromkeys(names)}
        adapted = [entry for entry in wanted.values() if entry.adapters]
        if len(wanted) == 1 and adapted and adapted[0].pinned is None:
            adapted = []  # its own module has these adapters and no others
        for entry in adapted:
            self._put(entry)
        found = {}
        for name, entry in wanted.items():
            if adapted and entry.adapters:
                found[name] = Speaker(self._many, entry.label)
            elif adapted and entry.pinned is None and entry.model is self.model:
                found[name] = Speaker(self._many, BASE)
            else:
                found[name] = Speaker(self._module(entry))
        return found

    def read_head(self, name: str, head: str, hidden: torch.Tensor) -> torch.Tensor:
        """What a head of a set says of hidden states (N, width): float32 (N,)."""
        entry = self._find(name)
        return (entry.model or self.model).read_head(head, hidden, entry.pinned)

    # ------------------------------------------------------------ modules

    def _find(self, name: str) -> _Set:
        if name not in self._sets:
            raise ModelError(f"the engine has no weights {name!r}", hint=nearest(name, self._sets))
        return self._sets[name]

    def _module(self, entry: _Set) -> Any:
        """The module of a set that needs no choice of adapter."""
        if entry.pinned is not None:
            return entry.module
        module = entry.model.module
        if not isinstance(module, Decoder):
            return module
        if entry.module is None or entry.made_of != module.head.data_ptr():
            entry.module = transformers_module(module, entry.model.config)
            entry.made_of = module.head.data_ptr()
        return entry.module

    def _put(self, entry: _Set) -> None:
        """See to it that the module of all adapters has those of a set."""
        from peft import get_peft_model

        if entry.label:
            return
        weights = entry.pinned if entry.pinned is not None else entry.model.weights()
        self._num_labels += 1
        entry.label = f"set_{self._num_labels}"
        wanted = settings(rank_of(weights))
        with torch.inference_mode(False), torch.random.fork_rng():
            if self._many is None:
                base = plain_module(self.model, detached=True)
                self._many = get_peft_model(base, wanted, adapter_name=entry.label).eval()
            else:
                self._many.add_adapter(entry.label, wanted)
            for name, tensor in weights.items():
                if is_adapter(name):
                    layer = name.removesuffix(".weight").replace(".default", f".{entry.label}")
                    # The very memory of the entry, so that what it learns is seen here.
                    self._many.get_submodule(layer).weight = nn.Parameter(tensor.detach(), False)
