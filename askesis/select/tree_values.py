"""Prefixes of a tree with what they are worth: what value heads learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.records import Group, Sample
from askesis.records import Sequence as Row
from askesis.search.harvest import Scheme, balanced, values
from askesis.select.judged import model_of
from askesis.select.trees import judged_trees, read_at
from askesis.trees import Tree

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class TreeValues:
    """Every prefix of a tree that has a value, with that value at its last token.

    scheme: what it is: "backed", "soft", "hard", "shared", "first_error" or "look_back", see
        `askesis.search.harvest.values`.
    low, high: which values become the labels 0 and 1; for values that were backed up between -1 and
        1: low -1.
    balance: at every depth as many labels below 0.5 as from it on, at random.
    right: an attempt worth at least this is right.
    reader: the role whose head learns ("": the speaker itself). Another one reads the speaker's
        tokens as they are.
    judge: whose value of attempts counts (id, with or without version); "" takes the last.
    role: whose steps they are.

    Prefixes that lie on one way make one row, each with a weight and a label at its end, each once
    a tree. For `LabelledReward(where="weight")`; `ValueHead(squash="sigmoid")` reads the head in
    the next search. Notes good_fraction, the mean label, and prefixes.
    """

    scheme: Scheme = field(default="shared", metadata=LAZY)
    low: float = field(default=0.0, metadata=LAZY)
    high: float = field(default=1.0, metadata=LAZY)
    balance: bool = field(default=False, metadata=LAZY)
    right: float = field(default=1.0, metadata=LAZY)
    reader: str = field(default="", metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "label"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "scheme": (self.scheme in get_args(Scheme), ", ".join(get_args(Scheme))),
                "high": (self.high > self.low, "above low"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of trees and of the ways in them."""
        model, samples, labels = model_of(ctx), list[Sample](), list[float]()
        for group, tree, outcomes in judged_trees(groups, verdicts, self.judge):
            rows = values(tree, outcomes, self.scheme, self.right)
            if self.balance:
                rows = balanced(tree, rows, ctx.generator("balance", group.key), self._middle)
            label = {row.node: self._label(tree, row.value) for row in rows}
            for row, nodes in self._rows(ctx, tree, label):
                below = {i for i in outcomes if any(n == i for n in nodes)}
                numbers = [tree.nodes[i].labels["attempt"] for i in sorted(below)]
                sources = tuple(group.attempts[int(n)].id for n in numbers)
                samples.append(Sample(model, (row,), sources=sources))
                labels += [label[n] for n in nodes]
        if labels:
            ctx.note("good_fraction", float(np.mean(labels)))
        ctx.note("prefixes", len(labels))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    @property
    def _middle(self) -> float:
        return (self.low + self.high) / 2

    def _label(self, tree: Tree, value: float) -> float:
        label = (value - self.low) / (self.high - self.low)
        if not -1e-9 <= label <= 1 + 1e-9:
            raise ConfigError(
                f"a value of tree {tree.id} is no label",
                expected=f"from low {self.low:g} to high {self.high:g}",
                found=f"{value:g}",
                hint="--select.MODEL.low -1 where wrong attempts are worth -1",
            )
        return min(1.0, max(0.0, label))

    def _rows(self, ctx: Any, tree: Tree, label: dict[int, float]) -> list[tuple[Row, list[int]]]:
        """Rows, and which nodes have their label in each."""
        role = self.role
        reader = self.reader or role
        read = {i: read_at(ctx, tree, i, role, reader) for i in label}
        left, found = set(label), list[tuple[Row, list[int]]]()
        for end in sorted(label, key=lambda i: -tree.nodes[i].depth):
            if end not in left:
                continue
            tokens = read[end]
            weight, column = np.zeros(len(tokens), np.float32), np.zeros(len(tokens), np.float32)
            nodes = []
            for index in [0, *(n.index for n in tree.path(end))]:
                if index not in left:
                    continue
                num = len(read[index])
                if np.array_equal(tokens[:num], read[index]) and not weight[num - 1]:
                    weight[num - 1], column[num - 1] = 1.0, label[index]
                    nodes.append(index)
            left.difference_update(nodes)
            found.append((Row(tokens, {"weight": weight, "label": column}), nodes))
        return found
