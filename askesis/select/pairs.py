"""Two attempts at one task as a pair: the better one and a worse one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.games import best_and_worst
from askesis.records import Group, Sample
from askesis.select.judged import judged, model_of, must_compare, row_of

Rejected = Literal["worst", "random"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class BestAndWorst:
    """One pair a group: its best attempt as the chosen one, and another as the rejected one.

    rejected: "worst", or "random": any that is worse than the best (max-random).
    length_coef: taken off the value for every token an attempt has, at least 0.
    ties: whether groups whose values are all alike make a pair of their first two attempts, with
        outcome 0, for objectives that know ties; without, they are left out.
    reader: "": the rows are what was said, as a policy learns it. A role: the rows are whole
        attempts as that role reads them, with a weight on the last token alone, as a reward model
        learns them (`askesis.judge.reward_model`).
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off count.
    role: whose tokens are learnt.

    A sample is (chosen, rejected) with the numbers margin, the difference of their values, and
    outcome, 1 or 0. Pairs of the same text teach nothing and are left out. Source: Dong et al.
    2024, "RLHF Workflow", card [253].
    """

    rejected: Rejected = field(default="worst", metadata=LAZY)
    length_coef: float = field(default=0.0, metadata=LAZY)
    ties: bool = False
    reader: str = ""
    judge: str = ""
    cut_off: bool = True
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "margin", "outcome"})
    atom = "pair"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "rejected": (self.rejected in get_args(Rejected), "worst or random"),
                "length_coef": (0 <= self.length_coef < float("inf"), "at least 0"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; see docs/metrics.md for what is noted."""
        model, reader, ties = model_of(ctx), self.reader, self.ties
        rng = ctx.generator("rejected")
        found = list(judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off))
        must_compare(found)
        samples, num_tied = [], 0
        for pairs in found:
            attempts = [a for a, _ in pairs]
            scores = np.array([v for _, v in pairs])
            scores = scores - self.length_coef * np.array([a.num_tokens for a in attempts])
            places = best_and_worst(scores)
            num_tied += places is None
            outcome = 0.0 if places is None else 1.0
            if places is None and ties and len(attempts) > 1:
                places = (0, 1)
            elif places is not None and self.rejected == "random":
                worse = np.flatnonzero(scores < scores[places[0]])
                places = (places[0], int(worse[rng.integers(len(worse))]))
            if places is None:
                continue
            chosen, rejected = (attempts[i] for i in places)
            rows = [row_of(ctx, a, self.role, reader) for a in (chosen, rejected)]
            better, worse_row = rows
            if better is None or worse_row is None:
                continue
            if np.array_equal(better.tokens, worse_row.tokens):
                continue
            margin = float(scores[places[0]] - scores[places[1]])
            columns = {"margin": margin, "outcome": outcome}
            sources = (chosen.id, rejected.id)
            samples.append(Sample(model, (better, worse_row), columns, sources))
        values = [v for pairs in found for _, v in pairs]
        if values:
            ctx.note("reward", float(np.mean(values)))
        ctx.note("tied_fraction", num_tied / max(1, len(found)))
        ctx.note("pairs", len(samples))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples
