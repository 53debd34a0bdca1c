"""What a teacher wrote, and beside it the student's own answers, right and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample, StopReason
from askesis.records import Sequence as Row
from askesis.select.judged import finite_value, model_of, row_of

LAZY = {"lazy": True}
LESSON = "lesson"  # the tag of starts that a teacher answers


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A lesson a sample, with the student's own right and wrong answers to the task beside it.

    prompt_weight: of the tokens of the task and its frame in the likelihood, at least 0; answers
        have 1. 0.1 in the paper.
    reflect: whether own answers stand beside a lesson, for `Triplet`. Only where there are right
        and wrong ones.
    max_right, max_wrong: own answers of each kind, drawn at random, at least 1; 10 and 4 in the
        paper. Those with the same text count once; one that says what the lesson says is left out.
    threshold: a value of at least this is right, also of a lesson.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    role: who learns.

    Lessons are attempts at starts with the tag "lesson"; wrong ones are not learnt, and what they
    were shown is stripped. Own answers weigh 0, with the column side at their last token (2 right,
    -1 wrong; 1 the lesson). Source: card [25].
    """

    prompt_weight: float = field(default=0.1, metadata=LAZY)
    reflect: bool = field(default=True, metadata=LAZY)
    max_right: int = field(default=10, metadata=LAZY)
    max_wrong: int = field(default=4, metadata=LAZY)
    threshold: float = 1.0
    judge: str = ""
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "side"})
    atom = "set"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "prompt_weight": (0 <= self.prompt_weight < float("inf"), "at least 0"),
                "max_right": (self.max_right >= 1, "at least 1"),
                "max_wrong": (self.max_wrong >= 1, "at least 1"),
                "threshold": (self.threshold == self.threshold, "a number"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of lessons; see docs/metrics.md for what is noted."""
        model, samples = model_of(ctx), list[Sample]()
        lessons: list[Attempt] = []
        own: dict[str, tuple[list[Attempt], list[Attempt]]] = {}  # task -> right, wrong
        for attempt in (a for group in groups for a in group.attempts):
            value = finite_value(attempt, verdicts, self.judge)
            if value is None or attempt.stop is StopReason.FAILED:
                continue
            is_right = value >= self.threshold
            if attempt.start.tag == LESSON:
                lessons += [attempt] if is_right else []
            elif not (is_right and attempt.stop.cut_off):
                own.setdefault(attempt.task.id, ([], []))[not is_right].append(attempt)
        for number, lesson in enumerate(lessons):
            row = row_of(ctx, lesson, self.role)
            if row is None:
                continue
            rng = ctx.generator("beside", number)
            right, wrong = own.get(lesson.task.id, ([], [])) if self.reflect else ([], [])
            positive = self._few(ctx, right, self.max_right, row, rng)
            negative = self._few(ctx, wrong, self.max_wrong, row, rng)
            is_compared = bool(positive and negative)
            rows = [self._lesson(row, is_compared)]
            sources = [lesson.id]
            if is_compared:
                for side, some in ((2.0, positive), (-1.0, negative)):
                    rows += [_beside(other, side) for _, other in some]
                    sources += [name for name, _ in some]
            samples.append(Sample(model, tuple(rows), sources=tuple(sources)))
        num_compared = sum(len(s.sequences) > 1 for s in samples)
        ctx.note("reflected_fraction", num_compared / max(1, len(samples)))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _few(
        self, ctx: Any, attempts: Sequence[Attempt], most: int, lesson: Row, rng: Any
    ) -> list[tuple[str, Row]]:
        """At most so many different ones, none of them the lesson itself."""
        found: dict[bytes, tuple[str, Row]] = {}
        for attempt in attempts:
            row = row_of(ctx, attempt, self.role)
            if row is not None and not np.array_equal(row.tokens, lesson.tokens):
                found.setdefault(row.tokens.tobytes(), (attempt.id, row))
        rows = list(found.values())
        chosen = sorted(rng.permutation(len(rows))[:most].tolist())
        return [rows[i] for i in chosen]

    def _lesson(self, row: Row, is_compared: bool) -> Row:
        weight = np.where(row.columns["weight"] > 0, 1.0, self.prompt_weight)
        side = np.zeros(len(row.tokens))
        weight[0], side[-1] = 0.0, float(is_compared)  # the first token follows nothing
        columns = {"weight": weight.astype(np.float32), "side": side.astype(np.float32)}
        return Row(row.tokens, columns)


def _beside(row: Row, side: float) -> Row:
    """An answer that is looked at and not learnt."""
    columns = {"weight": np.zeros(len(row.tokens), np.float32)}
    columns["side"] = np.zeros(len(row.tokens), np.float32)
    columns["side"][-1] = side
    return Row(row.tokens, columns)
