"""What the round's own attempts say, at no extra cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.intervals import clustered_mean, t_interval
from askesis.formulas.pass_at_k import distinct_correct
from askesis.measure.attempts import train_attempts
from askesis.protocols import Metrics
from askesis.records import Attempt, StopReason


@dataclass(frozen=True, kw_only=True)
class Groups:
    """How the attempts of this round's train groups came out.

    threshold: a value of at least this is right, in (0, 1].
    judge: whose value counts (id, with or without version); "" takes the last judge that knew.

    Attempts with privileged text in sight are counted apart (`hinted_...`) and are in no other
    figure. These are the tasks the model learns from, attempted *before* it learnt from them in
    this round, with the explorer's temperature and difficulty: a thermometer, not a claim.
    """

    threshold: float = 1.0
    judge: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(
                "Groups.threshold is out of range", expected="in (0, 1]", found=str(self.threshold)
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. Nothing where nobody judged anything."""
        threshold, judge = self.threshold, self.judge
        plain, hinted = train_attempts(view.all_groups)
        known: list[tuple[list[Attempt], list[bool]]] = []
        for attempts in plain:
            pairs = [(a, view.verdicts.value(a, judge=judge)) for a in attempts]
            judged = [(a, v >= threshold) for a, v in pairs if v is not None]
            if judged:
                known.append(([a for a, _ in judged], [r for _, r in judged]))
        found = _lengths(plain)
        if known:
            right = [r for _, r in known]
            accuracy = clustered_mean(right)
            found["train_accuracy"] = accuracy.value
            found["train_accuracy/low"], found["train_accuracy/high"] = accuracy.low, accuracy.high
            found["train_solved_fraction"] = float(np.mean([any(r) for r in right]))
            found["groups_effective"] = float(np.mean([any(r) and not all(r) for r in right]))
            found["groups_all_right"] = float(np.mean([all(r) for r in right]))
            found["groups_all_wrong"] = float(np.mean([not any(r) for r in right]))
            found["train_distinct_correct"] = float(
                np.mean([distinct_correct([x.text for x in a], r) for a, r in known])
            )
            num_known = sum(len(r) for r in right)
            found["train_unknown_fraction"] = 1 - num_known / sum(len(a) for a in plain)
        if hinted:
            values = [view.verdicts.value(a, judge=judge) for a in hinted]
            found["hinted_fraction"] = len(hinted) / (len(hinted) + sum(len(a) for a in plain))
            found["hinted_accuracy"] = float(np.mean([(v or 0.0) >= threshold for v in values]))
        return found


@dataclass(frozen=True, kw_only=True)
class Votes:
    """How the round's groups voted, where no truth is known.

    judge: the judge that held the vote; its verdicts carry the votes as draws.

    A rising `vote_share` is *not* a rising accuracy: a model that learns its own majority agrees
    with itself more and more, right or wrong.
    """

    judge: str = "self-consistency"

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        judge = self.judge
        plain, _ = train_attempts(view.all_groups)
        shares, decided = [], []
        for attempts in plain:
            verdicts = view.verdicts.of(attempts[0], judge=judge)
            if verdicts and verdicts[-1].draws:
                shares.append(float(np.mean(verdicts[-1].draws)))
                decided.append(verdicts[-1].value is not None)
        found = _lengths(plain)
        if shares:
            share = clustered_mean([[s] for s in shares])
            found["vote_share"] = share.value
            found["vote_share/low"], found["vote_share/high"] = share.low, share.high
            found["vote_decided_fraction"] = float(np.mean(decided))
            found["vote_unanimous_fraction"] = float(np.mean([s == 1 for s in shares]))
        return found


def _lengths(groups: list[list[Attempt]]) -> Metrics:
    every = [a for attempts in groups for a in attempts]
    if not every:
        return {}
    several = [attempts for attempts in groups if len(attempts) > 1]
    tokens = t_interval([float(np.mean([a.num_tokens for a in g])) for g in groups if g])
    known = len(groups) > 1
    return {
        **_distinct(several),
        "train_tokens_per_attempt": float(np.mean([a.num_tokens for a in every])),
        **({"train_tokens_per_attempt/low": tokens.low} if known else {}),
        **({"train_tokens_per_attempt/high": tokens.high} if known else {}),
        "train_truncated_fraction": float(np.mean([a.stop.cut_off for a in every])),
        "train_failed_fraction": float(np.mean([a.stop is StopReason.FAILED for a in every])),
    }


def _distinct(groups: list[list[Attempt]]) -> Metrics:
    """How many of a group's attempts say something else than the others, right or wrong."""
    if not groups:
        return {}
    share = clustered_mean(
        [[len({tuple(t.text for t in a.turns) for a in attempts}) / len(attempts)]
         for attempts in groups]
    )  # fmt: skip
    return {
        "train_distinct_fraction": share.value,
        "train_distinct_fraction/low": share.low,
        "train_distinct_fraction/high": share.high,
    }
