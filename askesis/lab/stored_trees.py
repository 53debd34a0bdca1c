"""Search trees of a run, read back to be looked at: which attempts have one, what of it is shown.

A tree that is shown has a bounded number of nodes, those the search passed most and the way to
the attempt in question; how many were cut is known.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from askesis.errors import RunError, nearest
from askesis.lab.report_attempts import Said, quoted, short
from askesis.records import NOTHING
from askesis.search.prune import pruned
from askesis.store.run_store import RunStore
from askesis.trees import Tree

NUM_PICTURES = 24  # trees drawn on a page
NUM_NODES = 40  # of a tree drawn on a page

_VALUES = """
select attempt, arg_max(value, ordinal) as value from (
    select attempt, value, row_number() over () as ordinal from verdicts
    where kind in ('outcome', 'correctness') and other = '' and node < 0 and len(spans) = 0
        and attempt in ({ids}))
group by attempt
"""


@dataclass(frozen=True)
class StoredTree:
    """A tree as it is shown. `marked` is the node where the attempt ends that was asked for (None:
    a tree was), `outcomes` are node -> worth of its attempt, `num_nodes` are those of the whole
    tree. The round counts from 1."""

    tree: Tree
    round: int
    num_nodes: int
    marked: int | None = None
    outcomes: Mapping[int, float] = field(default_factory=dict)

    @property
    def num_left_out(self) -> int:
        """Nodes that are not shown."""
        return self.num_nodes - len(self.tree.nodes)


@dataclass(frozen=True)
class TreeData:
    """Trees on a page, by attempt; `others` are attempts shown there whose tree is not drawn."""

    shown: Mapping[str, StoredTree] = field(default=NOTHING)
    others: frozenset[str] = frozenset()


def tree_data(store: RunStore, said: Sequence[Said]) -> TreeData:
    """Trees of some of these attempts, as many of every round, in the order given.

    Raises RunError where a file of the run cannot be read.
    """
    rounds = sorted({s.round - 1 for s in said})
    if not rounds or not store.bulk_files("trees"):
        return TreeData()
    ids = store.arrow("trees", ["id"], {"round": rounds, "task": sorted({s.task for s in said})})
    trees = {_place(name): name for name in ids.column("id").to_pylist()}
    having = [s for s in said if _place(s.id) in trees]
    each = max(1, NUM_PICTURES // len(rounds))
    chosen: list[Said] = []
    for index in reversed(rounds):
        of_round = [s for s in having if s.round - 1 == index]
        chosen += _one_a_tree_first(of_round)[:each]
    chosen = chosen[:NUM_PICTURES]
    wanted = sorted({trees[_place(s.id)] for s in chosen})
    whole = {t.id: t for t in store.read("trees", {"round": rounds, "id": wanted})}
    made = [_shown(whole[trees[_place(s.id)]], s.round, NUM_NODES, s.id) for s in chosen]
    return TreeData(
        dict(zip([s.id for s in chosen], _with_outcomes(store, made), strict=True)),
        frozenset(s.id for s in having) - {s.id for s in chosen},
    )


def find_tree(store: RunStore, name: str, most: int) -> tuple[StoredTree, tuple[str, ...]]:
    """The tree of an attempt, of a task (its last one) or of that id, and the ids of all that fit.

    most: nodes at most. Raises RunError where the run stores no tree, or none of that name.
    """
    rows = store.arrow("trees", ["round", "id", "task"]).to_pylist()
    if not rows:
        raise RunError(
            f"{store.path} has no search trees",
            expected="a durable round whose explorer searches",
            hint="askesis recipes; docs/search.md says how a recipe is given a search",
        )
    exact = [r for r in rows if name in (r["id"], r["task"])]
    found = exact or [r for r in rows if "#" in name and _place(r["id"]) == _place(name)]
    if not found:
        known = {n for r in rows[-1000:] for n in (r["task"], r["id"])}
        raise RunError(
            f"{store.path} has no tree of {name!r}",
            expected="the id of an attempt, a task or a tree",
            hint=nearest(name, known),
        )
    row = found[-1]
    (tree,) = store.read("trees", {"round": row["round"], "id": row["id"]})
    made = _shown(tree, row["round"] + 1, most, "" if exact else name)
    if not exact and made.marked is None:
        ends = [int(n.labels["attempt"]) for n in tree.nodes if "attempt" in n.labels]
        raise RunError(
            f"the tree {tree.id} has no attempt {name!r}",
            expected=f"a number from 0 to {max(ends)}" if ends else "no attempt: none was finished",
            hint=f"askesis tree {store.path} {shlex.quote(tree.id)}",
        )
    (made,) = _with_outcomes(store, [made])
    return made, tuple(r["id"] for r in found)


def _place(name: str) -> str:
    """What the id of a tree and those of its attempts have in common."""
    return name.rpartition("#")[0]


def _one_a_tree_first(said: Sequence[Said]) -> list[Said]:
    """Those that are the first of their tree, then the rest."""
    first = {_place(s.id): s.id for s in reversed(said)}
    return sorted(said, key=lambda s: first[_place(s.id)] != s.id)


def _shown(tree: Tree, round_number: int, most: int, attempt: str = "") -> StoredTree:
    ends = [n.index for n in tree.nodes if attempt and tree.attempt_id(n.index) == attempt]
    small, at = pruned(tree, most, keep=ends)
    small = replace(small, ended=short(small.ended, 200))
    return StoredTree(small, round_number, len(tree.nodes), at[ends[0]] if ends else None)


def _with_outcomes(store: RunStore, made: Iterable[StoredTree]) -> list[StoredTree]:
    """The same with what judges said of the attempts that end in them, in one query."""
    some = list(made)
    ids = sorted({i for s in some for n in s.tree.nodes if (i := s.tree.attempt_id(n.index))})
    if not ids or not store.bulk_files("verdicts"):
        return some
    rows = store.query(_VALUES.format(ids=", ".join(map(quoted, ids)))).to_pylist()
    value = {r["attempt"]: r["value"] for r in rows if r["value"] is not None}
    found = []
    for s in some:
        ends = {n.index: value.get(s.tree.attempt_id(n.index)) for n in s.tree.nodes}
        known = {index: v for index, v in ends.items() if v is not None}
        found.append(replace(s, outcomes=known))
    return found
