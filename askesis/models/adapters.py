"""Low-rank adapters (Hu et al. 2021) through peft: train a few weights beside frozen ones.

Several models may have adapters on one base, which is in memory once: each is a module of its own
over the same frozen tensors (`over_base`). So each trains, saves, pins and exports its own
adapters, and no switch in a shared module can be forgotten.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from askesis.errors import ModelError
from askesis.models.decoder import Decoder
from askesis.models.heads import is_head
from askesis.models.sharing import transformers_module, twin

SCALE = 2  # lora_alpha / rank: what the product of the two matrices is multiplied with
WRAPPED = "base_model.model."  # what peft puts before every name
PARTS = (".lora_A.default.weight", ".lora_B.default.weight")


def with_adapters(module: Any, rank: int, seed: int = 0) -> Any:
    """The module with rank-`rank` adapters on all its linear layers but the head.

    The first adapter weights are a function of `seed`; they change nothing yet. Raises
    ModelError where peft is not installed.
    """
    peft = _peft()
    with torch.random.fork_rng():  # peft draws from the global generator
        wrapped = peft.get_peft_model(module, settings(rank))
    _initialise(wrapped, seed)
    return wrapped


def settings(rank: int) -> Any:
    """What peft is told about adapters of a rank; every engine that serves them needs the same."""
    if rank < 1:
        raise ModelError("lora_rank must be positive", found=str(rank))
    return _peft().LoraConfig(
        r=rank,
        lora_alpha=SCALE * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        init_lora_weights=True,
    )


def over_base(base: Any, rank: int, seed: int = 0) -> Any:
    """A module with new adapters over the weights of another entry, which are not copied.

    Raises ModelError where that entry learns those weights itself.
    """
    if base.trainable and not base.adapters:
        raise ModelError(
            f"model {base.name!r} learns all its weights, so no adapters can sit on them",
            expected="a base that is frozen or has adapters itself",
            hint=f"--models.{base.name}.trainable false, or --models.{base.name}.lora-rank {rank}",
        )
    return with_adapters(plain_module(base), rank, seed)


def plain_module(model: Any, *, detached: bool = False) -> Any:
    """A transformers module over a model's weights, without its adapters and heads.

    See `askesis.models.sharing.twin` for `detached`.
    """
    if isinstance(model.module, Decoder):
        module = transformers_module(model.module, model.config)
        return twin(module, detached=True) if detached else module
    module = twin(model.module, detached=detached)
    return module.unload() if model.adapters else module


def is_adapter(name: str) -> bool:
    """Whether a weight of a module belongs to an adapter, by its name."""
    return "lora_" in name


def rank_of(weights: Mapping[str, torch.Tensor]) -> int:
    """The rank of the adapters among weights; 0 where there are none."""
    return next((t.shape[0] for name, t in weights.items() if name.endswith(PARTS[0])), 0)


def merged(model: Any) -> Any:
    """The transformers module of a model with its adapters merged in; the model stays as it is."""
    module = model.module
    if not model.adapters:
        return module
    return copy.deepcopy(module).merge_and_unload()


@torch.no_grad()
def merged_weights(
    model: Any, pinned: Mapping[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """All weights of a model under their Hugging Face names, adapters merged in.

    pinned: weights to take instead of the model's own, all of them or adapters alone (which may
    be of another model over the same base). Adapted matrices are new tensors, base + SCALE B A,
    all others the model's or the pinned ones. Nothing of the model is touched.
    """
    chosen = model.weights() if pinned is None else pinned
    found = {n: t for n, t in chosen.items() if not is_adapter(n) and not is_head(n)}
    for name, tensor in model.module.state_dict().items():
        if is_adapter(name) or is_head(name):
            continue
        found.setdefault(name.removeprefix(WRAPPED).replace(".base_layer.", "."), tensor)
    for name, a in chosen.items():
        if not name.endswith(PARTS[0]):
            continue
        layer = name.removesuffix(PARTS[0])
        own = layer.removeprefix(WRAPPED) + ".weight"
        change = chosen[layer + PARTS[1]].float() @ a.float()
        place = _place(model.module, layer)
        if type(getattr(place, "base_layer", place)).__name__ == "Conv1D":
            change = change.T  # GPT-2 keeps its matrices as (inputs, outputs)
        change *= getattr(place, "scaling", {}).get("default", SCALE)
        base = found[own]
        found[own] = (base.float() + change.to(base.device)).to(base.dtype)
    return found


def _place(module: Any, layer: str) -> Any:
    """The module that peft calls `layer`, in a module with adapters or in one without."""
    inner = module if hasattr(module, "peft_config") else None
    return (inner or module).get_submodule(layer if inner else layer.removeprefix(WRAPPED))


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise ModelError(
            "adapters need the library peft, which is not installed",
            hint="pip install 'askesis[adapters]'",
        ) from None
    return peft


def _initialise(module: Any, seed: int) -> None:
    """Draw the first weights from a generator of our own. B stays zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if "lora_A" in name or "lora_embedding_A" in name:
                bound = parameter.shape[-1] ** -0.5
                noise = torch.rand(parameter.shape, generator=generator) * 2 - 1
                parameter.copy_(noise * bound)
