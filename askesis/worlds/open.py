"""From what a person types to a world.

countdown                      the latest version
countdown-v1                   that version
countdown?difficulty=0.5       with options
reasoning_gym:basic_arithmetic an adapter with its argument
jsonl:questions.jsonl?answer=solution&kind=numeric
my_file.py:my_world            a class, function or instance in your own file
anything                       an entry point of the group "askesis.worlds"
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import Any

from askesis.config import find
from askesis.errors import ConfigError, WorldError, nearest
from askesis.specs import make, split_options
from askesis.worlds.table import ADAPTERS, WORLDS

_NEEDED = ("id", "truth", "num_canonical", "max_answer_tokens")
_METHODS = ("draw", "canonical", "verify", "demonstrate")


def open_world(spec: str) -> Any:
    """The world behind a name (see the head of this file for what can be written).

    Raises WorldError, with the nearest name where there is no such world.
    """
    if not isinstance(spec, str) or not spec.strip():
        raise WorldError("a world's name is empty", hint=nearest("", WORLDS))
    text, options = split_options(spec.strip(), "world", WorldError)
    head, colon, argument = text.partition(":")
    if re.search(r"\.py(:|$)", text):
        return _outside(text, options)
    if head in ADAPTERS:
        if not argument:
            raise WorldError(f"world {head!r} needs an argument", hint=f"Type {head}:NAME_OR_PATH")
        return _make(spec, WORLDS[head].load(), (argument,), options)
    if not colon:
        name = latest(text)
        if name in WORLDS:
            return _make(spec, WORLDS[name].load(), (), options)
    for entry in entry_points(group="askesis.worlds"):
        if entry.name in (text, head):
            argument_of = (argument,) if entry.name != text else ()
            return _made(spec, entry.load(), argument_of, options)
    if re.search(r"\.(jsonl|json|parquet)$", text):
        kind = "parquet" if text.endswith("parquet") else "jsonl"
        raise WorldError(f"there is no world {text!r}", hint=f"Did you mean '{kind}:{text}'?")
    known = [
        *WORLDS,
        *(name.rpartition("-v")[0] for name in WORLDS if "-v" in name),
        *(e.name for e in entry_points(group="askesis.worlds")),
    ]
    raise WorldError(f"there is no world {text!r}", hint=nearest(head, known))


def latest(name: str) -> str:
    """The row a name without version stands for: the one with the highest version.

    >>> latest("countdown"), latest("countdown-v1")
    ('countdown-v1', 'countdown-v1')
    """
    versions = [
        (int(row.rpartition("-v")[2]), row)
        for row in WORLDS
        if row.rpartition("-v")[0] == name and row.rpartition("-v")[2].isdigit()
    ]
    return max(versions)[1] if versions else name


def _outside(text: str, options: dict[str, str]) -> Any:
    if ".py:" not in text:
        raise WorldError(f"{text!r} names a file but no world", hint=f"Type {text}:my_world")
    try:
        found = find(text)
    except ConfigError as error:
        raise WorldError(str(error)) from error
    return _made(text, found, (), options)


def _made(spec: str, found: Any, arguments: tuple[str, ...], options: dict[str, str]) -> Any:
    """A class or function is called; an instance must already be a world."""
    if isinstance(found, type) or (callable(found) and not hasattr(found, "draw")):
        found = _make(spec, found, arguments, options)
    elif options:
        raise WorldError(f"{spec!r} is a finished world and takes no options")
    _must_be_world(spec, found)
    return found


def _make(spec: str, maker: Any, arguments: tuple[str, ...], options: dict[str, str]) -> Any:
    return make(spec, "world", WorldError, maker, arguments, options)


def _must_be_world(spec: str, world: Any) -> None:
    missing = [n for n in _NEEDED if not hasattr(world, n)]
    missing += [f"{n}()" for n in _METHODS if not callable(getattr(world, n, None))]
    if missing:
        raise WorldError(
            f"{spec!r} is no world: it lacks {', '.join(missing)}",
            found=type(world).__name__,
            hint="docs/add-a-world.md shows a complete one",
        )
