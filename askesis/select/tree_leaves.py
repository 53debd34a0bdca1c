"""Right attempts of a tree that came there by good steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from askesis.errors import must_fit
from askesis.records import Group, Sample
from askesis.search.harvest import right_leaves
from askesis.select.judged import model_of, sample_of
from askesis.select.trees import judged_trees

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class TreeLeaves:
    """The right attempts of each tree, the best ways first.

    gate: no step on the way is worth less than this by its own value, as the search's evaluator
        gave it (None: only the outcome counts). This takes out right answers with wrong steps;
        0.2 in card [0].
    num: attempts a tree, at least 1; 4 in cards [24] and [178], 1 in card [16]. Ways are ordered by
        the weakest own value on them.
    right: an attempt worth at least this is right. judge: whose value counts.
    role: who speaks.

    Notes solved_fraction, the share of trees with a right attempt, and gated_fraction, the share of
    right attempts that the gate kept out.
    """

    gate: float | None = field(default=None, metadata=LAZY)
    num: int = field(default=4, metadata=LAZY)
    right: float = field(default=1.0, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"num": (self.num >= 1, "at least 1")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of trees."""
        model, samples = model_of(ctx), list[Sample]()
        num_trees = num_solved = num_right = num_passed = 0
        for group, tree, outcomes in judged_trees(groups, verdicts, self.judge):
            every = right_leaves(tree, outcomes, self.right)
            passed = right_leaves(tree, outcomes, self.right, self.gate)
            num_trees, num_solved = num_trees + 1, num_solved + bool(every)
            num_right, num_passed = num_right + len(every), num_passed + len(passed)
            for index in passed[: self.num]:
                attempt = group.attempts[int(tree.nodes[index].labels["attempt"])]
                sample = sample_of(ctx, model, attempt, self.role)
                if sample is not None:
                    samples.append(sample)
        ctx.note("solved_fraction", num_solved / max(1, num_trees))
        ctx.note("gated_fraction", 1 - num_passed / num_right if num_right else 0.0)
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples
