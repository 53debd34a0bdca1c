"""A judge of steps against the truth about steps, on answers it has not learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.formulas.intervals import clustered_mean
from askesis.formulas.judging import first_error, first_error_f1
from askesis.formulas.ranking import clustered_auroc
from askesis.formulas.ratios import bootstrap_over_clusters
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Attempt, Group, Purpose, Start, StopReason, TaskRole, VerdictKind
from askesis.requests import All
from askesis.steps import StepScores, aligned, step_scores

NUM_DRAWS = 100  # of the bootstrap of F1
IN_SHARES = (VerdictKind.VALUE, VerdictKind.CORRECTNESS)  # meanings with a threshold at a half


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: what the judge says of its steps, which are right, and whether the answer is."""

    scores: StepScores
    truth: tuple[float, ...]
    right: bool


@dataclass(frozen=True, kw_only=True)
class StepQuality:
    """How well a judge tells right steps from wrong ones, on fresh *decide* tasks.

    judge: a judge of steps, or one that has such inside. meaning: which of its verdicts are looked
        at ("": the last that has a vector).
    num_tasks: at least 2. num_attempts: answers to each, at least 1.
    temperature: of the answers, at least 0.
    world, role: whose answers, to the tasks of which world.

    Steps behind the first wrong one have no truth and do not count. Needs a world with step truth
    and is silent in any other. Outside of the run's budget. The figures: card [171].
    """

    judge: Any = None
    meaning: str = ""
    num_tasks: int = 64
    num_attempts: int = 4
    temperature: float = 1.0
    world: str = "main"
    role: str = "policy"

    def __post_init__(self) -> None:
        if self.num_tasks < 2 or self.num_attempts < 1 or not hasattr(self.judge, "judge"):
            raise ConfigError(
                "StepQuality.judge, num_tasks or num_attempts will not do",
                expected="a judge of steps, at least 2 tasks, at least 1 attempt",
                found=f"{self.judge}, {self.num_tasks}, {self.num_attempts}",
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        judge, role, meaning = self.judge, self.role, self.meaning
        num, temperature = self.num_attempts, self.temperature
        tasks = ctx.draw(TaskRole.DECIDE, self.num_tasks, world=self.world)
        if "steps" not in ctx.world(self.world).truth:
            return {}

        async def one(index: int, start: Start) -> list[Seen]:
            said = await All(
                [
                    ctx.say(role, start, attempt=i, draw=index, temperature=temperature)
                    for i in range(num)
                ]
            )
            attempts = tuple(
                Attempt(
                    ctx.attempt_id(start, index * num + i),
                    start,
                    (turn,),
                    turn.stop,
                    author=turn.speaker,
                    purpose=Purpose.MEASURE,
                )
                for i, turn in enumerate(said)
            )
            verdicts = Verdicts(await judge.judge(ctx, Group(f"{start.key}+{index}", attempts)))
            checked = await All([ctx.check(a.task, a.text) for a in attempts])

            def decode(tokens: np.ndarray) -> str:
                return str(ctx.decode(role, tokens))

            seen = []
            for attempt, told in zip(attempts, checked, strict=True):
                scores = step_scores(verdicts, attempt, meaning=meaning)
                if scores is None or not told.steps or attempt.stop is StopReason.FAILED:
                    continue
                truth = aligned(attempt, scores.spans, told.steps, told.spans, decode)
                seen.append(Seen(scores, tuple(truth), told.score >= 1))
            return seen

        starts = [Start(task) for task in tasks]
        outcomes = ctx.run([lambda at=at: one(*at) for at in enumerate(starts)])
        errors = [o.error for o in outcomes if o.error is not None]
        if errors and len(errors) == len(outcomes):
            raise errors[0]
        rows = [o.value for o in outcomes if o.error is None]
        found = step_figures([r for r in rows if r], ctx.generator("bootstrap"))
        return {f"steps/{key}": value for key, value in found.items()}


def step_figures(groups: Sequence[Sequence[Seen]], rng: np.random.Generator) -> Metrics:
    """The figures of answers, one inner sequence per task; keys without a prefix."""
    found: Metrics = {"num_answers": float(sum(map(len, groups)))}
    if not groups:
        return found
    values: list[list[float]] = []
    right: list[list[bool]] = []
    hits: list[list[bool]] = []
    last: list[list[bool]] = []
    lucky: list[list[bool]] = []
    errors: list[list[tuple[int, int]]] = []
    for group in groups:
        judged, true, least, ends = [], [], [], []
        for seen in group:
            wrong, scores = first_error(seen.truth), seen.scores.values
            reach = len(scores) if wrong < 0 else min(wrong + 1, len(scores))
            judged += [float(s) for s in scores[:reach]]
            true += [t >= 0.5 for t in seen.truth[:reach]]
            if wrong >= 0 and len(scores):
                least.append(int(np.argmin(scores)) == wrong)
            if len(scores) > 1:
                ends.append(int(np.argmin(scores)) == len(scores) - 1)
        values.append(judged)
        right.append(true)
        hits.append(least)
        last.append(ends)
        lucky.append([first_error(seen.truth) >= 0 for seen in group if seen.right])
        errors.append(
            [
                (first_error(list(seen.scores.values)), first_error(seen.truth))
                for seen in group
                if seen.scores.meaning in IN_SHARES
            ]
        )
    put(found, "auroc", clustered_auroc(values, right))
    put(found, "first_error", clustered_mean([h for h in hits if h]))
    put(found, "last_is_least", clustered_mean([e for e in last if e]))
    put(found, "wrong_steps_of_right", clustered_mean([x for x in lucky if x]))
    errors = [e for e in errors if e]
    if errors:
        judged_at, true_at = np.array([pair for e in errors for pair in e]).T

        def statistic(rows: np.ndarray) -> float:
            return first_error_f1(judged_at[rows].tolist(), true_at[rows].tolist())

        ends_ = np.cumsum([len(e) for e in errors])
        clusters = [
            range(int(end) - len(e), int(end)) for e, end in zip(errors, ends_, strict=True)
        ]
        put(found, "first_error_f1", bootstrap_over_clusters(statistic, clusters, rng, NUM_DRAWS))
    return found
