"""The vote of a group in which some attempts count more than others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.step_rewards import weighted_vote
from askesis.judge.several import Around
from askesis.judge.steps.aggregated import Aggregated
from askesis.records import About, Attempt, Group, StopReason, Verdict, VerdictKind

Weigh = Literal["value", "sigmoid"]
LONGEST_ANSWER = 100_000  # characters; anything longer is no answer and abstains


@dataclass(frozen=True, kw_only=True)
class WeightedVote(Around):
    """Agreement with the answer that has the most weight behind it: 1, 0, or unknown.

        winner = argmax_a sum_{i: a_i = a} w_i

    inner: whose value of an attempt is its weight, such as the product of its steps' scores.
    weigh: "value": the number itself, which must be at least 0; "sigmoid": of it, for log-ratios.

    An attempt's answer is the world's `extract`, where it has that, else its text. Attempts without
    answer, and those whose value is unknown, have no vote; where nobody has, the group is unknown.
    The inner judge's verdicts come first, then these, signed "weighted-vote-v1"; `draws` is the
    winner's share of all weight. Cards [133], [135].
    """

    inner: Any = field(default_factory=Aggregated)
    weigh: Weigh = "value"

    def __post_init__(self) -> None:
        if self.weigh not in get_args(Weigh):
            raise ConfigError(
                "WeightedVote.weigh is out of range", expected="value or sigmoid", found=self.weigh
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        weigh = self.weigh
        said = list(await self.inner.judge(ctx, group))
        values = {
            v.about.attempt: float(v.value)
            for v in said
            if v.value is not None and not v.about.other and v.about.node < 0
        }
        answers = [_answer(ctx, a) if a.id in values else "" for a in group.attempts]
        weights = np.array([values.get(a.id, 0.0) for a in group.attempts])
        if weigh == "sigmoid":
            weights = 1 / (1 + np.exp(-np.clip(weights, -60, 60)))
        weights = np.where([bool(a) for a in answers], weights, 0.0)
        if len(weights) and weights.min() < 0:
            raise ConfigError(
                "the weights of a vote must not be negative",
                found=f"{weights.min():g}",
                hint='WeightedVote(weigh="sigmoid") takes any number',
            )
        winner, share = weighted_vote(answers, weights)
        why = f"{winner[:80]!r} has {share:.0%} of the weight" if winner else "nobody has a vote"
        for attempt, answer in zip(group.attempts, answers, strict=True):
            agrees = float(answer == winner) if winner else None
            about, kind = About(attempt.id), VerdictKind.OUTCOME
            judge = "weighted-vote-v1"
            said.append(Verdict(judge, about, kind, agrees, draws=(share,), rationale=why))
        return said


def _answer(ctx: Any, attempt: Attempt) -> str:
    text = attempt.text
    if attempt.stop is StopReason.FAILED or len(text) > LONGEST_ANSWER:
        return ""
    extract = getattr(ctx.world_of(attempt.task), "extract", None)
    return str(extract(text)) if extract is not None else " ".join(text.split())
