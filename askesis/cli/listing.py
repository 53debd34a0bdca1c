"""Lists of what there is, and answers for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console


def list_rows(out: Console, rows: Mapping[str, Any], kind: str, as_json: bool) -> None:
    """A table of the registry, with what entry points of other packages add."""
    from importlib.metadata import entry_points

    others = {e.name: e.value for e in entry_points(group=f"askesis.{kind}s")}
    if as_json:
        plain = {name: row.plain() for name, row in rows.items()}
        if kind == "recipe":
            plain = {n: row | {"measured": verdicts().get(n, {})} for n, row in plain.items()}
        print_json(plain | {name: {"target": target} for name, target in others.items()})
        return
    from askesis.cli.show import table

    measured = {k: "; ".join(map(": ".join, v.items())) for k, v in verdicts().items()}
    last = ("measured",) if kind == "recipe" else ()
    made = table(kind, "what it is for", "truth", "needs", *last)
    for name, row in rows.items():
        cells = (measured.get(name, ""),) if last else ()
        made.add_row(name, row.purpose, row.truth, ", ".join(row.needs), *cells)
    for name, target in others.items():
        made.add_row(name, f"from {target}", "", "", *("" for _ in last))
    out.print(made)


def verdicts() -> dict[str, dict[str, str]]:
    """What was measured of each recipe, in words; `python -m benchmarks.readme` writes it."""
    from importlib.resources import files

    text = files("askesis.recipes").joinpath("verdicts.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def list_engines(out: Console, rows: Mapping[str, Any], as_json: bool) -> None:
    """The table of engines: which can run on this machine, and what the others lack."""
    from importlib.metadata import entry_points

    others = {e.name: e.value for e in entry_points(group="askesis.engines")}
    lacks = {name: missing(row.needs) for name, row in rows.items()}
    if as_json:
        plain = {
            name: row.plain() | {"here": not lacks[name], "lacks": lacks[name]}
            for name, row in rows.items()
        }
        print_json(plain | {name: {"target": target} for name, target in others.items()})
        return
    from askesis.cli.show import table

    made = table("engine", "what it is for", "needs", "here")
    for name, row in rows.items():
        why = f"no: {', '.join(lacks[name])} not installed" if lacks[name] else "yes"
        made.add_row(name, row.purpose, ", ".join(row.needs), why)
    for name, target in others.items():
        made.add_row(name, f"from {target}", "", "")
    out.print(made)


def missing(modules: Iterable[str]) -> list[str]:
    """Which of these modules cannot be imported here; none is imported to find out."""
    from importlib.util import find_spec

    return [name for name in modules if find_spec(name) is None]


def print_json(value: Any) -> None:
    """Valid JSON: what it has no word for (NaN, infinities) becomes null."""
    print(json.dumps(_jsonable(value), indent=1, default=str))


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, bytes):
        return value.hex()
    return value
