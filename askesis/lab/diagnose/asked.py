"""What was asked and what came back: attempts, likelihoods of given texts, self-checks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from askesis.records import StopReason, Task


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt. logp is the model's own log-probability of all of it, NaN where unknown."""

    text: str
    score: float
    answer: str
    num_tokens: int
    logp: float
    stop: StopReason
    error: str = ""

    @property
    def right(self) -> bool:
        return self.score >= 1.0


@dataclass(frozen=True)
class Probed:
    """A task, what was tried, and what the model thinks of a right answer.

    reference: a demonstration or the reference answer, None where there is none. reference_logp:
    its log-probability with its end, NaN where unknown; reference_tokens is its length.
    checks: (right, log odds of "yes" over "no") of some of the attempts.
    """

    task: Task
    tries: tuple[Try, ...]
    reference: str | None = None
    reference_logp: float = math.nan
    reference_tokens: int = 0
    checks: tuple[tuple[bool, float], ...] = ()


@dataclass(frozen=True)
class Probe:
    """All that was asked of one model.

    knows_right: whether scores mean anything. reference_kind: "demonstration", "answer" or "".
    preferred: log-probability of the preferred answer less that of the other, of annotated pairs,
    one number a pair. seconds is the sampling alone; notes are for people.
    """

    tasks: tuple[Probed, ...]
    role: str
    num_attempts: int
    knows_right: bool
    reference_kind: str
    preferred: tuple[float, ...]
    prompt_tokens: float
    seconds: float
    notes: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        return sum(t.num_tokens for p in self.tasks for t in p.tries)
