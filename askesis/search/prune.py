"""A tree cut down to what can be looked at: the nodes that the search passed most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from heapq import heappop, heappush

from askesis.trees import Tree


def pruned(tree: Tree, most: int, keep: Sequence[int] = ()) -> tuple[Tree, dict[int, int]]:
    """A tree of at most `most` nodes, and where each node that stayed stands in it (old -> new).

    Nodes stay by their visits, a node never without its parent; of equals the first that was made.
    keep: nodes that stay with all that lies above them, even where these alone are more than
    `most`. Below a node from which others were cut, the label `left_out` says how many: all that
    lie below and are gone, except those that are counted further down.
    """
    if len(tree.nodes) <= most:
        return tree, {n.index: n.index for n in tree.nodes}
    below: list[list[int]] = [[] for _ in tree.nodes]
    for node in tree.nodes[1:]:
        below[node.parent].append(node.index)
    stays = {0}
    for index in keep:
        stays.update(n.index for n in tree.path(index))
    open_ends: list[tuple[int, int]] = []

    def reach(index: int) -> None:
        for child in below[index]:
            if child not in stays:
                heappush(open_ends, (-tree.nodes[child].visits, child))

    for index in sorted(stays):
        reach(index)
    while open_ends and len(stays) < most:
        _, index = heappop(open_ends)
        stays.add(index)
        reach(index)
    hidden = [0] * len(tree.nodes)  # gone nodes in the part of the tree that hangs on each
    for node in reversed(tree.nodes[1:]):
        if node.index not in stays:
            hidden[node.index] += 1
            hidden[node.parent] += hidden[node.index]
    at = {old: new for new, old in enumerate(sorted(stays))}
    nodes = []
    for old, new in at.items():
        node = tree.nodes[old]
        labels = {**node.labels, "left_out": float(hidden[old])} if hidden[old] else node.labels
        nodes.append(replace(node, index=new, parent=at.get(node.parent, -1), labels=labels))
    return replace(tree, nodes=tuple(nodes)), at
