"""A verifier's outcome mixed with a bonus for searching, which does not ask whether it helped."""

from __future__ import annotations

from dataclasses import dataclass

from askesis.errors import must_fit
from askesis.judge.verifier import Verifier
from askesis.records import About, Attempt, Group, StopReason, Verdict, VerdictKind
from askesis.text.steps import split_steps


@dataclass(frozen=True, kw_only=True)
class SearchBonus:
    """A convex mixture of being right and of having tried:

        R = alpha * 1[right] + (1 - alpha) * ( 1 - gamma^n )

    alpha: share of the outcome, in [0, 1]; 1 is the verifier alone, 0 asks for no truth.
    gamma: how slowly the bonus saturates, in (0, 1): after 1 / (1 - gamma) steps it has given about
        two thirds of all it gives.
    separators: characters between which steps stand. n counts *different* steps, so that saying the
        same again, or nothing at length, earns nothing.
    right: a verified score of at least this is right.

    An attempt that we cut off, or that failed, has no bonus: what does not end is no search. Two
    verdicts an attempt: R is signed "search-bonus-v1", and the verifier's outcome stands after it,
    so that whoever asks for the last one gets the truth. Source: RLSP, card [10], which remembers
    the mixture and a length bonus of this form; the different steps are ours.
    """

    alpha: float = 0.8
    gamma: float = 0.8
    separators: str = ",;\n"
    right: float = 1.0

    def __post_init__(self) -> None:
        limits = {
            "alpha": (0 <= self.alpha <= 1, "in [0, 1]"),
            "gamma": (0 < self.gamma < 1, "above 0 and below 1"),
            "separators": (bool(self.separators), "at least one character"),
        }
        must_fit(self, limits)

    async def judge(self, ctx: object, group: Group) -> list[Verdict]:
        outcomes = await Verifier().judge(ctx, group)
        alpha, gamma, right = self.alpha, self.gamma, self.right
        rewards = []
        for attempt, outcome in zip(group.attempts, outcomes, strict=True):
            num = self._num_steps(attempt)
            value = outcome.value
            if value is not None:
                value = alpha * (value >= right) + (1 - alpha) * (1 - gamma**num)
            about = About(attempt.id)
            why = f"{num} different steps"
            rewards.append(
                Verdict("search-bonus-v1", about, VerdictKind.OUTCOME, value, rationale=why)
            )
        return [*rewards, *outcomes]

    def _num_steps(self, attempt: Attempt) -> int:
        text, separators = attempt.text, self.separators
        if attempt.stop.cut_off or attempt.stop is StopReason.FAILED:
            return 0
        return len({text[a:b] for a, b in split_steps(text, separators)})
