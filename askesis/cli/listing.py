"""Lists of what there is, and answers for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console


def list_rows(out: Console, rows: Mapping[str, Any], kind: str, as_json: bool) -> None:
    """A table of the registry, with what entry points of other packages add."""
    from importlib.metadata import entry_points

    others = {e.name: e.value for e in entry_points(group=f"askesis.{kind}s")}
    if as_json:
        plain = {name: row.plain() for name, row in rows.items()}
        print_json(plain | {name: {"target": target} for name, target in others.items()})
        return
    from askesis.cli.show import table

    made = table(kind, "what it is for", "truth", "needs")
    for name, row in rows.items():
        made.add_row(name, row.purpose, row.truth, ", ".join(row.needs))
    for name, target in others.items():
        made.add_row(name, f"from {target}", "", "")
    out.print(made)


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
