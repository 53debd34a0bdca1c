"""Ways through trees, right and wrong ones: what a policy with a value head learns from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample
from askesis.records import Sequence as Row
from askesis.search.harvest import right_leaves
from askesis.select.judged import model_of
from askesis.select.trees import judged_trees, read_at, way_row
from askesis.trees import Tree

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class TreePaths:
    """The right attempts of each tree and some wrong ones, with the values found at their steps.

    num_right: attempts a tree, at least 1, the best ways first (`right_leaves`).
    num_wrong: at least 0, such that each shares as few steps as possible with those before it.
    right: an attempt worth at least this is right, unless it was cut off, as a search's `Verified`
        has it. judge: whose value counts.
    role: whose steps they are.

    A sample is one attempt. advantage: 1 for a right one and 0 for a wrong one, so `Reinforce`
    makes likely what is right and nothing else. step_value: what the search backed up at a step, at
    the token where a value head reads it, the step's last; value_weight: there 1 / steps, elsewhere
    0 (`StepValueLoss`). Notes solved_fraction, the share of trees with a right attempt.
    Source: card [178], which keeps four of each.
    """

    num_right: int = field(default=4, metadata=LAZY)
    num_wrong: int = field(default=4, metadata=LAZY)
    right: float = field(default=1.0, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "advantage", "step_value", "value_weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "num_right": (self.num_right >= 1, "at least 1"),
                "num_wrong": (self.num_wrong >= 0, "at least 0"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of trees, right ones first."""
        model, samples = model_of(ctx), list[Sample]()
        num_trees = num_solved = 0
        for group, tree, outcomes in judged_trees(groups, verdicts, self.judge):
            for index in outcomes:
                if _attempt(group, tree, index).stop.cut_off:
                    outcomes[index] = -inf
            right = right_leaves(tree, outcomes, self.right)
            num_trees, num_solved = num_trees + 1, num_solved + bool(right)
            wrong = apart(tree, [i for i, v in outcomes.items() if v < self.right], self.num_wrong)
            for index in [*right[: self.num_right], *wrong]:
                row = self._row(ctx, tree, index)
                if row is not None:
                    columns = {"advantage": float(outcomes[index] >= self.right)}
                    sources = (_attempt(group, tree, index).id,)
                    samples.append(Sample(model, (row,), columns, sources=sources))
        ctx.note("solved_fraction", num_solved / max(1, num_trees))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _row(self, ctx: Any, tree: Tree, index: int) -> Row | None:
        """The way to a node with the values on it; None where it makes no row or has none."""
        row = way_row(tree, index, self.role)
        if row is None:
            return None
        value, weight = (np.zeros(len(row.tokens), np.float32) for _ in range(2))
        for node in tree.path(index):
            read = read_at(ctx, tree, node.index, self.role, self.role)
            is_there = node.visits and np.array_equal(row.tokens[: len(read)], read)
            if is_there and row.columns["weight"][len(read) - 1]:
                value[len(read) - 1], weight[len(read) - 1] = node.value, 1.0
        if not weight.any():
            return None
        columns = {**row.columns, "step_value": value, "value_weight": weight / weight.sum()}
        return Row(row.tokens, columns)


def _attempt(group: Group, tree: Tree, index: int) -> Attempt:
    return group.attempts[int(tree.nodes[index].labels["attempt"])]


def apart(tree: Tree, ends: Sequence[int], num: int) -> list[int]:
    """At most `num` of these nodes, each sharing as few places as possible with any before it; of
    equals the first that was made."""
    ways = {i: {n.index for n in tree.path(i)} for i in ends}
    found: list[int] = []

    def shared(index: int) -> int:
        return max((len(ways[index] & ways[other]) for other in found), default=0)

    while len(found) < min(num, len(ways)):
        found.append(min((i for i in ways if i not in found), key=lambda i: (shared(i), i)))
    return found
