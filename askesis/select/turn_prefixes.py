"""Every answer of an attempt, learnt after all that was said before it, weighted by its reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.turns import reward_weight
from askesis.records import Attempt, Group, Sample
from askesis.select.judged import model_of
from askesis.select.sequences import without_privilege
from askesis.select.turn_rows import Scores, judged_turns, rows_of_turns

Keep = Literal["all", "better", "best", "right"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class TurnPrefixes:
    """One sample for every prefix of an attempt, in which only its last answer is learnt.

    tau: weights are exp(reward / tau), above 0; with rewards 1, 0 and -1, 0.4 makes 12.2, 1 and
        0.08.
    keep: which answers are learnt. "all" (card [237]); "better": first ones, and revisions with a
        higher score than the answer before; "best": first ones, and revisions at least as good as
        all before; "right": a score of at least `threshold`, first ones too.
    weighted: without, all that is kept counts alike (success-only learning is keep "right").
    distinct: leave out answers that repeat, letter for letter, one before them in the attempt;
        without that the model learns to repeat itself.
    threshold: see keep.
    judge: whose scores count (id, with or without version); "" takes the last that has one a turn.
    cut_off: whether attempts count in which an answer was cut off.
    role: whose turns are answers.

    Weights are relative: a supervised step divides by their sum. Attempts that began in the middle
    (revisions that were drawn and not gone on with) are left out, as are further attempts' equal
    samples of one task. Source: Qu et al. 2024, RISE, card [237].
    """

    tau: float = field(default=0.4, metadata=LAZY)
    keep: Keep = field(default="all", metadata=LAZY)
    weighted: bool = field(default=True, metadata=LAZY)
    distinct: bool = field(default=True, metadata=LAZY)
    threshold: float = field(default=1.0, metadata=LAZY)
    judge: str = ""
    cut_off: bool = True
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "tau": (0 < self.tau < float("inf"), "above 0"),
                "keep": (self.keep in get_args(Keep), ", ".join(get_args(Keep))),
                "threshold": (self.threshold == self.threshold, "a number"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups, attempts and turns."""
        model = model_of(ctx)
        samples: dict[bytes, Sample] = {}
        weights: list[float] = []
        num_answers = num_repeated = num_later = 0
        for inside in judged_turns(groups, verdicts, judge=self.judge, cut_off=self.cut_off):
            for attempt, scores in inside:
                if attempt.start.tag == "revision":
                    continue
                turns = without_privilege(ctx, attempt, self.role)
                num_answers += len(scores)
                repeated = self._repeated(attempt, scores)
                num_repeated += len(repeated)
                for place in self._kept(scores):
                    if self.distinct and place in repeated:
                        continue
                    weight = reward_weight(scores[place], self.tau) if self.weighted else 1.0
                    said = turns[: place + 1]  # what came after is no part of this prefix
                    for row in rows_of_turns(said, self.role, {place: {"weight": weight}}):
                        one = Sample(model, (row,), sources=(attempt.id,))
                        if samples.setdefault(row.tokens.tobytes(), one) is one:
                            weights.append(weight)
                            num_later += place != min(scores)
        ctx.note("samples", len(samples))
        ctx.note("revisions", num_later)
        ctx.note("repeated_fraction", num_repeated / max(1, num_answers))
        ctx.note("mean_weight", float(np.mean(weights or [0])))
        ctx.note("tokens", sum(s.num_tokens for s in samples.values()))
        return list(samples.values())

    def _kept(self, scores: Scores) -> list[int]:
        kept, before = [], list[float]()
        for place, score in scores.items():
            fits = {
                "all": True,
                "better": not before or score > before[-1],
                "best": not before or score >= max(before),
                "right": score >= self.threshold,
            }[self.keep]
            if fits:
                kept.append(place)
            before.append(score)
        return kept

    def _repeated(self, attempt: Attempt, scores: Scores) -> set[int]:
        """Places of answers that say again what was said in the same attempt."""
        seen, found = set[str](), set[int]()
        for place in scores:
            text = attempt.turns[place].text
            if text in seen:
                found.add(place)
            seen.add(text)
        return found
