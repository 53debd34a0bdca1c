"""Attempts with a label at the end of each step: what heads learn that judge steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.records import Group, Sample, StopReason
from askesis.records import Sequence as Row
from askesis.select.judged import model_of
from askesis.steps import StepScores, step_scores, were_judged


@dataclass(frozen=True, kw_only=True)
class StepLabels:
    """One sample an attempt: what was read and said, a weight and a label at each step's end.

    judge: whose scores are the labels (id, with or without version); "" takes the last that has
        any. meaning: which of them: value or correctness; "" any. They must be in [0, 1].
    balance: steps below and from 0.5 on get the same weight in all, so that a head does not learn
        that most steps are right (card [129]).
    before: a label before the first step too, where the scores have one.

    For `LabelledReward(where="weight")`; `StepHead` reads the head where it learnt. Attempts
    without scores are left out; where nobody was asked for any, it raises ConfigError. Notes
    good_fraction, the mean of the labels.
    """

    judge: str = ""
    meaning: str = ""
    balance: bool = False
    before: bool = True

    makes = frozenset({"weight", "label"})
    atom = "sequence"

    def __post_init__(self) -> None:
        if self.meaning not in ("", "value", "correctness"):
            raise ConfigError(
                "StepLabels.meaning is out of range",
                expected="value or correctness",
                found=self.meaning,
            )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts."""
        model, balance = model_of(ctx), self.balance
        samples, labels = list[Sample](), list[float]()
        attempts = [a for g in groups for a in g.attempts if a.stop is not StopReason.FAILED]
        for attempt in attempts:
            scores = step_scores(verdicts, attempt, self.judge, self.meaning)
            if scores is None:
                continue
            for row, said in self._rows(attempt, scores):
                samples.append(Sample(model, (row,), sources=(attempt.id,)))
                labels += said
        judged = were_judged(verdicts, attempts, self.judge, self.meaning)
        if attempts and not samples and not judged:
            raise ConfigError(
                "there is nothing to learn about steps",
                expected=f"scores of steps from judge {self.judge or '(any)'}",
                found="none of any attempt",
                hint="let one of judge.steps.* judge",
            )
        if balance and samples:
            samples = _balanced(samples, np.array(labels))
        if labels:
            ctx.note("good_fraction", float(np.mean(labels)))
        ctx.note("steps", len(labels))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _rows(self, attempt: Any, scores: StepScores) -> list[tuple[Row, list[float]]]:
        """A row for each turn with steps, and its labels."""
        values = scores.values
        if len(values) and not 0 <= values.min() <= values.max() <= 1:
            raise ConfigError(
                f"the scores of attempt {attempt.id} are no labels",
                expected="numbers in [0, 1]",
                found=f"{values.min():g} to {values.max():g}",
            )
        found: list[tuple[Row, list[float]]] = []
        for place in sorted({turn for turn, _, _ in scores.spans}):
            turn = attempt.turns[place]
            tokens = np.concatenate([turn.context, turn.tokens]).astype(np.int32)
            read = len(turn.context)
            weight, label = np.zeros(len(tokens), np.float32), np.zeros(len(tokens), np.float32)
            at = [
                (read + end - 1, float(v))
                for (t, _, end), v in zip(scores.spans, values, strict=True)
                if t == place
            ]
            is_first = not found
            if self.before and is_first and scores.before is not None:
                at = [(read + scores.spans[0][1] - 1, scores.before), *at]
            for position, value in at:
                weight[position], label[position] = 1.0, value
            row = Row(tokens, {"weight": weight, "label": label})
            found.append((row, [value for _, value in at]))
        return found


def _balanced(samples: list[Sample], labels: np.ndarray) -> list[Sample]:
    """Weights such that steps below 0.5 and the others weigh alike, one a step on average."""
    is_good = labels >= 0.5
    num, good = len(labels), int(is_good.sum())
    if good in (0, num):
        return samples
    share = {True: num / (2 * good), False: num / (2 * (num - good))}
    made = []
    for sample in samples:
        (row,) = sample.sequences
        weight = row.columns["weight"]
        factor = np.where(row.columns["label"] >= 0.5, share[True], share[False])
        columns = {**row.columns, "weight": (weight * factor).astype(np.float32)}
        made.append(Sample(sample.model, (Row(row.tokens, columns),), sources=sample.sources))
    return made
