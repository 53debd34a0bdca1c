"""What the selectors of trees share: trees with the worth of their attempts, and nodes as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.records import Group, StopReason, Turn
from askesis.records import Sequence as Row
from askesis.search.harvest import outcomes_of
from askesis.select.judged import finite_value
from askesis.select.sequences import sequences_of
from askesis.trees import Tree


def judged_trees(
    groups: Sequence[Group], verdicts: Any, judge: str = ""
) -> Iterator[tuple[Group, Tree, dict[int, float]]]:
    """Every tree with what the attempts that end in it are worth, by node.

    Raises ConfigError where there are groups and none of them carries a tree.
    """
    if groups and not any(isinstance(g.tree, Tree) for g in groups):
        raise ConfigError(
            "there is no tree to learn from",
            expected="groups that a search made",
            found=f"{len(groups)} without",
            hint="--explore search, or a recipe that searches",
        )
    for group in groups:
        if isinstance(group.tree, Tree):
            known = {a.id: finite_value(a, verdicts, judge) for a in group.attempts}
            yield group, group.tree, outcomes_of(group.tree, group.attempts, known)


def edge_row(tree: Tree, index: int, role: str) -> Row | None:
    """The edge that leads to a node: all before it is read, what the role said on it weighs 1."""
    rows = sequences_of(tree.nodes[index].edge, role)
    return rows[0] if len(rows) == 1 else None


def way_row(tree: Tree, index: int, role: str, after: int = 0) -> Row | None:
    """Everything the role said from the root to a node, as one row; up to and with node `after` it
    weighs nothing. None where contexts do not nest."""
    rows = sequences_of(tree.turns(index), role)
    if len(rows) != 1:
        return None
    if not after:
        return rows[0]
    own = [t for t in tree.turns(after) if t.role == role]
    read = len(own[-1].context) + len(own[-1].tokens)
    weight = rows[0].columns["weight"].copy()
    weight[:read] = 0.0
    return Row(rows[0].tokens, {**rows[0].columns, "weight": weight})


def read_at(ctx: Any, tree: Tree, index: int, speaker: str, reader: str) -> np.ndarray:
    """What `reader` has read at a node, int32 (T,): as `ValueHead` reads it in a search."""
    turns: tuple[Turn, ...] = (*tree.nodes[0].edge, *tree.turns(index))
    if turns and turns[-1].role == speaker:
        turns = (*turns[:-1], replace(turns[-1], stop=StopReason.OPEN))
    turns = tuple(replace(t, role=reader) if t.role == speaker else t for t in turns)
    found: np.ndarray = ctx.render(reader, tree.start, turns)
    return found
