"""Attempts with a label at the end of each step: what heads learn that judge steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    by_place: with balance, apart among first steps, among second ones and so on, so that it does
        not learn that early steps are right either (card [172]); a place where all labels are of
        one kind weighs nothing.
    before: a label before the first step too, where the scores have one.

    For `LabelledReward(where="weight")`; `StepHead` reads the head where it learnt. Attempts
    without scores are left out; where nobody was asked for any, it raises ConfigError. Notes
    good_fraction, the mean of the labels.
    """

    judge: str = ""
    meaning: str = ""
    balance: bool = False
    by_place: bool = field(default=False, metadata={"lazy": True})
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
            samples = _balanced(samples, self.by_place)
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


def _balanced(samples: list[Sample], by_place: bool) -> list[Sample]:
    """Weights such that steps below 0.5 and the others weigh alike, one a step on average; with
    `by_place` among the n-th steps of all rows, for every n.

    Where all are of one kind their weights stay, or with `by_place` go.
    """
    rows = [sample.sequences[0] for sample in samples]
    places = [np.flatnonzero(row.columns["weight"]) for row in rows]
    good = [row.columns["label"][at] >= 0.5 for row, at in zip(rows, places, strict=True)]
    kinds = [np.arange(len(at)) if by_place else np.zeros(len(at), int) for at in places]
    every, is_good = np.concatenate(kinds), np.concatenate(good)
    factors = {}
    for kind in set(every.tolist()):
        here = is_good[every == kind]
        num, right = len(here), int(here.sum())
        if right in (0, num):
            factors[kind] = np.full(2, 0.0 if by_place else 1.0)
        else:
            factors[kind] = num / (2 * np.array([num - right, right]))
    made = []
    for sample, row, at, own, are in zip(samples, rows, places, good, kinds, strict=True):
        weight = row.columns["weight"].copy()
        weight[at] *= [factors[k][int(g)] for k, g in zip(are.tolist(), own, strict=True)]
        if weight.any():
            columns = {**row.columns, "weight": weight}
            made.append(Sample(sample.model, (Row(row.tokens, columns),), sources=sample.sources))
    return made
