"""Two nodes of one tree as a pair: steps from one place or of one depth, whole answers, answers
that part, a draft's repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.records import Group, Sample
from askesis.records import Sequence as Row
from askesis.search.harvest import (
    Pair,
    Scheme,
    answer_pairs,
    ends_apart,
    leaf_pairs,
    level_pairs,
    repair_pairs,
    sibling_pairs,
    values,
)
from askesis.select.judged import model_of
from askesis.select.trees import edge_row, judged_trees, way_row
from askesis.trees import Tree

Kind = Literal["siblings", "levels", "answers", "leaves", "repairs"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class TreePairs:
    """Pairs out of trees, the better one chosen.

    kind: "siblings": two steps from one place, learnt after all before it. "levels": the ways to
        two places of one depth and different parents, as far as those, and "answers": two whole
        attempts; both learnt from the root on. "leaves": two attempts that share a beginning,
        learnt from where they part. "repairs": a failing draft and its own repair, both as answers
        to the task itself, in trees of revisions.
    gap: the better one is worth more by more than this, at least 0; 0.7 in card [149], 0.8 in
        [151].
    scheme: what steps are worth ("siblings", "levels"), see `askesis.search.harvest.values`.
    end_coef: of "siblings", those that end an answer are paired only among themselves, the best
        with the worst, and their gap is multiplied by this, above 0; 0.3 in card [24] (None: they
        are steps like others).
    zero: one of two steps is worth more than this and the other less; none: any two. 0 in card
        [24], whose values lie between -1 and 1.
    max_per_place: pairs from one place, those with the largest gaps, at least 1 (None: all).
    max_per_tree: pairs of one tree, at random, at least 1 (None: all).
    balance: of each depth as many pairs, at random, as the depth with the fewest has.
    right: an attempt worth at least this is right. judge: whose value of attempts counts.
    role: who speaks.

    A sample is (chosen, rejected) with the numbers margin and advantage_gap, both the difference of
    values, and outcome, 1. Sources: cards [24], [142], [149], [151] and [75].
    """

    kind: Kind = field(default="siblings", metadata=LAZY)
    gap: float = field(default=0.0, metadata=LAZY)
    scheme: Scheme = field(default="backed", metadata=LAZY)
    zero: float | None = field(default=None, metadata=LAZY)
    end_coef: float | None = field(default=None, metadata=LAZY)
    max_per_place: int | None = field(default=None, metadata=LAZY)
    max_per_tree: int | None = field(default=None, metadata=LAZY)
    balance: bool = field(default=False, metadata=LAZY)
    right: float = field(default=1.0, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "margin", "advantage_gap", "outcome"})
    atom = "pair"

    def __post_init__(self) -> None:
        most, place, coef = self.max_per_tree, self.max_per_place, self.end_coef
        must_fit(
            self,
            {
                "kind": (self.kind in get_args(Kind), ", ".join(get_args(Kind))),
                "gap": (0 <= self.gap < float("inf"), "at least 0"),
                "scheme": (self.scheme in get_args(Scheme), ", ".join(get_args(Scheme))),
                "end_coef": (coef is None or 0 < coef < float("inf"), "above 0, or none"),
                "max_per_place": (place is None or place >= 1, "at least 1, or none"),
                "max_per_tree": (most is None or most >= 1, "at least 1, or none"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of trees and nodes; see docs/metrics.md for what is noted."""
        model, made = model_of(ctx), list[tuple[int, Sample]]()
        num_trees = 0
        for group, tree, outcomes in judged_trees(groups, verdicts, self.judge):
            num_trees += 1
            inside = []
            first = _first_below(tree)
            for pair in self._few(self._pairs(tree, outcomes)):
                rows = self._rows(tree, pair)
                if rows is None:
                    continue
                columns = {"margin": pair.gap, "advantage_gap": pair.gap, "outcome": 1.0}
                ends = [first[i] for i in (pair.better, pair.worse) if i in first]
                sources = tuple(group.attempts[n].id for n in ends)
                sample = Sample(model, rows, columns, sources)
                inside.append((tree.nodes[pair.shared].depth, sample))
            if self.max_per_tree is not None:
                inside = _some(ctx, f"few {group.key}", inside, self.max_per_tree)
            made += inside
        if self.balance:
            made = self._balanced(ctx, made)
        samples = [sample for _, sample in made]
        ctx.note("pairs", len(samples))
        ctx.note("pairs_per_tree", len(samples) / max(1, num_trees))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _pairs(self, tree: Tree, outcomes: Mapping[int, float]) -> list[Pair]:
        if self.kind == "leaves":
            return leaf_pairs(tree, outcomes, self.gap)
        if self.kind == "repairs":
            return repair_pairs(tree, outcomes, self.gap)
        if self.kind == "answers":
            return answer_pairs(tree, outcomes, self.gap)
        known = values(tree, outcomes, self.scheme, self.right)
        if self.kind == "levels":
            return level_pairs(tree, known, self.gap)
        pairs = sibling_pairs(tree, known, self.gap, self.zero)
        return pairs if self.end_coef is None else ends_apart(tree, pairs, self.end_coef)

    def _few(self, pairs: list[Pair]) -> list[Pair]:
        """Of each place the pairs with the largest gaps."""
        most = self.max_per_place
        if most is None:
            return pairs
        kept: dict[int, list[Pair]] = {}
        for pair in sorted(pairs, key=lambda p: -p.gap):
            if len(kept.setdefault(pair.shared, [])) < most:
                kept[pair.shared].append(pair)
        chosen = {p for inside in kept.values() for p in inside}
        return [p for p in pairs if p in chosen]

    def _rows(self, tree: Tree, pair: Pair) -> tuple[Row, Row] | None:
        """The better and the worse row; None where they say the same or make no one row."""
        both = []
        for index in (pair.better, pair.worse):
            if self.kind == "siblings":
                row = edge_row(tree, index, self.role)
            elif self.kind != "repairs":
                row = way_row(tree, index, self.role, pair.shared * (self.kind == "leaves"))
            else:
                row = _answer(tree, index, self.role)
            if row is None:
                return None
            both.append(row)
        if np.array_equal(both[0].tokens, both[1].tokens):
            return None
        return both[0], both[1]

    def _balanced(self, ctx: Any, made: list[tuple[int, Sample]]) -> list[tuple[int, Sample]]:
        depths = sorted({depth for depth, _ in made})
        fewest = min((sum(d == depth for d, _ in made) for depth in depths), default=0)
        kept: list[tuple[int, Sample]] = []
        for depth in depths:
            inside = [one for one in made if one[0] == depth]
            kept += _some(ctx, f"balance {depth}", inside, fewest)
        return kept


def _answer(tree: Tree, index: int, role: str) -> Row | None:
    """A whole answer as the first thing said: after what the first answer of its way has read."""
    first = next(t for t in tree.turns(index) if t.role == role)
    last = [t for t in tree.nodes[index].edge if t.role == role][-1]
    tokens = np.concatenate([first.context, last.tokens]).astype(np.int32)
    weight = np.concatenate([np.zeros(len(first.context)), np.ones(len(last.tokens))])
    return Row(tokens, {"weight": weight.astype(np.float32)})


def _first_below(tree: Tree) -> dict[int, int]:
    """Node -> number of the first attempt that ends at it or below it."""
    found: dict[int, int] = {}
    for node in tree.nodes:
        number = node.labels.get("attempt")
        at = node.index if number is not None else -1
        while at >= 0 and at not in found:
            found[at] = int(number or 0)
            at = tree.nodes[at].parent
    return found


def _some(ctx: Any, place: str, found: list[Any], most: int) -> list[Any]:
    """At most so many of them, at random, in their own order."""
    if len(found) <= most:
        return found
    lots = ctx.generator(place).permutation(len(found))[:most]
    return [found[i] for i in sorted(lots.tolist())]
