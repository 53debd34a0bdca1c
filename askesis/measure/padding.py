"""Does it pay to append valid steps that do nothing? A probe for every reward of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.formulas.intervals import Estimate
from askesis.formulas.ratios import mean_of_clusters
from askesis.measure.attempts import train_attempts, whole_groups
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Attempt, Group, StopReason
from askesis.requests import All
from askesis.steps import StepScores, step_scores

Pad = str | Callable[[Attempt], str]
Paid = Callable[[StepScores], Any]
LAZY = {"lazy": True}


@dataclass(frozen=True, slots=True)
class Padding:
    """What appended steps changed. counts: how many were appended, 0 first. returns, outcomes: mean
    of what is learnt and of the verifier's score with so many. growth: what a step more adds to the
    return, with its interval over attempts. num_attempts: that were padded."""

    counts: tuple[int, ...]
    returns: tuple[float, ...]
    outcomes: tuple[float, ...]
    growth: Estimate
    num_attempts: int

    @property
    def is_neutral(self) -> bool:
        """Whether the steps did nothing: the verifier's score is what it was."""
        return max(self.outcomes) - min(self.outcomes) < 1e-9

    @property
    def pays(self) -> bool:
        """Whether a learner is paid for appending them: the growth is surely above 0."""
        return self.growth.low > 1e-9


def padded(ctx: Any, attempt: Attempt, pad: Pad, num: int, role: str = "policy") -> Attempt:
    """An attempt with `num` steps appended to the last words of its role, in front of the end.

    pad: the text of a step, its separator in front, or a function of the attempt as it is so far.
    Log-probabilities are unknown of what was appended, so nobody is taken for its author.
    """
    place = max(i for i, turn in enumerate(attempt.turns) if turn.role == role)
    found = attempt
    for _ in range(num):
        turn = found.turns[place]
        text = pad(found) if callable(pad) else pad
        tokens, end = turn.tokens, ctx.end_token(role)
        ends = len(tokens) and int(tokens[-1]) == end
        body = tokens[:-1] if ends else tokens
        added = [*ctx.encode(role, text), *([end] if ends else [])]
        whole = np.concatenate([body, np.array(added, np.int32)]).astype(np.int32)
        unknown = np.full(len(whole), np.nan, np.float32)
        said = replace(
            turn,
            text=turn.text + text,
            tokens=whole,
            origin=None,
            speaker="",
            logp_sampling=unknown,
            logp_model=unknown,
        )
        turns = (*found.turns[:place], said, *found.turns[place + 1 :])
        found = replace(found, id=f"{found.id}+", turns=turns, author="padding")
    return found


def probe_padding(
    ctx: Any,
    groups: Sequence[Sequence[Attempt]],
    judge: Any,
    pad: Pad,
    *,
    paid: Paid | None = None,
    counts: Sequence[int] = (0, 1, 2, 4, 8),
    role: str = "policy",
) -> Padding:
    """What a learner is paid for `counts` useless steps behind each attempt.

    groups: attempts by task, of one turn, none of which failed. judge: a judge of steps. paid: from
    its scores to the reward of each step, such as `StepRewards.one`; None takes the scores. What is
    learnt of the first step is the sum of all rewards, which is the return that is looked at.

    A judge that pays for length shows growth above 0 (a raw score per step does, cards [127] and
    [128]); whatever telescopes or is at most 0 does not. Groups in which the judge does not know
    one of the padded attempts are left out. ConfigError where it knows none.
    """
    counts = tuple(dict.fromkeys((0, *counts)))
    if min(counts) < 0 or len(counts) < 2:
        raise ConfigError(
            "padding appends steps", expected="counts above 0", found=", ".join(map(str, counts))
        )

    async def one(attempts: Sequence[Attempt], num: int) -> list[tuple[float | None, float]]:
        made = [padded(ctx, a, pad, num, role) for a in attempts]
        said = Verdicts(await judge.judge(ctx, Group(f"padded {num}", tuple(made))))
        checked = await All([ctx.check(a.task, a.text) for a in made])
        found: list[tuple[float | None, float]] = []
        for attempt, outcome in zip(made, checked, strict=True):
            scores = step_scores(said, attempt)
            rewards = None if scores is None else paid(scores) if paid else scores.values
            total = None if rewards is None else float(np.sum(rewards))
            found.append((total, float(outcome.score)))
        return found

    calls = [(attempts, num) for num in counts for attempts in groups if attempts]
    outcomes = ctx.run([lambda call=call: one(*call) for call in calls])
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    each = len(calls) // len(counts)
    rows = [[o.value for o in outcomes[i * each : (i + 1) * each]] for i in range(len(counts))]
    slopes: list[list[float]] = []
    returns: list[list[float]] = []
    scores: list[list[float]] = []
    for by_count in zip(*rows, strict=True):
        inside = []
        for column in zip(*by_count, strict=True):  # one attempt, all counts
            totals = [total for total, _ in column if total is not None]
            if len(totals) == len(counts):
                inside.append((totals[-1] - totals[0]) / counts[-1])
                returns.append(totals)
                scores.append([score for _, score in column])
        slopes.append(inside)
    if not returns:
        raise ConfigError(
            "the judge knows no steps of any padded attempt",
            hint="give it attempts in which something was said, and a judge of steps",
        )
    return Padding(
        counts,
        tuple(float(m) for m in np.array(returns).mean(0)),
        tuple(float(m) for m in np.array(scores).mean(0)),
        mean_of_clusters(slopes),
        len(returns),
    )


@dataclass(frozen=True, kw_only=True)
class PaddingProbe:
    """The probe on a round's own attempts, with the round's own judge and rewards.

    judge: a judge of steps. rewards: what makes rewards of its scores, a `StepRewards` (None: the
        scores as they are).
    pad: the text that is appended as a step, its separator in front. It must be one that the world
        reads over: "\\n#ok" where lines that begin with # are remarks, ";#ok" in countdown.
    counts: how many are appended, each at least 1.
    num_attempts: attempts padded in a round, at least 1; whole groups at random.
    role: whose words are padded.

    Attempts of several turns, cut off or failed ones, are left out.
    """

    judge: Any = None
    rewards: Any = None
    pad: str = "\n#ok"
    counts: tuple[int, ...] = field(default=(2, 8), metadata=LAZY)
    num_attempts: int = 32
    role: str = "policy"

    def __post_init__(self) -> None:
        if self.num_attempts < 1 or not self.pad or not hasattr(self.judge, "judge"):
            raise ConfigError(
                "PaddingProbe.judge, pad or num_attempts will not do",
                expected="a judge of steps, some text, at least 1",
                found=f"{self.judge}, {self.pad!r}, {self.num_attempts}",
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. Nothing where there is nothing to pad."""
        judge, rewards, role, pad = self.judge, self.rewards, self.role, self.pad
        fit = [
            [a for a in group if self._fits(a, role)]
            for group in train_attempts(view.all_groups)[0]
        ]
        groups = whole_groups(ctx, [g for g in fit if g], self.num_attempts)
        if not groups:
            return {}
        paid = None if rewards is None else rewards.one
        found = probe_padding(ctx, groups, judge, pad, paid=paid, counts=self.counts, role=role)
        metrics: Metrics = {
            f"padding/return@{num}": value
            for num, value in zip(found.counts, found.returns, strict=True)
        }
        put(metrics, "padding/growth", found.growth)
        metrics["padding/is_neutral"] = float(found.is_neutral)
        return metrics

    def _fits(self, attempt: Attempt, role: str) -> bool:
        said = [t for t in attempt.turns if t.role == role]
        over = attempt.stop is StopReason.ENDED and len(said) == 1
        return over and bool(said[0].text.strip())
