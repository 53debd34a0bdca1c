"""Attempts with an advantage for each token, from the outcome and from what steps are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.advantages import (
    group_centred,
    group_standardised,
    has_signal,
    leave_one_out,
)
from askesis.formulas.credit import process_advantages, turn_returns
from askesis.formulas.step_rewards import step_leave_one_out
from askesis.records import Attempt, Group, Sample
from askesis.select.judged import judged, model_of, must_compare
from askesis.select.sequences import without_privilege
from askesis.select.step_rewards import StepRewards, at_tokens
from askesis.select.turn_rows import rows_of_turns
from askesis.steps import sampled

Baseline = Literal["leave_one_out", "standardised", "centred", "none"]
StepBaseline = Literal["none", "leave_one_out", "standardised"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class StepAdvantages:
    """Every token with the advantage of its attempt's outcome and that of its own step.

        A_t = outcome_coef * ( R_i - baseline ) + coef * sum_{j >= k} gamma^(j-k) r_j,   t in step k

    steps: whose scores make r, how, and its coef (`StepRewards`).
    to_go: a step is credited with its own reward and all later ones; without it with its own alone
        (which is right where rewards are advantages, card [129]).
    gamma: discount a step, in [0, 1].
    step_baseline: what is taken off r before it is summed: "none"; "leave_one_out": the mean reward
        of a step in the group's other attempts (PRIME, card [146]); "standardised": r in units of
        all the group's steps (GRPO with process supervision; summed whatever `to_go` says).
    baseline: of the outcome, as in `GroupAdvantages`, and "none". outcome_coef: at least 0.
    whiten: all advantages of the round get mean 0 and spread 1, over learnt tokens.
    judge: whose value is the outcome (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off count.
    role: whose tokens are learnt.

    One sample an attempt with the per-token column advantage. A group of one has nothing to compare
    and is left out where a baseline compares.
    """

    steps: StepRewards = field(default_factory=StepRewards)
    to_go: bool = field(default=True, metadata=LAZY)
    gamma: float = field(default=1.0, metadata=LAZY)
    step_baseline: StepBaseline = field(default="none", metadata=LAZY)
    baseline: Baseline = "leave_one_out"
    outcome_coef: float = field(default=1.0, metadata=LAZY)
    whiten: bool = field(default=False, metadata=LAZY)
    judge: str = ""
    cut_off: bool = True
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "advantage"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "gamma": (0 <= self.gamma <= 1, "in [0, 1]"),
                "step_baseline": (
                    self.step_baseline in get_args(StepBaseline),
                    " or ".join(get_args(StepBaseline)),
                ),
                "baseline": (self.baseline in get_args(Baseline), " or ".join(get_args(Baseline))),
                "outcome_coef": (0 <= self.outcome_coef < float("inf"), "at least 0"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts; see docs/metrics.md for what is noted."""
        model, compares = model_of(ctx), self.baseline != "none"
        compares |= self.step_baseline == "leave_one_out"
        found = list(judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off))
        if compares:
            must_compare(found)
        fit = [pairs for pairs in found if len(pairs) > 1 or not compares]
        scores = self.steps.scores(fit, verdicts)
        rewards = self.steps.rewards(scores)
        rows: list[tuple[Attempt, dict[int, np.ndarray]]] = []
        for pairs in fit:
            outcomes = self.outcome_coef * self._outcomes([value for _, value in pairs])
            credits = self._credits([rewards.get(a.id, np.zeros(0)) for a, _ in pairs])
            for (attempt, _), outcome, credit in zip(pairs, outcomes, credits, strict=True):
                own = at_tokens(attempt, scores.get(attempt.id), self.steps.coef * credit)
                rows.append((attempt, self._tokens(attempt, float(outcome), own)))
        if self.whiten:
            _whiten(rows, self.role)
        samples = []
        for attempt, columns in rows:
            turns = without_privilege(ctx, attempt, self.role)
            numbers = {turn: {"advantage": column} for turn, column in columns.items()}
            made = rows_of_turns(turns, self.role, numbers)
            if made:
                samples.append(Sample(model, tuple(made), sources=(attempt.id,)))
        self._note(ctx, fit, rewards, rows, samples)
        return samples

    def _outcomes(self, values: list[float]) -> np.ndarray:
        if self.baseline == "none":
            return np.array(values)
        if self.baseline == "standardised":
            return group_standardised(values)
        return leave_one_out(values) if self.baseline == "leave_one_out" else group_centred(values)

    def _credits(self, rewards: list[np.ndarray]) -> list[np.ndarray]:
        """Of a group's attempts: what each step is credited with."""
        if self.step_baseline == "standardised":
            return process_advantages(rewards)
        if self.step_baseline == "leave_one_out":
            rewards = step_leave_one_out(rewards)
        return [turn_returns(r, self.gamma) if self.to_go else r for r in rewards]

    def _tokens(
        self, attempt: Attempt, outcome: float, own: dict[int, np.ndarray]
    ) -> dict[int, np.ndarray]:
        """Turn -> the advantages of its tokens."""
        return {
            place: outcome + own.get(place, np.zeros(len(turn.tokens)))
            for place, turn in enumerate(attempt.turns)
            if turn.role == self.role and len(turn.tokens)
        }

    def _note(
        self,
        ctx: Any,
        fit: list[list[tuple[Attempt, float]]],
        rewards: dict[str, np.ndarray],
        rows: list[tuple[Attempt, dict[int, np.ndarray]]],
        samples: list[Sample],
    ) -> None:
        values = [value for pairs in fit for _, value in pairs]
        if values:
            ctx.note("reward", float(np.mean(values)))
            ctx.note("reward_std", float(np.std(values)))
            known = [[v for _, v in pairs] for pairs in fit]
            ctx.note("mixed_fraction", float(np.mean([has_signal(v) for v in known])))
        note_steps(ctx, rewards, len(values))
        sizes = [np.abs(c[sampled(a.turns[t])]) for a, columns in rows for t, c in columns.items()]
        whole = np.concatenate(sizes) if sizes else np.zeros(0)
        ctx.note("advantage_size", float(whole.mean()) if len(whole) else 0.0)
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))


def note_steps(ctx: Any, rewards: dict[str, np.ndarray], num_attempts: int) -> None:
    """What steps were paid in a round."""
    if not rewards:
        return
    ctx.note("step_reward", float(np.mean([r.sum() for r in rewards.values()])))
    ctx.note("steps_per_attempt", float(np.mean([len(r) for r in rewards.values()])))
    ctx.note("unscored_fraction", 1 - len(rewards) / max(1, num_attempts))


def _whiten(rows: list[tuple[Attempt, dict[int, np.ndarray]]], role: str) -> None:
    """Mean 0 and spread 1 over the tokens that were sampled, in place."""
    learnt = [c[sampled(a.turns[turn])] for a, columns in rows for turn, c in columns.items()]
    whole = np.concatenate(learnt) if learnt else np.zeros(0)
    if not len(whole):
        return
    mean, scale = whole.mean(), whole.std() + 1e-8
    for _, columns in rows:
        for turn in columns:
            columns[turn] = (columns[turn] - mean) / scale
