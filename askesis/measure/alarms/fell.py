"""Alarms on a figure that got worse than it has been: forgetting, and a judge that errs more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from askesis.measure.alarms.alarm import Asked, Sign, check
from askesis.measure.alarms.history import History
from askesis.measure.alarms.windows import SIZES, changes, windows


@dataclass(frozen=True, kw_only=True)
class Forgetting(Asked):
    """A held-out score lies below its best.

    keys: scores that are compared within a phase, since the next one may measure another world.
    world_keys: scores whose key names the world; they are compared over the whole run.
    margin: how far below, in the unit of the score, at least 0.
    windows: how many measurements are averaged in the stretches that are compared; each size is
        tried, at least 1 each.
    z: standard errors to spare, above 0.
    """

    keys: tuple[str, ...] = ("measure/pass@1", "measure/preference_accuracy")
    world_keys: tuple[str, ...] = ("measure/world/*/pass@1",)
    margin: float = 0.03
    windows: tuple[int, ...] = SIZES
    z: float = 3.5  # the best of many earlier windows is partly luck

    name: ClassVar[str] = "forgetting"
    meaning: ClassVar[str] = "the model could do this better earlier in the run than it can now"
    advice: ClassVar[str] = (
        "go back to the best snapshot or let keep-or-revert do it, mix in samples of what is "
        "forgotten (replay), lower the learning rate, or hold the model to its reference"
    )

    def __post_init__(self) -> None:
        check(
            self,
            {
                "keys": (bool(self.keys or self.world_keys), "at least one metric key"),
                "margin": (0 <= self.margin < np.inf, "at least 0"),
                "windows": (bool(self.windows) and min(self.windows) >= 1, "at least 1 each"),
                "z": (0 < self.z < np.inf, "above 0"),
            },
        )

    def strongest(self, history: History) -> Sign | None:
        """The score that fell most clearly; None before the second measurement."""
        found = [self._fall(history, k, False) for k in history.matching(self.keys)]
        found += [self._fall(history, k, True) for k in history.matching(self.world_keys)]
        return _strongest(found)

    def _fall(self, history: History, key: str, all_phases: bool) -> Sign | None:
        change = changes(history.series(key, all_phases=all_phases), self.windows)
        value = (-change.differences - self.margin) / change.errors
        if not np.isfinite(value).any():
            return None
        at = int(np.nanargmax(value))
        before, fall = change.before[at], change.differences[at]
        words = f"{key} is {before + fall:.3f}; by round {int(change.rounds[at]) + 1} it was "
        return Sign(float(value[at]), key, f"{words}{before:.3f}")


@dataclass(frozen=True, kw_only=True)
class JudgeDrift(Asked):
    """The judge that the model learns from errs more than at first, or more than is bearable.

    keys: shares of errors against the truth, as an audit measures them.
    margin: how much more often than in the first window, in [0, 1].
    allowed: how often at all, in [0, 1].
    window: audits in each stretch, at least 2. z: standard errors to spare, above 0.
    """

    keys: tuple[str, ...] = ("measure/audit/false_pass", "measure/audit/false_fail")
    margin: float = 0.05
    allowed: float = 0.1
    window: int = 3
    z: float = 3.0

    name: ClassVar[str] = "judge_drift"
    meaning: ClassVar[str] = (
        "the judge passes wrong attempts or fails right ones: the model is being taught errors, "
        "and those that pay will become more frequent"
    )
    advice: ClassVar[str] = (
        "look at audited attempts on which judge and truth differ, train the judge again on "
        "attempts of the present model, ask it several times, or use the verifier where there is "
        "one"
    )

    def __post_init__(self) -> None:
        check(
            self,
            {
                "keys": (bool(self.keys), "at least one metric key"),
                "margin": (0 <= self.margin <= 1, "in [0, 1]"),
                "allowed": (0 <= self.allowed <= 1, "in [0, 1]"),
                "window": (self.window >= 2, "at least 2"),
                "z": (0 < self.z < np.inf, "above 0"),
            },
        )

    def strongest(self, history: History) -> Sign | None:
        """The clearer of the two reasons, over all keys; None before a full window."""
        found: list[Sign | None] = []
        for key in history.matching(self.keys):
            means, errors = windows(history.series(key), self.window)
            if not len(means):
                continue
            now, error = float(means[-1]), float(errors[-1])
            often = (now - self.allowed) / error
            words = f"{key} is {now:.3f}, more than the {self.allowed:g} that is allowed"
            found.append(Sign(often, key, words))
            if len(means) > self.window:
                more = (now - means[0] - self.margin) / float(np.hypot(error, errors[0]))
                words = f"{key} rose from {means[0]:.3f} in the first rounds to {now:.3f}"
                found.append(Sign(float(more), key, words))
        return _strongest(found)


def _strongest(signs: Sequence[Sign | None]) -> Sign | None:
    known = [s for s in signs if s is not None and np.isfinite(s.value)]
    return max(known, key=lambda s: s.value) if known else None
