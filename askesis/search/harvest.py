"""What finished trees teach: right leaves, values of prefixes, pairs, first errors.

Pure functions of a `Tree` and of `outcomes`: what the attempts that end in it are worth, by node
(`outcomes_of`). They name nodes by their index; selectors make samples of them
(`askesis.select.tree_*`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from askesis.records import Attempt
from askesis.trees import Node, Tree

Scheme = Literal["backed", "soft", "hard", "shared", "first_error", "look_back"]


class Valued(NamedTuple):
    """A prefix, by the node that ends it, and what it is worth."""

    node: int
    value: float


class Pair(NamedTuple):
    """Two nodes, the better one first, by how much it is better, and the last node both share."""

    better: int
    worse: int
    gap: float
    shared: int


def outcomes_of(
    tree: Tree, attempts: Sequence[Attempt], values: Mapping[str, float | None]
) -> dict[int, float]:
    """Node -> what the attempt that ends there is worth, for attempts with a known value.

    values: attempt id -> value.
    """
    found: dict[int, float] = {}
    for node in tree.nodes:
        number = node.labels.get("attempt")
        if number is not None:
            value = values.get(attempts[int(number)].id)
            if value is not None:
                found[node.index] = float(value)
    return found


def right_leaves(
    tree: Tree, outcomes: Mapping[int, float], right: float = 1.0, gate: float | None = None
) -> list[int]:
    """Nodes where a right attempt ends, best first by their path's weakest own value, of equals the
    first that was made; with a `gate` only those whose path nowhere falls below it.

    Card [0] keeps values from 0.2 on; card [16] one leaf a tree.
    """
    found = []
    for index, outcome in outcomes.items():
        own = [n.labels["own"] for n in tree.path(index)[:-1] if "own" in n.labels]
        weakest = min(own, default=outcome)
        if outcome >= right and (gate is None or weakest >= gate):
            found.append((-weakest, index))
    return [index for _, index in sorted(found)]


def values(
    tree: Tree, outcomes: Mapping[int, float], scheme: Scheme = "backed", right: float = 1.0
) -> list[Valued]:
    """Prefixes and what they are worth, in the order of nodes; the root only where noted.

    backed: what the search backed up, of every node that was visited, the root included. Cards
        [24] and [178].
    soft: the share of right attempts among those below, root included. hard: whether there is any.
        Cards [128] and [135].
    shared: the distance to a right end, shared out evenly over the steps that are left:

            v_0 = 0      v_k = max(0, v_{k-1} + s_k (1 - v_{k-1}) / m_k)

        s_k = 1 with a right attempt below, else -1; m_k = 1 + fewest edges from there to a right
        end, and off the right ways that of the last node on one. So a right end is worth 1. Nodes
        with no attempt below are left out, and so are trees without a right one. Card [0].
    first_error: 1 for nodes with a right attempt below, 0 for the first on a way that has none;
        those behind it are left out, where nothing is left to be learnt. Card [129].
    look_back: 1 where a place is worth more than what its way has fallen by, else 0; v is what the
        search backed up, between 0 and 1:

            l_1 = v_1      l_k = v_k - (l_{k-1} - v_k)      1[l_k > 0]

        so that a fall counts twice and a rise is rewarded. Of every node that was visited but the
        root; a tree in which all are alike has none. Card [151].
    """
    if scheme == "look_back":
        return _looked_back(tree)
    below = _ends_below(tree, outcomes)
    if scheme == "backed":
        return [Valued(n.index, n.value) for n in tree.nodes if n.visits]
    if scheme == "shared":
        return _shared_out(tree, outcomes, below, right)
    found = []
    for node in tree.nodes:
        worth = [outcomes[i] >= right for i in below[node.index]]
        if not worth:
            continue
        if scheme == "soft":
            found.append(Valued(node.index, sum(worth) / len(worth)))
        elif scheme == "hard":
            found.append(Valued(node.index, float(any(worth))))
        elif node.parent >= 0:
            above = [outcomes[i] >= right for i in below[node.parent]]
            if any(worth) or any(above):
                found.append(Valued(node.index, float(any(worth))))
    return found


def sibling_pairs(
    tree: Tree, known: Sequence[Valued], gap: float = 0.0, zero: float | None = None
) -> list[Pair]:
    """Steps from one place, one worth more than the other by more than `gap`.

    zero: only pairs of one above and one below this value; card [24] pairs Q > 0 with Q < 0, and
    [149] takes gaps above 0.7.
    """
    value = dict(known)
    found = []
    for node in tree.nodes:
        inside = [c.index for c in tree.children(node.index) if c.index in value]
        for better in inside:
            for worse in inside:
                by = value[better] - value[worse]
                if by <= gap or by <= 0:
                    continue
                if zero is None or value[better] > zero > value[worse]:
                    found.append(Pair(better, worse, by, node.index))
    return found


def ends_apart(tree: Tree, pairs: Sequence[Pair], end_coef: float = 1.0) -> list[Pair]:
    """Of sibling pairs those of two steps that go on, and at each place one of two that end an
    answer: the best with the worst, its gap multiplied by `end_coef`.

    The better, and the worse, of equals is the first that was made. Where a step goes on and the
    other ends an answer, they are no pair. Card [24], with 0.3 for the ends.
    """
    widest: dict[int, Pair] = {}
    for pair in pairs:
        ends = tree.nodes[pair.better].terminal and tree.nodes[pair.worse].terminal
        if ends and (pair.shared not in widest or pair.gap > widest[pair.shared].gap):
            widest[pair.shared] = pair
    found = []
    for pair in pairs:
        if pair == widest.get(pair.shared):
            found.append(pair._replace(gap=pair.gap * end_coef))
        elif not (tree.nodes[pair.better].terminal or tree.nodes[pair.worse].terminal):
            found.append(pair)
    return found


def level_pairs(tree: Tree, known: Sequence[Valued], gap: float = 0.0) -> list[Pair]:
    """Ways as far as two places of one depth and different parents, one worth more than the other
    by more than `gap`. Card [151], with 0.8."""
    levels: dict[int, list[Valued]] = {}
    for one in known:
        levels.setdefault(tree.nodes[one.node].depth, []).append(one)
    found = []
    for depth in sorted(levels):
        for better, high in levels[depth]:
            for worse, low in levels[depth]:
                is_apart = tree.nodes[better].parent != tree.nodes[worse].parent
                if is_apart and high - low > gap and high > low:
                    found.append(Pair(better, worse, high - low, _last_shared(tree, better, worse)))
    return found


def answer_pairs(tree: Tree, outcomes: Mapping[int, float], gap: float = 0.0) -> list[Pair]:
    """Attempts of different worth, wherever they part: whole answers to one task."""
    return [
        Pair(better, worse, high - low, 0)
        for better, high in outcomes.items()
        for worse, low in outcomes.items()
        if high - low > gap and high > low
    ]


def leaf_pairs(tree: Tree, outcomes: Mapping[int, float], gap: float = 0.0) -> list[Pair]:
    """Attempts of different worth that share a beginning: at least one edge from the root."""
    found = []
    ways = {i: [n.index for n in tree.path(i)] for i in outcomes}
    for better, high in outcomes.items():
        for worse, low in outcomes.items():
            if high - low <= gap or high <= low:
                continue
            same = [a for a, b in zip(ways[better], ways[worse], strict=False) if a == b]
            if same and same[-1] not in (better, worse):
                found.append(Pair(better, worse, high - low, same[-1]))
    return found


def repair_pairs(tree: Tree, outcomes: Mapping[int, float], gap: float = 0.0) -> list[Pair]:
    """A failing draft with its own repair: a node and a better one below it, nearest first.

    For trees of revisions, where both are whole answers to one task. Card [75].
    """
    found = []
    for better, high in outcomes.items():
        for node in reversed(tree.path(better)[:-1]):
            low = outcomes.get(node.index)
            if low is not None and high - low > gap and high > low:
                found.append(Pair(better, node.index, high - low, node.index))
                break
    return found


def first_errors(
    tree: Tree, outcomes: Mapping[int, float], right: float = 1.0
) -> dict[int, tuple[int, int]]:
    """Where wrong attempts went wrong, as far as the tree knows: leaf -> (node, depth) of the first
    node on its way with no right attempt below, where its parent has one.

    It is the *point of no return* of those who went on from there, which a step that is wrong and
    can be mended is not; leaves of trees without a right attempt have none.
    """
    below = _ends_below(tree, outcomes)
    found = {}
    for leaf, outcome in outcomes.items():
        if outcome >= right:
            continue
        for node in tree.path(leaf):
            lost = not any(outcomes[i] >= right for i in below[node.index])
            if lost and any(outcomes[i] >= right for i in below[node.parent]):
                found[leaf] = (node.index, node.depth)
                break
    return found


def balanced(
    tree: Tree, rows: Sequence[Valued], rng: np.random.Generator, middle: float = 0.5
) -> list[Valued]:
    """At every depth as many rows below `middle` as from it on: of the larger class so many, at
    random, as the smaller one has. In the order they had."""
    places: dict[tuple[int, bool], list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault((tree.nodes[row.node].depth, row.value >= middle), []).append(i)
    kept: list[int] = []
    for depth in sorted({depth for depth, _ in places}):
        classes = [places.get((depth, side), []) for side in (False, True)]
        num = min(len(c) for c in classes)
        for inside in classes:
            kept += rng.permutation(inside)[:num].tolist() if num else []
    return [rows[i] for i in sorted(kept)]


# ---------------------------------------------------------------- inside


def _last_shared(tree: Tree, one: int, other: int) -> int:
    """The last node that the ways to two others have in common; 0 where they part at once."""
    ways = ([n.index for n in tree.path(i)] for i in (one, other))
    same = [a for a, b in zip(*ways, strict=False) if a == b]
    return same[-1] if same else 0


def _ends_below(tree: Tree, outcomes: Mapping[int, float]) -> list[list[int]]:
    """For each node, those at or below it in which a judged attempt ends."""
    found: list[list[int]] = [[] for _ in tree.nodes]
    for index in outcomes:
        found[index].append(index)
    for node in reversed(tree.nodes[1:]):
        found[node.parent] += found[node.index]
    return found


def _looked_back(tree: Tree) -> list[Valued]:
    level: dict[int, float] = {}
    for node in tree.nodes[1:]:
        before = level.get(node.parent, node.value)
        level[node.index] = node.value - (before - node.value)
    found = [Valued(n.index, float(level[n.index] > 0)) for n in tree.nodes[1:] if n.visits]
    return found if len({one.value for one in found}) > 1 else []


def _shared_out(
    tree: Tree, outcomes: Mapping[int, float], below: list[list[int]], right: float
) -> list[Valued]:
    edges: dict[int, int] = {}  # to the nearest right end
    for index, outcome in outcomes.items():
        if outcome >= right:
            for num, node in enumerate([*reversed(tree.path(index)), tree.nodes[0]]):
                edges[node.index] = min(num, edges.get(node.index, num))
    if not edges:
        return []
    value: dict[int, float] = {0: 0.0}
    left: dict[int, int] = {0: edges[0] + 1}  # m
    found = []
    for node in tree.nodes[1:]:
        is_on = node.index in edges
        left[node.index] = edges[node.index] + 1 if is_on else left[node.parent]
        before = value[node.parent]
        step = (1 - before) / left[node.index]
        value[node.index] = max(0.0, before + (step if is_on else -step))
        if below[node.index]:
            found.append(Valued(node.index, value[node.index]))
    return found


def text_of(node: Node, role: str = "policy") -> str:
    """What the edge that leads to a node says."""
    return "".join(t.text for t in node.edge if t.role == role)
