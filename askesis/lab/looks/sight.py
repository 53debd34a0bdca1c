"""What a look saw, and what all looks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.records import Attempt, StopReason

ROLE, FIRST = "policy", "first"  # who is looked at, and the run's first snapshot beside it


@dataclass(frozen=True)
class Sight:
    """What a look saw. figures: per name one number a task. scores: per task those of its attempts,
    in [0, 1]. tokens: generated, in all attempts; cut_off: attempts that were; both of num."""

    figures: dict[str, list[float]]
    scores: list[list[float]]
    tokens: int
    cut_off: int
    num: int

    def plain(self) -> dict[str, Any]:
        """As `askesis.lab.arm` keeps it."""
        return {
            "scores": self.scores,
            "figures": self.figures,
            "mean_tokens": self.tokens / max(1, self.num),
            "cut_off_fraction": self.cut_off / max(1, self.num),
        }


def outcomes(ctx: Any, makers: Sequence[Callable[[], Any]], empty: Callable[[], Any]) -> list[Any]:
    """Values in order, `empty()` for what failed. Raises the first error where all failed."""
    found = ctx.run(makers)
    errors = [o.error for o in found if o.error is not None]
    if errors and len(errors) == len(found):
        raise errors[0]
    return [empty() if o.error is not None else o.value for o in found]


def own_turns(attempt: Attempt) -> list[Any]:
    """What is looked at of an attempt."""
    return [t for t in attempt.turns if t.role == ROLE]


def spoke(attempt: Attempt) -> bool:
    """Whether a role that is looked at said anything."""
    return attempt.stop is not StopReason.FAILED and bool(own_turns(attempt))


def mean(values: Any) -> float:
    """0 for none."""
    found = list(values)
    return float(np.mean(found)) if found else 0.0
