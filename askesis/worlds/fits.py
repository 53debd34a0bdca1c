"""Which worlds have what a recipe needs, by the registry's rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from askesis.errors import WorldError
from askesis.registry import RECIPES
from askesis.worlds.table import ADAPTERS, WORLDS

# What a row's needs are called in words, where they are not words themselves.
_WORDS = {
    "answer": "a verifier of answers",
    "demonstration": "demonstrations or reference answers",
    "preference": "annotated preferences",
    "steps": "step truth",
    "corrections": "steps that can be taken back inside an answer",
    "states": "states of unfinished answers",
    "turns": "turns",
    "listed answers": "answers that can be listed",
}


def lacks(world: Any, needs: Sequence[str]) -> list[str]:
    """Which needs a world does not meet. Reference answers stand in for demonstrations."""
    there = set(world.truth)
    if "answer" in there:
        there.add("demonstration")
    if hasattr(world, "list_answers"):
        there.add("listed answers")
    return [need for need in needs if need not in there]


def fitting(needs: Sequence[str]) -> list[str]:
    """The package's own worlds that meet all needs, by name without version. Adapters are left
    out: what they know depends on what they are given."""
    found = []
    for name, row in WORLDS.items():
        there = {word.strip() for word in row.truth.split(",")}
        if "answer" in there:
            there.add("demonstration")
        if name not in ADAPTERS and there.issuperset(needs):
            found.append(re.sub(r"-v[0-9]+$", "", name))
    return found


def must_fit(recipe: str, world: Any) -> None:
    """Raises WorldError where a recipe of the registry needs what a world does not have, naming
    worlds that have it."""
    row = RECIPES.get(recipe)
    missing = lacks(world, row.needs) if row is not None else []
    if row is None or not missing:
        return
    told = " and ".join(_WORDS.get(need, need) for need in missing)
    there = fitting(row.needs)
    raise WorldError(
        f"recipe {recipe!r} needs {told}, which world {world.id!r} does not have",
        hint=f"take --world {' or --world '.join(there)}"
        if there
        else "`askesis worlds` lists all",
    )
