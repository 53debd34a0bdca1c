"""What self-correction does to the round's own attempts: mended, spoilt, and at what price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas import correction
from askesis.formulas.intervals import Estimate, clustered_mean, paired_difference
from askesis.formulas.pass_at_k import majority_at_k
from askesis.measure.attempts import agreed, own_turns, train_attempts
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Attempt, StopReason
from askesis.requests import All


@dataclass(frozen=True, slots=True)
class Corrected:
    """One attempt of several turns: per own turn whether it is right and what it answers; tokens
    of the first turn and of all."""

    right: tuple[bool, ...]
    answers: tuple[str, ...]
    tokens_first: int
    tokens_all: int


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Accuracy turn by turn of attempts in which a role answers, and answers again.

    threshold: a verified score of at least this is right, in (0, 1].
    role: whose turns are answers; attempts in which it spoke once only are counted (their answer
        stands), but a round without any second answer gives no figure.

    Every answer of every turn is verified, so the world must know the truth; nothing of that
    reaches another stage. Not for worlds that are walked, where a turn is a move. Costs no tokens.
    Sources: cards [84], [2], [237]; the formulas in `askesis.formulas.correction`.
    """

    threshold: float = 1.0
    role: str = "policy"

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(
                "Correction.threshold is out of range",
                expected="in (0, 1]",
                found=str(self.threshold),
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. TruthError in a run without truth."""
        threshold, role = self.threshold, self.role
        groups = [
            [a for a in attempts if a.stop is not StopReason.FAILED and own_turns(a, role)]
            for attempts in train_attempts(view.all_groups)[0]
        ]
        groups = [g for g in groups if g]
        if not any(len(own_turns(a, role)) > 1 for g in groups for a in g):
            return {}

        async def one(attempts: list[Attempt]) -> list[Corrected]:
            turns = [own_turns(a, role) for a in attempts]
            found = await All(
                [
                    ctx.check(a.task, turn.text)
                    for a, said in zip(attempts, turns, strict=True)
                    for turn in said
                ]
            )
            rest = iter(found)
            made = []
            for attempt, said in zip(attempts, turns, strict=True):
                checked = [next(rest) for _ in said]
                made.append(
                    Corrected(
                        tuple(c.score >= threshold for c in checked),
                        tuple(c.answer for c in checked),
                        len(said[0].tokens),
                        attempt.num_tokens,
                    )
                )
            return made

        outcomes = ctx.run([lambda attempts=attempts: one(attempts) for attempts in groups])
        errors = [o.error for o in outcomes if o.error is not None]
        if len(errors) == len(outcomes):
            raise errors[0]
        return correction_figures([o.value for o in outcomes if o.error is None])


def correction_figures(groups: list[list[Corrected]]) -> Metrics:
    """The figures of attempts of several turns, one inner list per task."""
    right = [[a.right for a in group] for group in groups]
    found: Metrics = {}
    turns = correction.accuracy_per_turn(right)
    for number, accuracy in enumerate(turns, start=1):
        put(found, f"turn_accuracy/{number}", accuracy)
    flips = correction.flips(right)
    put(found, "wrong_to_right", flips.wrong_to_right)
    put(found, "right_to_wrong", flips.right_to_wrong)
    put(found, "correction_gain", flips.gain)
    put(found, "confidence_level", correction.confidence_level(right))
    put(found, "critique_level", correction.critique_level(right))
    score = correction.relative_self_correction(turns[0].value, turns[-1].value)
    if not np.isnan(score):
        found["relative_self_correction"] = score
    same = [[a.answers[0] == a.answers[-1] for a in group] for group in groups]
    put(found, "unchanged_fraction", clustered_mean(same))
    over_turns = [[_vote(a.answers, a.right, len(a.right)) for a in group] for group in groups]
    put(found, "majority_of_turns", clustered_mean(over_turns))
    _at_equal_tokens(found, groups)
    return found


def _at_equal_tokens(found: Metrics, groups: list[list[Corrected]]) -> None:
    """First answers voting for the tokens that a corrected attempt takes, against its last one."""
    first = sum(a.tokens_first for group in groups for a in group)
    every = sum(a.tokens_all for group in groups for a in group)
    if not first:
        return
    num_votes = max(1.0, every / first)
    found["equal_token_votes"] = num_votes
    enough = [group for group in groups if len(group) >= num_votes]
    if not enough:
        return
    votes, last = [], []
    for group in enough:
        answers, right = agreed([a.answers[0] for a in group], [a.right[0] for a in group])
        votes.append(correction.equal_token_vote(answers, right, num_votes))
        last.append(float(np.mean([a.right[-1] for a in group])))
    put(found, "equal_token_vote", clustered_mean([[v] for v in votes]))
    gain: Estimate = paired_difference(votes, last)
    put(found, "equal_token_gain", gain)


def _vote(answers: tuple[str, ...], right: tuple[bool, ...], k: int) -> float:
    return majority_at_k(*agreed(list(answers), list(right)), k)
