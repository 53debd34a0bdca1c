"""Options that a recipe has, as a person types them: dotted paths and their values.

What options there are depends on the recipe, so no parser can know them beforehand. This one
splits the words; `askesis.lab.begin.plan_for` decides what they mean.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from askesis.config import ALIASES, PREFIXES, paths, to_tree
from askesis.errors import ConfigError, nearest
from askesis.plan import Parts, Plan, slot_names

Option = tuple[str, str]


def split(words: Sequence[str]) -> tuple[list[str], list[Option]]:
    """(what stands alone, the options in order) of a command line.

    `--name value`, `--name=value` and `--set path=value` are options; a name followed by another
    option or by nothing is a switch, with the value "true". `-o` and `-h` are short for `--out`
    and `--help`. Raises ConfigError for a `--set` without "=".
    """
    alone: list[str] = []
    options: list[Option] = []
    rest = list(words)
    while rest:
        word = {"-o": "--out", "-h": "--help"}.get(rest[0], rest[0])
        rest.pop(0)
        if not word.startswith("--") or word == "--":
            alone.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if not equals and name not in SWITCHES:
            value = "true" if not rest or _is_option(rest[0]) else rest.pop(0)
        elif not equals:
            value = "true"
        if name == "set":
            name, equals, value = value.partition("=")
            if not equals:
                raise ConfigError(
                    "--set takes a path and a value",
                    expected="--set explore.num-attempts=16",
                    found=f"--set {name}",
                )
        options.append((name, value))
    return alone, options


SWITCHES = frozenset({"dry-run", "help", "plain", "no-run"})


def _is_option(word: str) -> bool:
    return word.startswith("--") or word in ("-o", "-h")


def take(options: Sequence[Option], *names: str) -> tuple[dict[str, str], list[Option]]:
    """The options with these names (the last of each counts), and all others."""
    taken = {name: value for name, value in options if name in names}
    return taken, [(name, value) for name, value in options if name not in names]


def seconds(name: str, text: str) -> float:
    """A duration or another number of at least zero. Raises ConfigError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigError(f"option --{name}", expected="a number of at least 0", found=repr(text))
    return value


def whole(name: str, text: str, least: int = 1) -> int:
    """A whole number of at least `least`. Raises ConfigError."""
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise ConfigError(
            f"option --{name}", expected=f"a whole number of at least {least}", found=repr(text)
        )
    return int(text)


def refuse(options: Sequence[Option], command: str, known: Sequence[str]) -> None:
    """Raise ConfigError for options that a command without a recipe does not have."""
    for name, _ in options:
        hint = nearest(name, known) if known else f"{command} takes no options"
        raise ConfigError(f"{command} has no option {'--' + name!r}", hint=hint)


# ---------------------------------------------------------------- what a recipe has


def defaults(plan: Plan, recipe: Callable[..., Any] | Plan) -> list[tuple[str, str]]:
    """Every option of a recipe with its default, both as a person would type them."""
    found: list[tuple[str, str]] = []
    if not isinstance(recipe, Plan):
        for name, argument in inspect.signature(recipe).parameters.items():
            found.append((name.replace("_", "-"), shown(argument.default)))
    for path in paths(plan):
        found.append((path.replace("_", "-"), shown(value_at(plan, path))))
    return found


def shown(value: Any) -> str:
    """A value as it is typed. Values that nobody types are described."""
    if value is inspect.Parameter.empty or value is MISSING:
        return "(must be given)"
    if is_dataclass(value):
        return type(value).__name__
    if isinstance(value, tuple | list) and not any(is_dataclass(_first(v)) for v in value):
        return ",".join(shown(v) for v in value) or "(none)"
    if isinstance(value, tuple | list):
        return ", ".join(type(_first(v)).__name__ for v in value)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if callable(value):
        return str(to_tree(value)["name"])
    return str(value) if value != "" else '""'


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value


def value_at(plan: Plan, path: str) -> Any:
    """The value behind a dotted path, in the first phase that has it; None where there is none."""
    head, _, rest = path.partition(".")
    if not rest:
        path = ALIASES.get(head, path)
    elif head in PREFIXES:
        path = f"{PREFIXES[head]}.{rest}"
    steps = path.split(".")
    roots: list[Any] = [plan]
    for phase in plan.phases:
        roots += [phase, phase.parts]
    for root in roots:
        try:
            return _walk(root, steps)
        except LookupError:
            continue
    return None


def _walk(value: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if isinstance(value, Parts | dict):
            value = next(iter(value.values())) if step == "*" else value[step]
        elif isinstance(value, tuple):
            names = slot_names(value)
            if step not in names:
                raise LookupError(step)
            value = value[names.index(step)]
        elif is_dataclass(value) and step in {f.name for f in fields(value)}:
            value = getattr(value, step)
        else:
            raise LookupError(step)
    return value


def directory_name(plan: Plan, recipe: str) -> str:
    """`star-countdown-s1`: where a run lies by default, below `runs/`."""
    name = recipe.rpartition(":")[2] if ":" in recipe else plan.recipe
    world = plan.worlds.get("main") or next(iter(plan.worlds.values()), "no-world")
    kind, _, where = world.partition(":")
    short = f"{kind}-{Path(where).stem}" if kind in ("jsonl", "parquet") and where else world
    if kind.endswith(".py"):
        short = where
    return f"{_plain(name)}-{_plain(short)}-s{plan.seed}"


def _plain(text: str) -> str:
    made = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "-" for c in text)
    return made.strip("-.")[:60] or "run"
