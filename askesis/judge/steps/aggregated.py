"""The worth of an attempt, made of what was said of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

from askesis.context import Verdicts
from askesis.errors import must_fit
from askesis.formulas.step_rewards import Aggregator, aggregate
from askesis.judge.several import Around
from askesis.judge.steps.head import StepHead
from askesis.records import About, Group, Verdict, VerdictKind
from askesis.steps import step_scores


@dataclass(frozen=True, kw_only=True)
class Aggregated(Around):
    """An outcome from the steps: their least, product, last, mean or sum.

    inner: a judge of steps.
    by: min | product | last | mean | sum. Correctness of steps goes with min and product, values
        with last; of log-ratios the sum is the outcome's reward, and min what card [133] ranks by.
    meaning: which of the inner judge's verdicts count, where it says several ("": the last).

    The inner judge's verdicts come first, then one outcome for each attempt, signed with the
    aggregator: "min-of-steps-v1". Unknown where the steps are.
    """

    inner: Any = field(default_factory=StepHead)
    by: Aggregator = "min"
    meaning: str = ""

    def __post_init__(self) -> None:
        must_fit(self, {"by": (self.by in get_args(Aggregator), " or ".join(get_args(Aggregator)))})

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        by, meaning = self.by, self.meaning
        said = list(await self.inner.judge(ctx, group))
        verdicts = Verdicts(said)
        for attempt in group.attempts:
            scores = step_scores(verdicts, attempt, meaning=meaning)
            value = aggregate(scores.values, by) if scores is not None else None
            why = f"{len(scores.values)} steps" if scores is not None else "no steps are known"
            about = About(attempt.id)
            judge = f"{by}-of-steps-v1"
            said.append(Verdict(judge, about, VerdictKind.OUTCOME, value, rationale=why))
        return said
