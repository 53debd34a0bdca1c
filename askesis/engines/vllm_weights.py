"""Which weights vLLM speaks with, and how they get there.

A set of weights is a model that may learn on, or a pinned copy. Where adapters are served as
such, vLLM holds the base once and a directory per adapter; otherwise sets take turns in place.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from askesis.errors import ModelError
from askesis.models.adapters import SCALE, is_adapter, merged_weights, rank_of
from askesis.models.heads import is_head

OWN_HEAD = ("llama", "mistral", "qwen2", "qwen3")  # shapes that read a head of their own
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"

_NUMBERS = itertools.count(1)


class WeightSet:
    """One set of weights by name.

    pinned: a copy to speak with whatever the model learns; None follows the model. rank: of the
    adapters where it is served as adapters over the base, 0 where it is served whole. layers: the
    kinds of matrices that are adapted ("q_proj").
    """

    def __init__(
        self, model: Any, pinned: Mapping[str, torch.Tensor] | None = None, *, merge: bool = False
    ) -> None:
        self.model, self._number = model, next(_NUMBERS)
        self.pinned = None
        if pinned is not None:
            self.pinned = {name: tensor.detach().clone() for name, tensor in pinned.items()}
        own = self._own()
        self.rank = 0 if merge else rank_of(own)
        self.layers = frozenset(
            n.split(".lora_")[0].rsplit(".", 1)[1] for n in own if is_adapter(n)
        )
        self.told: Any = None  # the state that vLLM last got
        self.label = ""  # under which vLLM has the adapters

    def _own(self) -> Mapping[str, torch.Tensor]:
        own: Mapping[str, torch.Tensor] = self.model.weights()
        return own if self.pinned is None else self.pinned

    def state(self) -> tuple[Any, ...]:
        """What differs as soon as a weight was changed, in place or by another tensor."""
        if self.pinned is not None:
            return ("pinned", self._number)
        parameters = self.model.module.parameters()
        return (self.model.version, *((p.data_ptr(), p._version) for p in parameters))

    def base(self) -> tuple[Any, ...]:
        """What whole weights it needs in vLLM; equal for adapters over one base and for the base.

        It differs as soon as these weights were changed.
        """
        if not self.rank and (self.pinned is not None or getattr(self.model, "adapters", False)):
            return (self._number, *self.state())
        tensors = self.whole().values()
        version = self.model.version if self.model.trainable and not self.rank else 0
        return (0, version, frozenset((t.data_ptr(), t._version) for t in tensors))

    def whole(self) -> dict[str, torch.Tensor]:
        """All weights in Hugging Face names; adapters merged in, or left out where they are
        served as such."""
        if self.rank:
            return merged_weights(self.model, {})
        if getattr(self.model, "adapters", False):
            return merged_weights(self.model, self.pinned)
        return {n: t for n, t in self._own().items() if not is_head(n)}

    def save_adapters(self, directory: Path) -> None:
        """Write the adapters in the layout of peft."""
        directory.mkdir(parents=True)
        own = {n: t for n, t in self._own().items() if is_adapter(n)}
        _check_numbers(own)
        tensors = {
            n.replace(".default.", "."): t.detach().cpu().contiguous() for n, t in own.items()
        }
        save_file(tensors, directory / "adapter_model.safetensors", metadata={"format": "pt"})
        settings = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": self.rank,
            "lora_alpha": SCALE * self.rank,
            "target_modules": sorted(self.layers),
            "bias": "none",
        }
        (directory / "adapter_config.json").write_text(json.dumps(settings))


def checkpoint(model: Any, whole: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What vLLM is given of weights: finite, and with a head of its own.

    vLLM's CPU build packs the head apart from the embedding it is tied to and does not pack it
    anew when weights are replaced in place (0.32), so a tied head is written out.
    """
    _check_numbers(whole)
    found = {name: tensor.detach().contiguous() for name, tensor in whole.items()}
    if _own_head(model) and HEAD not in found:
        found[HEAD] = found[EMBEDDING]
    return found


def save_checkpoint(model: Any, whole: Mapping[str, torch.Tensor], directory: Path) -> None:
    """A directory in Hugging Face layout that vLLM loads."""
    directory.mkdir(parents=True, exist_ok=True)
    found = checkpoint(model, whole)
    save_weights(found, directory)
    model.config.save_pretrained(directory)
    path = directory / "config.json"
    plain = json.loads(path.read_text())
    plain["dtype"] = str(next(iter(found.values())).dtype).removeprefix("torch.")
    if _own_head(model):
        plain["tie_word_embeddings"] = False
    path.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n")
    if getattr(model, "tokenizer", None) is not None:
        model.tokenizer.save_pretrained(directory)


def save_weights(tensors: Mapping[str, torch.Tensor], directory: Path) -> None:
    """The weights alone; tensors that share memory are written out each."""
    seen: set[int] = set()
    plain = {}
    for name, tensor in tensors.items():
        there = tensor.detach().cpu().contiguous()
        plain[name] = there.clone() if there.data_ptr() in seen else there
        seen.add(there.data_ptr())
    save_file(plain, directory / "model.safetensors", metadata={"format": "pt"})


def _own_head(model: Any) -> bool:
    return getattr(model.config, "model_type", "") in OWN_HEAD


def _check_numbers(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                "the model's weights are not numbers",
                expected="finite weights",
                found=f"NaN or infinity in {name}",
                hint="The weights are broken: load an earlier snapshot or lower the learning rate",
            )
