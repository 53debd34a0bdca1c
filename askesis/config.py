"""Plans as trees: print them, change them by dotted path, store them, build them again.

A plan is frozen parts all the way down. `to_tree` writes it as plain JSON, `from_tree` builds it
back (every field validated against its annotation), `override` changes one value by the path a
person types (`explore.num-attempts`, `budget.tokens`, `phases.warm.until.rounds`). Only parts in
use are in the tree, so an option of a part that is not there is an unknown key. `Watch` finds
the fields that nothing reads.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, InstanceOf, PydanticUserError, TypeAdapter, ValidationError

from askesis.errors import ConfigError, nearest
from askesis.plan import Parts, Phase, Plan, slot_names

ALIASES = {
    "world": "worlds.main",
    "rounds": "until.rounds",
    "engine": "roles.*.engine",
    "model": "models.policy.source",
}
PREFIXES = {"model": "models.policy", "role": "roles.policy"}


# ---------------------------------------------------------------- trees


def to_tree(value: Any) -> Any:
    """A plan (or any piece of one) as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_tree(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"is": name_of(type(value)), **fields}
    if isinstance(value, Parts):
        return {"is": "parts", **{k: to_tree(v) for k, v in value.items()}}
    if isinstance(value, Mapping):
        return {str(k): to_tree(v) for k, v in value.items()}
    if isinstance(value, list | tuple | frozenset | set):
        return [
            to_tree(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)
        ]
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):
        return {"is": "function", "name": name_of(value)}
    raise TypeError(f"{type(value).__name__} cannot be part of a plan")


def from_tree(tree: Any) -> Any:
    """What `to_tree` wrote, built and validated. Raises ConfigError for what does not fit."""
    if isinstance(tree, list):
        return tuple(from_tree(v) for v in tree)
    if not isinstance(tree, dict):
        return tree
    kind = tree.get("is")
    inner = {k: from_tree(v) for k, v in tree.items() if k != "is"}
    if kind is None:
        return inner
    if kind == "parts":
        return Parts(**inner)
    if kind == "function":
        return find(tree["name"])
    part = find(kind)
    fields = {f.name for f in dataclasses.fields(part)}
    for name in inner:
        if name not in fields:
            raise ConfigError(f"{kind} has no option {name!r}", hint=nearest(name, fields))
    return part(**{k: coerce(part, k, v) for k, v in inner.items()})


def name_of(thing: Any) -> str:
    """`module:qualified name`, by which `find` gets a class or function back."""
    module = thing.__module__
    source = getattr(importlib.import_module(module), "__askesis_file__", None)
    return f"{source or module}:{thing.__qualname__}"


def find(name: str) -> Any:
    """The class or function behind `module:name` or `path/to/file.py:name`."""
    module, _, attribute = name.partition(":")
    found: Any = load_file(Path(module)) if module.endswith(".py") else _import(module)
    for piece in attribute.split("."):
        if not hasattr(found, piece):
            public = [n for n in vars(found) if not n.startswith("_")]
            raise ConfigError(f"{module} has no {piece!r}", hint=nearest(piece, public))
        found = getattr(found, piece)
    return found


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"module {module!r} cannot be imported ({error})") from error


_loaded: dict[Path, Any] = {}


def load_file(path: Path) -> Any:
    """A user's own Python file as a module; loaded once."""
    import importlib.util
    import sys

    where = path.expanduser().resolve()
    if where in _loaded:
        return _loaded[where]
    if not where.is_file():
        raise ConfigError(f"there is no file {path}", hint="give the path of a Python file")
    name = f"askesis_user_{where.stem}"
    spec = importlib.util.spec_from_file_location(name, where)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__askesis_file__"] = str(where)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        kind = type(error).__name__
        raise ConfigError(f"{path} could not be loaded: {kind}: {error}") from error
    _loaded[where] = module
    return module


# ---------------------------------------------------------------- values


def coerce(part: type, name: str, value: Any) -> Any:
    """`value` as the annotation of a part's field (or a function's argument) wants it.

    Text is read as a person types it. Raises ConfigError with both sides.
    """
    hint = typing.get_type_hints(part).get(name, str)
    if isinstance(value, str):
        value = _from_text(hint, value)
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise ConfigError(
            f"option {name} of {part.__name__} has a wrong value",
            expected=_readable(hint),
            found=f"{value!r} ({error.errors()[0]['msg'].lower()})",
        ) from None


def _adapter(hint: Any) -> TypeAdapter[Any]:
    """A validator; classes pydantic knows nothing of are checked by isinstance."""
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a dataclass brings its own configuration
        return TypeAdapter(InstanceOf[hint])


def _readable(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _from_text(hint: Any, text: str) -> Any:
    """What a person typed on the command line, as a Python value for a type."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if union else (hint,)
    if text.lower() in ("none", "null") and (type(None) in options):
        return None
    if int in options and float not in options and str not in options:
        try:
            number = float(text.replace("_", ""))
        except ValueError:
            return text
        return int(number) if number.is_integer() else text
    if str in options:
        return text
    if typing.get_origin(hint) in (tuple, list) and not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


# ---------------------------------------------------------------- overrides


def override(plan: Plan, path: str, value: Any) -> Plan:
    """The plan with one option changed.

    A path that does not begin at the plan is looked for in every phase; it must be in at least
    one. Raises ConfigError with the nearest known path.
    """
    clean = path.strip().lstrip("-").replace("-", "_")
    head, _, rest = clean.partition(".")
    if not rest:
        clean = ALIASES.get(clean, clean)
    elif head in PREFIXES:
        clean = f"{PREFIXES[head]}.{rest}"
    steps = clean.split(".")
    if steps[0] in {f.name for f in dataclasses.fields(Plan)} and steps[0] != "phases":
        return _set(plan, steps, value, clean)
    phases, hits = list(plan.phases), 0
    for i, phase in enumerate(phases):
        inner = steps
        if steps[0] == "phases":
            if len(steps) < 3 or steps[1] not in (phase.name, str(i)):
                continue
            inner = steps[2:]
        try:
            phases[i] = _set(phase, _through_parts(phase, inner), value, clean)
            hits += 1
        except _NoPath:
            continue
    if not hits:
        known = [p.replace("_", "-") for p in paths(plan)]
        raise ConfigError(
            f"there is no option {path!r} in recipe {plan.recipe!r}",
            hint=nearest(clean.replace("_", "-"), known),
        )
    return dataclasses.replace(plan, phases=tuple(phases))


class _NoPath(ConfigError):
    """This piece of the plan has no such path."""


def _through_parts(phase: Phase, steps: list[str]) -> list[str]:
    return ["parts", *steps] if steps[0] in phase.parts else steps


def _set(value: Any, steps: list[str], new: Any, path: str) -> Any:
    """A copy of `value` with what lies at `steps` replaced."""
    step, rest = steps[0], steps[1:]
    if isinstance(value, Parts | Mapping):
        names = list(value) if step == "*" else [step]
        if step not in value and step != "*":
            if step.isidentifier() and not rest and not isinstance(value, Parts):
                return {**value, step: new}
            raise _NoPath(f"there is no option {path!r}", hint=nearest(step, value))
        changed = {n: _set(value[n], rest, new, path) if rest else new for n in names}
        merged = {**value, **changed}
        return Parts(**merged) if isinstance(value, Parts) else merged
    if isinstance(value, tuple):
        names = slot_names(value)
        if step not in names or not rest:
            raise _NoPath(f"there is no option {path!r}", hint=nearest(step, names))
        at = names.index(step)
        return (*value[:at], _set(value[at], rest, new, path), *value[at + 1 :])
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise _NoPath(f"there is no option {path!r}")
    known = {f.name for f in dataclasses.fields(value)}
    if step not in known:
        raise _NoPath(f"there is no option {path!r}", hint=nearest(step, known))
    inner = _set(getattr(value, step), rest, new, path) if rest else coerce(type(value), step, new)
    return dataclasses.replace(value, **{step: inner})


def paths(plan: Plan) -> list[str]:
    """Every dotted path that can be overridden, as a person would type it."""
    found: list[str] = ["world", "rounds", "engine", "model"]
    for name in ("budget", "models", "roles", "worlds"):
        found += list(_walk(getattr(plan, name), name))
    found += ["seed", "alarms"]
    for phase in plan.phases:
        for part, inner in phase.parts.items():
            found += list(_walk(inner, part))
        for stage in ("measure", "retain"):
            found += list(_walk(getattr(phase, stage), stage))
        found += [*_walk(phase.until, "until"), "measure_every"]
    return list(dict.fromkeys(found))


def _walk(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Parts | Mapping):
        for name, inner in value.items():
            yield from _walk(inner, f"{path}.{name}")
    elif isinstance(value, tuple) and any(dataclasses.is_dataclass(v) for v in value):
        for name, inner in zip(slot_names(value), value, strict=True):
            yield from _walk(inner, f"{path}.{name}")
    elif dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            yield from _walk(getattr(value, f.name), f"{path}.{f.name}")
    else:
        yield path


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Dotted paths at which two trees differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for k in dict.fromkeys([*old, *new]):
            inner = f"{path}.{k}" if path else k
            found += differences(old.get(k), new.get(k), inner)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            d
            for i, pair in enumerate(zip(old, new, strict=True))
            for d in differences(*pair, path=f"{path}.{i}")
        ]
    return [] if old == new else [f"{path} ({old!r} -> {new!r})"]


# ---------------------------------------------------------------- options nothing reads


class Watch:
    """Finds the fields of parts that nothing read. A part that was not called is not blamed.

    While watching, a part's class is a subclass that notes which fields are read. A field whose
    metadata has `lazy=True` may stay unread (it matters only in some rounds).
    """

    def __init__(self, slots: list[tuple[str, Any]]) -> None:
        self.parts = [(slot, part, type(part)) for slot, part in slots]
        self.read: dict[int, set[str]] = {id(part): set() for _, part, _ in self.parts}
        for _, part, kind in self.parts:
            object.__setattr__(part, "__class__", _watched(kind, self.read[id(part)]))

    def stop(self) -> list[str]:
        """Give the parts their classes back; the dotted names of fields that nobody read."""
        unread = []
        for slot, part, kind in self.parts:
            object.__setattr__(part, "__class__", kind)
            read = self.read[id(part)]
            for field in dataclasses.fields(part) if read else ():
                if field.name not in read and not field.metadata.get("lazy"):
                    unread.append(f"{slot}.{field.name}")
        return unread


def _watched(kind: type, seen: set[str]) -> type:
    names = {f.name for f in dataclasses.fields(kind)}

    def look(self: Any, name: str) -> Any:
        if name in names:
            seen.add(name)
        return object.__getattribute__(self, name)

    body = {"__getattribute__": look, "__module__": kind.__module__, "__slots__": ()}
    return type(kind.__name__, (kind,), body)
