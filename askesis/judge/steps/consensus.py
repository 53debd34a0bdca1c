"""Two annotators of steps, who are believed where they agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from askesis.errors import ConfigError, must_fit
from askesis.formulas.step_rewards import consensus
from askesis.judge.several import begin, tags_of
from askesis.judge.steps.rollouts import RolloutValues
from askesis.records import Attempt, Group, Verdict, VerdictKind
from askesis.steps import StepScores, no_steps, scores_of, step_verdict


@dataclass(frozen=True, kw_only=True)
class Consensus:
    """Labels of steps where two judges name the same first error, or both none.

    first, second: judges of steps of meaning correctness, which cut alike and must not share a
        model. The usual pair is completions of which one at least came out right, and a critic.
    threshold: correctness below this is an error, in (0, 1].

    Both judges' verdicts come first; for each attempt one follows, signed "consensus-v1", of
    meaning correctness, up to the first error and with it, or unknown where they disagree. Source:
    card [171].
    """

    first: Any = field(default_factory=lambda: RolloutValues(label="any"))
    second: Any = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "second": (hasattr(self.second, "judge"), "a second judge of steps"),
                "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
            },
        )

    @property
    def snapshots(self) -> tuple[str, ...]:
        """The kept weights that the judges inside ask for."""
        return (*tags_of(self.first), *tags_of(self.second))

    def on_phase_start(self, ctx: Any) -> None:
        """What both judges check before their first round."""
        begin(self.first, ctx)
        begin(self.second, ctx)

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        one = list(await self.first.judge(ctx, group))
        other = list(await self.second.judge(ctx, group))
        agreed = [self._one(a, _labels(a, one), _labels(a, other)) for a in group.attempts]
        return [*one, *other, *agreed]

    def _one(
        self, attempt: Attempt, first: StepScores | None, second: StepScores | None
    ) -> Verdict:
        judge, meaning = "consensus-v1", VerdictKind.CORRECTNESS
        if first is None or second is None:
            return no_steps(judge, attempt, meaning, "one of the two does not know")
        if first.spans != second.spans:
            raise ConfigError(
                f"the two judges cut attempt {attempt.id} into other steps",
                expected="equal spans, from equal separators",
                found=f"{len(first.spans)} and {len(second.spans)} steps",
            )
        labels = consensus(first.values, second.values, self.threshold)
        if labels is None:
            return no_steps(judge, attempt, meaning, "the two name different steps")
        scores = StepScores(labels, meaning, first.spans[: len(labels)])
        return step_verdict(judge, attempt, scores)


def _labels(attempt: Attempt, said: list[Verdict]) -> StepScores | None:
    """The last correctness of an attempt's steps among verdicts."""
    for verdict in reversed(said):
        if verdict.about.attempt == attempt.id and verdict.kind is VerdictKind.CORRECTNESS:
            return scores_of(verdict)
    return None
