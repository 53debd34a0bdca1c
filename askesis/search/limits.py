"""What the parts of a search share: options that fit, and parts by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from askesis.errors import ConfigError
from askesis.registry import look_up
from askesis.specs import make, split_options

PREFIX = "search."


def must_fit(part: Any, limits: Mapping[str, tuple[bool, str]]) -> None:
    """Raises ConfigError for the first field whose value does not fit."""
    for name, (fits, expected) in limits.items():
        if not fits:
            raise ConfigError(
                f"{type(part).__name__}.{name} is out of range",
                expected=expected,
                found=repr(getattr(part, name)),
            )


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
