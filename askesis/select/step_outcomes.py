"""Every attempt with its outcome and a reward at the end of each step, for learners with values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.records import Attempt, Group, Sample
from askesis.records import Sequence as Row
from askesis.select.judged import judged
from askesis.select.outcomes import Outcomes
from askesis.select.sequences import without_privilege
from askesis.select.step_advantages import note_steps
from askesis.select.step_rewards import StepRewards, at_tokens
from askesis.select.turn_rows import rows_of_turns


@dataclass(frozen=True, kw_only=True)
class StepOutcomes:
    """The samples of `Outcomes`, and in each the column step_reward: coef * r_k at the last token
    of step k, 0 elsewhere.

    outcomes: what makes the samples and the number reward. Its judge must be named where the last
        verdict is not the outcome.
    steps: whose scores make r, how, and its coef (`StepRewards`). Where outcomes are scaled,
        rewards of steps are not: with `outcomes.scale false` both are in the verifier's units.

    For `GeneralisedAdvantages(step_rewards=True)`.
    """

    outcomes: Outcomes = field(default_factory=lambda: Outcomes(scale=False))
    steps: StepRewards = field(default_factory=StepRewards)

    atom = "sequence"

    @property
    def makes(self) -> frozenset[str]:
        """The columns it makes."""
        return self.outcomes.makes | {"step_reward"}

    def init(self, ctx: Any) -> Any:
        """The state of `outcomes`."""
        return self.outcomes.init(ctx)

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts."""
        part, samples = self.outcomes, self.outcomes.select(ctx, groups, verdicts)
        fit = list(judged(groups, verdicts, judge=part.judge, cut_off=part.cut_off))
        scores = self.steps.scores(fit, verdicts)
        rewards = self.steps.rewards(scores)
        coef = self.steps.coef
        known = {a.id: a for pairs in fit for a, _ in pairs}
        made = []
        for sample in samples:
            attempt = known[sample.sources[0]]
            own = coef * rewards[attempt.id] if attempt.id in rewards else None
            columns = at_tokens(attempt, scores.get(attempt.id), own, "last")
            made.append(_with(ctx, sample, attempt, part.role, columns))
        note_steps(ctx, rewards, len(known))
        return made

    def observe(self, ctx: Any, state: Any, view: Any) -> Any:
        """As `outcomes` does."""
        return self.outcomes.observe(ctx, state, view)


def _with(
    ctx: Any, sample: Sample, attempt: Attempt, role: str, columns: dict[int, np.ndarray]
) -> Sample:
    """A sample of one attempt with the column step_reward in its rows."""
    numbers = {turn: {"step_reward": column} for turn, column in columns.items()}
    empty = {place: {"step_reward": 0.0} for place, t in enumerate(attempt.turns) if t.role == role}
    turns = without_privilege(ctx, attempt, role)
    rows = rows_of_turns(turns, role, {**empty, **numbers})
    if [len(r.tokens) for r in rows] != [len(r.tokens) for r in sample.sequences]:
        raise ConfigError(
            f"attempt {attempt.id} cannot be paid step by step",
            expected="turns that were sampled",
            found="others, such as demonstrations",
        )
    both = [
        Row(old.tokens, {**old.columns, "step_reward": new.columns["step_reward"]})
        for old, new in zip(sample.sequences, rows, strict=True)
    ]
    return replace(sample, sequences=tuple(both))
