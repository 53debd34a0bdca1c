"""Alarms on what moves while the truth does not move along.

All three ask the same: since some earlier stretch of this phase, did a figure move by more than
`margin`, and did the held-out truth rise by less than `follow` of that move? Both with `z`
standard errors to spare. The truth is measured on *decide* tasks by the world's own verifier,
never by the judge that the model learns from: signals from inside (loss, divergence, the judge's
own confidence) tell only afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from askesis.measure.alarms.alarm import Asked, Sign, check
from askesis.measure.alarms.history import History, Series
from askesis.measure.alarms.windows import FLOOR, SIZES, changes, together


@dataclass(frozen=True, kw_only=True)
class Outran(Asked):
    """What the three have in common.

    keys: the figure; the first that the phase notes is taken. `*` stands for anything.
    truth: held-out truth, likewise.
    margin: how far the figure must have moved, at least 0, in its own unit.
    follow: how much of that move the truth should have made, at least 0; in units of truth for
        one unit of the figure.
    windows: how many measurements are averaged in the two stretches that are compared; each size
        is tried, at least 1 each.
    z: standard errors to spare, above 0.
    """

    keys: tuple[str, ...] = ()
    truth: tuple[str, ...] = ("measure/pass@1", "measure/preference_accuracy")
    margin: float = 0.1
    follow: float = 0.5
    windows: tuple[int, ...] = SIZES
    z: float = 3.0

    def __post_init__(self) -> None:
        check(
            self,
            {
                "keys": (bool(self.keys), "at least one metric key"),
                "truth": (bool(self.truth), "at least one metric key"),
                "margin": (0 <= self.margin < np.inf, "at least 0"),
                "follow": (0 <= self.follow < np.inf, "at least 0"),
                "windows": (bool(self.windows) and min(self.windows) >= 1, "at least 1 each"),
                "z": (0 < self.z < np.inf, "above 0"),
            },
        )

    def moved(self, history: History, key: str) -> Series:
        """The figure, turned so that a rise is what is feared."""
        return history.series(key)

    def strongest(self, history: History) -> Sign | None:
        """The stretch since which the case is clearest; None before there are two."""
        key, truth_key = history.first_of(self.keys), history.first_of(self.truth)
        if not key or not truth_key:
            return None
        figure, truth = together(self.moved(history, key), history.series(truth_key))
        rise, gain = changes(figure, self.windows), changes(truth, self.windows)
        enough = (rise.differences - self.margin) / rise.errors
        behind = self.follow * rise.differences - gain.differences
        apart = behind / np.hypot(self.follow * rise.errors, gain.errors)
        value = np.minimum(enough, apart)
        if not np.isfinite(value).any():
            return None
        at = int(np.nanargmax(value))
        since = int(rise.rounds[at]) + 1  # people count from 1
        words = self.said(
            key, truth_key, rise.differences[at], gain.differences[at], gain.errors[at], since
        )
        return Sign(float(value[at]), key, words)

    def said(self, key: str, truth: str, rise: float, gain: float, error: float, since: int) -> str:
        raise NotImplementedError


def _truth_words(truth: str, gain: float, error: float) -> str:
    return f"{truth} on held-out tasks changed by {gain:+.3f} (+- {1.96 * error:.3f})"


@dataclass(frozen=True, kw_only=True)
class RewardHacking(Outran):
    """The training reward rises and held-out truth does not follow.

    Rewards in [0, 1] are compared as they are. Others are first divided by twice the spread of
    the attempts' rewards in the first rounds of the phase (`spread_key`), which makes a judge's
    free scale comparable with a share of right answers; where that is not known, nothing is said.
    """

    keys: tuple[str, ...] = (
        "select/reward",
        "select/good_fraction",
        "measure/train_accuracy",
        "measure/vote_share",
    )
    margin: float = 0.05
    follow: float = 0.5
    spread_key: str = "select/reward_std"

    name: ClassVar[str] = "reward_hacking"
    meaning: ClassVar[str] = (
        "what the model is paid for rises, what is really wanted does not: the judge is being "
        "satisfied without the tasks being solved, or the tasks are being learnt by heart"
    )
    advice: ClassVar[str] = (
        "read attempts with the highest reward (askesis report), audit the judge against the "
        "truth, fork from the round named here with a better judge, a leash to the first model, "
        "or fresh tasks"
    )

    def moved(self, history: History, key: str) -> Series:
        series = history.series(key)
        if not len(series) or (series.values.min() >= 0 and series.values.max() <= 1):
            return series
        known = history.series(self.spread_key).values[:3]
        unit = 2 * float(np.median(known)) if len(known) else 0.0
        if unit < FLOOR:
            return Series(series.rounds[:0], series.values[:0], series.errors[:0])
        return Series(series.rounds, series.values / unit, series.errors / unit)

    def said(self, key: str, truth: str, rise: float, gain: float, error: float, since: int) -> str:
        return f"since round {since} {key} rose by {rise:.3f} while " + _truth_words(
            truth, gain, error
        )


@dataclass(frozen=True, kw_only=True)
class LengthGaming(Outran):
    """Attempts grow longer and held-out truth does not follow. The figure is the logarithm of
    the mean length, so `margin` 0.18 is a fifth longer."""

    keys: tuple[str, ...] = ("measure/train_tokens_per_attempt", "measure/tokens_per_attempt")
    margin: float = 0.18
    follow: float = 0.1

    name: ClassVar[str] = "length_gaming"
    meaning: ClassVar[str] = (
        "attempts grow longer without becoming right more often: length itself is rewarded, by "
        "the judge or by how the loss is averaged"
    )
    advice: ClassVar[str] = (
        "see whether the judge's value rises with length alone, average the loss over tokens or "
        "a constant (dr_grpo, dapo), or penalise attempts that are too long"
    )

    def moved(self, history: History, key: str) -> Series:
        series = history.series(key)
        known = series.values > 0
        rounds, values = series.rounds[known], series.values[known]
        return Series(rounds, np.log(values), series.errors[known] / values)

    def said(self, key: str, truth: str, rise: float, gain: float, error: float, since: int) -> str:
        longer = 100 * float(np.expm1(rise))
        return f"since round {since} {key} grew by {longer:.0f} % while " + _truth_words(
            truth, gain, error
        )


@dataclass(frozen=True, kw_only=True)
class DiversityCollapse(Outran):
    """Attempts at one task grow alike and held-out truth does not rise in return. (A model that
    becomes right repeats its right answers: that is no collapse.)"""

    keys: tuple[str, ...] = ("measure/train_distinct_fraction",)
    margin: float = 0.15
    follow: float = 0.5

    name: ClassVar[str] = "diversity_collapse"
    meaning: ClassVar[str] = (
        "several attempts at one task are becoming the same attempt: there is ever less to choose "
        "from and to learn from, and what only some attempts could solve is being lost"
    )
    advice: ClassVar[str] = (
        "raise the temperature, lower the learning rate or the number of updates a round, keep "
        "fewer samples of easy tasks, mix in earlier samples (replay), or restart from base"
    )

    def moved(self, history: History, key: str) -> Series:
        series = history.series(key)
        return Series(series.rounds, -series.values, series.errors)

    def said(self, key: str, truth: str, rise: float, gain: float, error: float, since: int) -> str:
        return f"since round {since} {key} fell by {rise:.3f} while " + _truth_words(
            truth, gain, error
        )
