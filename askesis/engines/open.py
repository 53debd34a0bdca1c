"""Which engine speaks for which model."""

from __future__ import annotations

from typing import Any

from askesis.errors import ModelError, nearest

ENGINES = ("auto", "native", "transformers", "scripted", "tabular", "array")


def open_engine(name: str, model: Any) -> Any:
    """An engine by name for one model; "auto" takes the fastest that covers it.

    Raises ModelError for an unknown name or a model the engine does not cover.
    """
    from askesis.models.array_policy import ArrayPolicy
    from askesis.models.scripted import ScriptedModel
    from askesis.models.tabular import TabularModel

    if name not in ENGINES:
        raise ModelError(f"there is no engine {name!r}", hint=nearest(name, ENGINES))
    for kind, own in (
        (ScriptedModel, "scripted"),
        (TabularModel, "tabular"),
        (ArrayPolicy, "array"),
    ):
        if isinstance(model, kind):
            if name not in ("auto", own):
                raise ModelError(
                    f"engine {name!r} does not cover model {model.name!r}", hint=f"use {own!r}"
                )
            return _small(own, model)
    from askesis.models.decoder import Decoder

    if name == "auto":
        name = "native" if isinstance(model.module, Decoder) else "transformers"
    if name == "native":
        from askesis.engines.native import NativeEngine

        return NativeEngine(model)
    from askesis.engines.transformers import TransformersEngine

    return TransformersEngine(model)


def _small(own: str, model: Any) -> Any:
    from askesis.engines.array import ArrayEngine
    from askesis.engines.scripted import ScriptedEngine, TabularEngine

    return {"scripted": ScriptedEngine, "tabular": TabularEngine, "array": ArrayEngine}[own](model)
