"""Search trees as records: what a search visited, what judges made of it.

A search writes nodes, judges label them, harvesters read them. A tree is a flat tuple of nodes
in the order they were made, so a node's index is its name and its parent's index is smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from askesis.records import NOTHING, Start, Turn


@dataclass(frozen=True, slots=True)
class Node:
    """A state reached by a search, and the edge that led there.

    `edge` is what was added to the parent's state. `value` is the current estimate of the
    outcome from here, `prior` the probability the policy gave to the edge, `visits` how often
    the search passed through.
    """

    index: int
    parent: int  # -1 for the root
    edge: tuple[Turn, ...] = ()
    depth: int = 0
    visits: int = 0
    value: float = 0.0
    prior: float = 1.0
    terminal: bool = False
    labels: Mapping[str, float] = field(default=NOTHING)


@dataclass(frozen=True, slots=True)
class Tree:
    """A finished search from one start.

    `ended` says in a few words why it was over, `spent` what it used: "simulations", "tokens"
    generated, "judged" calls of judges, "dropped" edges that led nowhere new.
    """

    id: str
    start: Start
    nodes: tuple[Node, ...]
    ended: str = ""
    spent: Mapping[str, float] = field(default=NOTHING)

    def children(self, index: int) -> Iterator[Node]:
        """Nodes whose parent is `index`, in the order they were made."""
        return (n for n in self.nodes if n.parent == index)

    def path(self, index: int) -> tuple[Node, ...]:
        """Nodes from the root (excluded) to `index` (included)."""
        found: list[Node] = []
        while index > 0:
            found.append(self.nodes[index])
            index = self.nodes[index].parent
        return tuple(reversed(found))

    def attempt_id(self, index: int) -> str:
        """The id of the attempt that ends in a node, "" where none does."""
        number = self.nodes[index].labels.get("attempt")
        return "" if number is None else f"{self.id.rpartition('#')[0]}#{int(number)}"

    def turns(self, index: int) -> tuple[Turn, ...]:
        """Everything said on the way from the root to `index`."""
        return tuple(t for node in self.path(index) for t in node.edge)
