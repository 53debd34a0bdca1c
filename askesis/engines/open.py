"""From what a person types to an engine.

auto                              the fastest that covers the model
native                            by name
native?dtype=bfloat16&max_rows=64 with options
my_file.py:MyEngine?speed=3       a class in your own file or package
anything                          an entry point of the group "askesis.engines"
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import Any

from askesis.config import find
from askesis.engines.table import AUTOMATIC, ENGINES
from askesis.errors import ConfigError, ModelError, nearest
from askesis.specs import make, split_options


def open_engine(spec: str, model: Any) -> Any:
    """An engine that speaks for a model (see the head of this file for what can be written).

    Raises ModelError for an unknown name or option, and for a model the engine does not cover,
    with the engine that does.
    """
    text, options = split_options(spec.strip(), "engine", ModelError)
    if text == "auto":
        text = automatic(model)
    engine = _class_of(text)
    reason = engine.refusal(model)
    if reason:
        raise ModelError(
            f"engine {text!r} does not cover model {model.name!r}: {reason}",
            hint=f"Use `--engine {automatic(model)}`",
        )
    return make(text, "engine", ModelError, engine, (model,), options)


def automatic(model: Any) -> str:
    """The engine that "auto" stands for: the first of the table that covers the model."""
    for name in AUTOMATIC:
        if not ENGINES[name].load().refusal(model):
            return name
    raise ModelError(f"no engine covers model {model.name!r}", found=type(model).__name__)


def _class_of(text: str) -> Any:
    if text in ENGINES:
        return ENGINES[text].load()
    for entry in entry_points(group="askesis.engines"):
        if entry.name == text:
            return entry.load()
    if re.search(r"\.py:|^[\w.]+:\w+$", text):
        try:
            return find(text)
        except ConfigError as error:
            raise ModelError(str(error)) from error
    raise ModelError(f"there is no engine {text!r}", hint=nearest(text, ["auto", *ENGINES]))
