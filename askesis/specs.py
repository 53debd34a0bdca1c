"""Names with options, as a person types them: `name?option=value&other=value`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from askesis.errors import AskesisError, nearest


def split_options(spec: str, kind: str, error: type[AskesisError]) -> tuple[str, dict[str, str]]:
    """Take "?name=value&other=value" off the end. A "?" in a pattern of files has no "="."""
    text, mark, tail = spec.rpartition("?")
    if not mark or "=" not in tail:
        return spec, {}
    options = {}
    for pair in tail.split("&"):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise error(f"option {pair!r} of {kind} {text!r}", expected="name=value, joined by &")
        options[name.replace("-", "_")] = value
    return text, options


def make(
    spec: str,
    kind: str,
    error: type[AskesisError],
    maker: Any,
    arguments: tuple[Any, ...],
    options: Mapping[str, str],
) -> Any:
    """Call a class or function with options read as its annotations want them."""
    known = {
        name: parameter
        for name, parameter in list(inspect.signature(maker).parameters.items())[len(arguments) :]
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    given = {}
    for name, value in options.items():
        if name not in known:
            raise error(f"{kind} {spec!r} has no option {name!r}", hint=nearest(name, known))
        given[name] = _value(spec, kind, error, name, str(known[name].annotation), value)
    missing = [n for n, p in known.items() if p.default is p.empty and n not in given]
    if missing:
        raise error(
            f"{kind} {spec!r} needs {', '.join(missing)}", hint=f"Type {spec}?{missing[0]}=VALUE"
        )
    return maker(*arguments, **given)


def _value(
    spec: str, kind: str, error: type[AskesisError], name: str, annotation: str, value: str
) -> Any:
    try:
        if "bool" in annotation:
            return {"true": True, "false": False, "1": True, "0": False}[value.lower()]
        if "int" in annotation:
            return int(value)
        if "float" in annotation:
            return float(value)
    except (ValueError, KeyError):
        wanted = annotation.removeprefix("<class '").removesuffix("'>").split(" ")[0]
        raise error(
            f"option {name!r} of {kind} {spec!r}", expected=wanted, found=repr(value)
        ) from None
    return value
