"""What there is, by name: one line each, imported only when used.

A row says where a thing lives, what it is for, which catalogued methods it realises, what truth
it uses and what it needs. Ids of worlds and judges carry a version that rises when scores could
change. Outsiders need no row: `my_file.py:my_recipe`, `my_file.py:my_world`, or the entry points
"askesis.recipes" and "askesis.worlds".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from typing import Any

from askesis.config import find
from askesis.errors import ConfigError, WorldError, nearest


@dataclass(frozen=True, slots=True)
class Row:
    """One thing by name. `cards` are catalogue numbers; `truth` what it uses or knows."""

    target: str  # "module:name"
    purpose: str
    truth: str = ""
    needs: tuple[str, ...] = ()
    cards: tuple[int, ...] = ()
    page: str = ""

    def load(self) -> Any:
        return find(self.target)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


RECIPES: dict[str, Row] = {
    "sft": Row(
        "askesis.recipes.sft:sft",
        "supervised learning on the world's demonstrations; also the control arm",
        "demonstrations",
        ("demonstration",),
        page="docs/methods/sft.md",
    ),
    "star": Row(
        "askesis.recipes.star:star",
        "learn from own correct attempts, restarting from base each round; hints for failures",
        "answers",
        ("answer",),
        page="docs/methods/star.md",
    ),
    "rest_em": Row(
        "askesis.recipes.rest_em:rest_em",
        "expectation-maximisation: many samples, keep the correct, at most ten a task, retrain base",
        "answers",
        ("answer",),
        page="docs/methods/rest_em.md",
    ),
    "rft": Row(
        "askesis.recipes.rft:rft",
        "online rejection sampling: keep correct distinct attempts, continue from the last weights",
        "answers",
        ("answer",),
        page="docs/methods/rft.md",
    ),
    "self_consistency": Row(
        "askesis.recipes.self_consistency:self_consistency",
        "learn from the majority answer; needs no truth at all",
        "none",
        (),
        page="docs/methods/self_consistency.md",
    ),
}

WORLDS: dict[str, Row] = {}

PARTS: dict[str, Row] = {}

_TABLES: dict[str, tuple[Mapping[str, Row], type[Exception]]] = {
    "recipe": (RECIPES, ConfigError),
    "world": (WORLDS, WorldError),
    "part": (PARTS, ConfigError),
}


def look_up(kind: str, name: str) -> Any:
    """The thing of a kind ("recipe", "world", "part") behind a name, imported now.

    Raises ConfigError or WorldError with the nearest name where there is none.
    """
    table, error = _TABLES[kind]
    if ":" in name and name.partition(":")[0].endswith(".py"):
        return find(name)
    if name in table:
        return table[name].load()
    for entry in entry_points(group=f"askesis.{kind}s"):
        if entry.name == name:
            return entry.load()
    others = [e.name for e in entry_points(group=f"askesis.{kind}s")]
    raise error(f"there is no {kind} {name!r}", hint=nearest(name, [*table, *others]))
