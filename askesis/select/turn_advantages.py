"""Each answer of an attempt with its own advantage: policy gradients that tell turns apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.advantages import group_standardised, has_signal, leave_one_out
from askesis.formulas.turns import shaped_rewards
from askesis.records import Group, Sample
from askesis.select.judged import model_of, must_compare
from askesis.select.sequences import without_privilege
from askesis.select.turn_rows import judged_turns, rows_of_turns

Baseline = Literal["leave_one_out", "standardised"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class TurnAdvantages:
    """Every answer with the advantage of its own reward over those of the same turn in the group.

    first_coef: what the first answer's score counts, in [0, 1]; 0 rewards revisions alone, as
        SCoRe's first stage does.
    bonus: alpha, what a revision is paid for the change in score, at least 0; 10 in card [2].
    baseline: "leave_one_out", the mean of the others at the same turn; "standardised", the mean in
        units of the spread.
    judge: whose scores count (id, with or without version); "" takes the last that has one a turn.
    cut_off: whether attempts count in which an answer was cut off.
    role: whose turns are answers.

    Credit does not cross turns (a discount of 0): tokens of turn t push with the reward of turn t.
    Samples have per-token columns advantage and turn (1, 2, ...), for objectives and columns that
    treat turns differently; turns whose reward counts nothing are learnt with advantage 0, which a
    divergence from a reference still feels. A turn that a single attempt of the group has reached
    has nothing to be compared with, and advantage 0.
    """

    first_coef: float = 1.0
    bonus: float = 10.0
    baseline: Baseline = field(default="leave_one_out", metadata=LAZY)
    judge: str = ""
    cut_off: bool = True
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight", "advantage", "turn"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "first_coef": (0 <= self.first_coef <= 1, "in [0, 1]"),
                "bonus": (0 <= self.bonus < float("inf"), "at least 0"),
                "baseline": (self.baseline in get_args(Baseline), ", ".join(get_args(Baseline))),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts; see docs/metrics.md for what is noted."""
        model, first, bonus = model_of(ctx), self.first_coef, self.bonus
        found = list(judged_turns(groups, verdicts, judge=self.judge, cut_off=self.cut_off))
        must_compare(found)
        samples: list[Sample] = []
        sizes: list[float] = []
        rewards: list[float] = []
        mixed = 0
        for pairs in found:
            shaped = [shaped_rewards(list(s.values()), bonus, first) for _, s in pairs]
            advantages = self._advantages(shaped)
            mixed += any(a for row in advantages for a in row)
            for (attempt, scores), row in zip(pairs, advantages, strict=True):
                numbers = {
                    place: {"advantage": advantage, "turn": float(turn)}
                    for turn, (place, advantage) in enumerate(zip(scores, row, strict=True), 1)
                }
                turns = without_privilege(ctx, attempt, self.role)
                rows = rows_of_turns(turns, self.role, numbers)
                if rows:
                    samples.append(Sample(model, tuple(rows), sources=(attempt.id,)))
                sizes += [abs(a) for a in row]
            rewards += [sum(row) for row in shaped]
        if rewards:
            ctx.note("reward", float(np.mean(rewards)))
            ctx.note("reward_std", float(np.std(rewards)))
        ctx.note("advantage_size", float(np.mean(sizes or [0])))
        ctx.note("mixed_fraction", mixed / max(1, len(found)))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _advantages(self, shaped: list[list[float]]) -> list[list[float]]:
        """Per attempt and turn; attempts may have different numbers of turns."""
        made = [[0.0] * len(row) for row in shaped]
        for turn in range(max(map(len, shaped))):
            there = [i for i, row in enumerate(shaped) if len(row) > turn]
            values = np.array([shaped[i][turn] for i in there])
            if len(there) < 2 or not has_signal(values):
                continue
            found = (
                group_standardised(values)
                if self.baseline == "standardised"
                else leave_one_out(values)
            )
            for i, advantage in zip(there, found, strict=True):
                made[i][turn] = float(advantage)
        return made
