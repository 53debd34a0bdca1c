"""What the parts of a search share: options that fit, and parts by their names."""

from __future__ import annotations

from typing import Any

from askesis.errors import ConfigError
from askesis.registry import look_up
from askesis.specs import make, split_options

PREFIX = "search."


def part_of(value: Any, method: str) -> Any:
    """A part of a search, as it is or by name: "puct", "puct?exploration_coef=2".

    Raises ConfigError where there is no such part, or one that does something else than `method`.
    """
    if not isinstance(value, str):
        found = value
    else:
        name, options = split_options(value, "search part", ConfigError)
        full = name if ":" in name or name.startswith(PREFIX) else PREFIX + name
        found = make(name, "search part", ConfigError, look_up("part", full), (), options)
    if not hasattr(found, method):
        raise ConfigError(
            f"{type(found).__name__} is no part that can stand here",
            expected=f"one with `{method}`",
            found=repr(value),
            hint="docs/search.md lists which part does what",
        )
    return found
