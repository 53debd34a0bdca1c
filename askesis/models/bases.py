"""Models that sit on others: adapters of their own over one set of frozen weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from askesis.errors import ModelError, nearest
from askesis.models.adapters import over_base
from askesis.models.language_model import LanguageModel
from askesis.plan import ModelSpec


def opening_order(specs: Mapping[str, ModelSpec]) -> list[str]:
    """Names of the models so that every base comes before what sits on it.

    Raises ModelError for a base that does not exist, that leads back to itself, or whose
    adapters have no rank.
    """
    order: list[str] = []
    for name in specs:
        path: list[str] = []
        at = name
        while at and at not in order:
            if at in path:
                raise ModelError(
                    f"the base of model {name!r} leads back to it",
                    found=" on ".join([*path[path.index(at) :], at]),
                    hint=f"--models.{at}.base '' ends the circle",
                )
            path.append(at)
            base = specs[at].base
            if base and base not in specs:
                raise ModelError(
                    f"model {at!r} sits on {base!r}, which does not exist",
                    hint=nearest(base, specs),
                )
            if base and not specs[at].lora_rank:
                raise ModelError(
                    f"model {at!r} sits on {base!r} but has no adapters",
                    hint=f"--models.{at}.lora-rank 8",
                )
            at = base
        order += reversed(path)
    return order


def open_over(name: str, spec: ModelSpec, base: Any) -> LanguageModel:
    """An entry with adapters (and heads) of its own over the weights of another.

    Raises ModelError where that entry is no language model, or learns those weights itself.
    """
    if not isinstance(base, LanguageModel):
        raise ModelError(
            f"model {name!r} sits on {spec.base!r}, which is no language model",
            found=type(base).__name__,
        )
    model = LanguageModel(
        name,
        over_base(base, spec.lora_rank),
        base.renderer,
        base.config,
        base.tokenizer,
        spec.trainable,
        adapters=True,
        base_id=base.base_id,
    )
    model.add_heads(spec.heads)
    return model
