"""Scores of steps as something to be learnt: which transform, for which steps, at which token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.formulas.step_rewards import (
    best_of_value,
    clipped,
    delta,
    largest_return_normalised,
    look_ahead,
    progress,
)
from askesis.records import Attempt
from askesis.steps import StepScores, step_scores, tokens_of_steps, were_judged

Transform = Literal["best_of", "look_ahead", "clip", "delta", "progress"]
LAZY = {"lazy": True}
Scored = list[tuple[Attempt, float]]


@dataclass(frozen=True, kw_only=True)
class StepRewards:
    """From what judges say of steps to a reward for each.

    judge: whose scores (id, with or without version); "" takes the last that has any.
    meaning: which of them: value | advantage | correctness | log_ratio; "" any.
    transforms: of the scores, in this order: "best_of" (of values: for the best of `best_of`
        tries), "look_ahead" (corrected by later ones), "clip" (what lies above `eta` earns
        nothing), "delta" (differences that sum up to a step's own score), "progress" (differences
        from the step before). () takes the scores as they are.
    eta: of "clip". best_of: of "best_of", at least 1.
    normalise: divide by the largest return of a step in the whole round, so that the coefficient
        means the same at any scale.
    coef: alpha, what rewards of steps count beside the outcome, at least 0; 0 asks for no scores.

    "progress" needs the score before the first step, and takes it from what values have. Of an
    attempt without scores all rewards are 0; where nobody was asked for any, it raises ConfigError.
    """

    judge: str = field(default="", metadata=LAZY)
    meaning: str = field(default="", metadata=LAZY)
    transforms: tuple[Transform, ...] = field(default=(), metadata=LAZY)
    eta: float = field(default=0.0, metadata=LAZY)
    best_of: int = field(default=4, metadata=LAZY)
    normalise: bool = field(default=False, metadata=LAZY)
    coef: float = 1.0

    def __post_init__(self) -> None:
        meanings = ("", "value", "advantage", "correctness", "log_ratio")
        known = get_args(Transform)
        must_fit(
            self,
            {
                "meaning": (self.meaning in meanings, " or ".join(filter(None, meanings))),
                "transforms": (all(t in known for t in self.transforms), " | ".join(known)),
                "eta": (abs(self.eta) < float("inf"), "a finite number"),
                "best_of": (self.best_of >= 1, "at least 1"),
                "coef": (0 <= self.coef < float("inf"), "at least 0"),
            },
        )

    def scores(self, groups: Sequence[Scored], verdicts: Any) -> dict[str, StepScores]:
        """Attempt id -> its scores, of those that have any. Empty with coef 0."""
        if not self.coef:
            return {}
        judge, meaning = self.judge, self.meaning
        attempts = [attempt for group in groups for attempt, _ in group]
        found = {a.id: step_scores(verdicts, a, judge, meaning) for a in attempts}
        known = {name: scores for name, scores in found.items() if scores is not None}
        if attempts and not known and not were_judged(verdicts, attempts, judge, meaning):
            whose = f"judge {judge!r}" if judge else "any judge"
            raise ConfigError(
                f"this selector needs scores of steps from {whose}",
                expected=f"verdicts of meaning {meaning}" if meaning else "a vector a verdict",
                found="verdicts about whole attempts alone",
                hint="let one of judge.steps.* judge too: judge.several takes both",
            )
        return known

    def rewards(self, scores: Mapping[str, StepScores]) -> dict[str, np.ndarray]:
        """Attempt id -> a reward a step, (K,), transformed and normalised, without coef."""
        made = {name: self.one(found) for name, found in scores.items()}
        if self.normalise:
            made = dict(zip(made, largest_return_normalised(list(made.values())), strict=True))
        return made

    def one(self, scores: StepScores) -> np.ndarray:
        """A reward a step of one attempt, without what the round has to be known for."""
        values, before = scores.values, scores.before
        for transform in self.transforms:
            if transform == "best_of":
                values = best_of_value(values, self.best_of)
                before = None if before is None else float(best_of_value(before, self.best_of))
            elif transform == "look_ahead":
                values = look_ahead(values)
            elif transform == "clip":
                values = clipped(values, self.eta)
                before = None if before is None else min(before - self.eta, 0.0)
            elif transform == "delta":
                values = delta(values)
            else:
                if before is None:
                    raise ConfigError(
                        "progress needs what was to be expected before the first step",
                        found=f"scores of meaning {scores.meaning} that do not say",
                        hint="take a judge of values: judge.steps.rollouts or judge.steps.head",
                    )
                values, before = progress(values, before), 0.0
        return values


def at_tokens(
    attempt: Attempt, scores: StepScores | None, numbers: np.ndarray | None, where: str = "all"
) -> dict[int, np.ndarray]:
    """Numbers of steps as numbers of tokens: turn -> (tokens,), 0 where there is no step.

    where: "all" tokens of a step, or its "last".
    """
    if scores is None or numbers is None:
        return {}
    found = {}
    for turn, step_of in tokens_of_steps(attempt, scores.spans).items():
        column = np.append(numbers, 0.0)[step_of]
        if where == "last":
            column = np.zeros(len(step_of))
            for (place, _, end), number in zip(scores.spans, numbers, strict=True):
                if place == turn:
                    column[end - 1] = number
        found[turn] = column
    return found
