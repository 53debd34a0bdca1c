"""Two answers of one attempt as a pair: the right one chosen, the wrong one rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample
from askesis.records import Sequence as Row
from askesis.select.judged import model_of
from askesis.select.turn_rows import judged_turns

Which = Literal["both", "mended", "spoilt"]


@dataclass(frozen=True, kw_only=True)
class TurnPairs:
    """Attempts in which exactly one of the first and the last answer is right, as pairs.

    threshold: a score of at least this is right.
    which: "mended", first answers that were wrong and are right at the end; "spoilt", the other way
        round; "both", as in card [42].
    max_per_task: at most so many pairs of one task, drawn at random, at least 1 (None: all).
    judge: whose scores count (id, with or without version); "" takes the last that has one a turn.
    cut_off: whether attempts count in which an answer was cut off.
    role: whose turns are answers.

    Both answers are rows *to the task alone*, as if each had been the first thing said: what is
    learnt is a better first answer, not a better revision. Pairs of the same text are left out. A
    sample has the numbers margin, the difference of the scores, and outcome, 1. Notes `pairs` and
    `pairs_per_attempt`, which falls to 0 where revisions only repeat.
    """

    threshold: float = 1.0
    which: Which = "both"
    max_per_task: int | None = field(default=None, metadata={"lazy": True})
    judge: str = ""
    cut_off: bool = True
    role: str = field(default="policy", metadata={"lazy": True})

    makes = frozenset({"weight", "margin", "outcome"})
    atom = "pair"

    def __post_init__(self) -> None:
        most = self.max_per_task
        must_fit(
            self,
            {
                "threshold": (self.threshold == self.threshold, "a number"),
                "which": (self.which in get_args(Which), ", ".join(get_args(Which))),
                "max_per_task": (most is None or most >= 1, "at least 1, or none"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts; see docs/metrics.md for what is noted."""
        model, threshold, which = model_of(ctx), self.threshold, self.which
        samples: list[Sample] = []
        last: list[float] = []
        num_attempts = num_pairs = 0
        for number, inside in enumerate(
            judged_turns(groups, verdicts, judge=self.judge, cut_off=self.cut_off)
        ):
            made = []
            for attempt, scores in inside:
                num_attempts += 1
                places = (min(scores), max(scores))
                first, end = (scores[p] >= threshold for p in places)
                last.append(float(end))
                if first == end or which == ("spoilt" if end else "mended"):
                    continue
                better, worse = reversed(places) if end else places
                rows = [_first_answer(ctx, attempt, p, self.role) for p in (better, worse)]
                if not np.array_equal(rows[0].tokens, rows[1].tokens):
                    columns = {"margin": abs(scores[better] - scores[worse]), "outcome": 1.0}
                    made.append(Sample(model, tuple(rows), columns, (attempt.id,)))
            num_pairs += len(made)
            if self.max_per_task is not None and len(made) > self.max_per_task:
                lots = ctx.generator("few", number).permutation(len(made))
                made = [made[i] for i in sorted(lots[: self.max_per_task])]
            samples += made
        if last:
            ctx.note("reward", float(np.mean(last)))
        ctx.note("pairs", len(samples))
        ctx.note("pairs_per_attempt", num_pairs / max(1, num_attempts))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples


def _first_answer(ctx: Any, attempt: Attempt, place: int, role: str) -> Row:
    """What a turn said, as a row that answers the task itself (privileged text left out)."""
    context = ctx.render(role, replace(attempt.start, privileged=None, tag="", prefix=()))
    said = attempt.turns[place].tokens
    tokens = np.concatenate([context, said]).astype(np.int32)
    weight = np.concatenate([np.zeros(len(context)), np.ones(len(said))]).astype(np.float32)
    return Row(tokens, {"weight": weight})
