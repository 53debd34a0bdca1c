"""Trees of repairs as lessons: a failed draft against its own repair, and how it was repaired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from askesis.errors import must_fit
from askesis.records import Group, Sample
from askesis.records import Sequence as Row
from askesis.search.branches import repair_start
from askesis.select.judged import model_of
from askesis.select.repaired import as_said, whole_row
from askesis.select.trees import judged_trees
from askesis.trees import Node, Tree

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class DraftPairs:
    """The draft that was repaired and the repair that came right, both as answers to the task.

    threshold: a value above this is right, below or at it wrong; 0.5 in the paper.
    judge: whose value of attempts counts (id, with or without version); "" takes the last.
    role: who drafts, and learns.

    One pair a tree: the rejected one is the draft itself and not a repair that failed on the way.
    A sample is (chosen, rejected) with the numbers margin and outcome as `BestAndWorst` makes them.
    Notes repaired_trees, of the trees in which a draft was repaired the share that came right.
    Source: SPaR, card [75].
    """

    threshold: float = 0.5
    judge: str = ""
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "margin", "outcome"})
    atom = "pair"

    def __post_init__(self) -> None:
        must_fit(self, {"threshold": (0 <= self.threshold < 1, "in [0, 1)")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of trees."""
        model, samples = model_of(ctx), list[Sample]()
        num_repaired = 0
        for group, tree, outcomes in judged_trees(groups, verdicts, self.judge):
            num_repaired += any(n.depth == 2 for n in tree.nodes)
            for draft, repair in won(tree, outcomes, self.threshold):
                rows = (_answer(draft, self.role), _answer(repair, self.role))
                numbers = {"margin": outcomes[repair.index] - outcomes[draft.index], "outcome": 1.0}
                samples.append(
                    Sample(model, (rows[1], rows[0]), numbers, _named(group, repair, draft))
                )
        ctx.note("repaired_trees", len(samples) / max(1, num_repaired))
        ctx.note("pairs", len(samples))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples


@dataclass(frozen=True, kw_only=True)
class RepairsThatWon:
    """What the refiner read when it came right: the answer above, what was said of it; and what it
    said then.

    threshold, judge: as in `DraftPairs`. role: whose answers they are. refiner: who learns.

    Of a tree only the last repair on the way is learnt. Source: SPaR's refiner data (a), card [75].
    """

    threshold: float = 0.5
    judge: str = ""
    role: str = field(default="policy", metadata=LAZY)
    refiner: str = field(default="refiner", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"threshold": (0 <= self.threshold < 1, "in [0, 1)")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of trees."""
        model, samples = model_of(ctx), list[Sample]()
        for group, tree, outcomes in judged_trees(groups, verdicts, self.judge):
            for _, repair in won(tree, outcomes, self.threshold):
                above = tree.nodes[repair.parent]
                said = [_said(node, self.role) for node in (above, repair)]
                told = next(t.text for t in repair.edge if t.role != self.role)
                start = repair_start(tree.start, above.index, "local", said[0].text, told)
                row = whole_row(as_said(ctx, self.refiner, start, said[1].text))
                samples.append(Sample(model, (row,), sources=_named(group, above, repair)))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples


def won(tree: Tree, outcomes: Mapping[int, float], threshold: float) -> Iterator[tuple[Node, Node]]:
    """The failing draft that was repaired, and the best repair below it that is right and was not
    cut off; of equals the first that was made. At most one pair.
    """
    right = [
        n
        for n in tree.nodes
        if n.depth > 1 and outcomes.get(n.index, 0.0) > threshold and not n.edge[-1].stop.cut_off
    ]
    if right:
        best = max(right, key=lambda n: (outcomes[n.index], -n.index))
        draft = tree.path(best.index)[0]
        if outcomes.get(draft.index, 1.0) <= threshold:
            yield draft, best


def _said(node: Node, role: str) -> Any:
    return [t for t in node.edge if t.role == role][-1]


def _answer(node: Node, role: str) -> Row:
    """An answer after the task alone, all that was said weighing 1."""
    turn = _said(node, role)
    return whole_row(turn)


def _named(group: Group, *nodes: Node) -> tuple[str, ...]:
    """The ids of the attempts that end in these nodes."""
    return tuple(group.attempts[int(n.labels["attempt"])].id for n in nodes)
