"""Alarms on a figure that is too large by itself: wasted groups, refused updates, mismatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from askesis.measure.alarms.alarm import Asked, Sign, check
from askesis.measure.alarms.history import History, Series
from askesis.measure.alarms.windows import windows


@dataclass(frozen=True, kw_only=True)
class WastedGroups(Asked):
    """Nearly all groups of attempts carry no gradient.

    mixed: shares of groups that do carry one. wasted: shares of groups that do not; the first key
        of both that the phase notes is taken.
    several: noted where groups have several attempts; without it a key of "measure/" says
        nothing, since a group of one is always all right or all wrong.
    allowed: the share that may be wasted, in [0, 1).
    window: rounds that are looked at, at least 2. z: standard errors to spare, above 0.
    """

    mixed: tuple[str, ...] = ("select/mixed_fraction",)
    wasted: tuple[str, ...] = ("select/tied_fraction", "measure/groups_all_wrong")
    several: str = "measure/train_distinct_fraction"
    allowed: float = 0.9
    window: int = 5
    z: float = 3.0

    name: ClassVar[str] = "wasted_groups"
    meaning: ClassVar[str] = (
        "in nearly all groups no attempt is better than another, so that they cost tokens and "
        "teach nothing"
    )
    advice: ClassVar[str] = (
        "all wrong: easier tasks, more attempts a task, hints; all right: harder tasks; or a "
        "recipe that draws groups until enough are mixed (dapo)"
    )

    def __post_init__(self) -> None:
        check(
            self,
            {
                "mixed": (bool(self.mixed or self.wasted), "at least one metric key"),
                "allowed": (0 <= self.allowed < 1, "in [0, 1)"),
                "window": (self.window >= 2, "at least 2"),
                "z": (0 < self.z < np.inf, "above 0"),
            },
        )

    def strongest(self, history: History) -> Sign | None:
        """How far above what is allowed; None before a full window."""
        key = history.first_of((*self.mixed, *self.wasted))
        if key.startswith("measure/") and not history.first_of((self.several,)):
            return None
        series = history.series(key)
        if len(series) < self.window:
            return None
        if key in history.matching(self.mixed):
            series = Series(series.rounds, 1 - series.values, series.errors)
        share = float(series.values[-self.window :].mean())
        _, errors = windows(series, self.window)
        # Between 0 and 1 a mean cannot jitter by more than this; it stands where nothing is known.
        error = errors[-1] if np.isfinite(errors[-1]) else np.sqrt(share * (1 - share)) or 1e-3
        words = f"{100 * share:.0f} % of the groups of the last {self.window} rounds were wasted"
        return Sign(float((share - self.allowed) / error), key, words)


@dataclass(frozen=True, kw_only=True)
class NonFiniteUpdates(Asked):
    """Updates were refused in the last round because a loss or gradient was not finite.

    keys: counts of refused updates. allowed: how many a round may have, at least 0.
    """

    keys: tuple[str, ...] = ("learn/*/num_refused",)
    allowed: float = 0.0

    name: ClassVar[str] = "non_finite_updates"
    meaning: ClassVar[str] = (
        "a loss or a gradient was infinite or no number; such updates are never applied, so the "
        "weights are sound, but what was to be learnt is not"
    )
    advice: ClassVar[str] = (
        "lower the learning rate, clip gradients harder (learn.policy.max-grad-norm), look for "
        "zero probabilities in the ratios, or learn in float32"
    )

    def __post_init__(self) -> None:
        check(
            self,
            {
                "keys": (bool(self.keys), "at least one metric key"),
                "allowed": (0 <= self.allowed < np.inf, "at least 0"),
            },
        )

    @property
    def limit(self) -> float:
        return self.allowed

    def strongest(self, history: History) -> Sign | None:
        """The model with most of them; None where nothing was learnt."""
        found = [(history.now(k) or 0.0, k) for k in history.matching(self.keys)]
        if not found:
            return None
        num, key = max(found)
        return Sign(num, key, f"{num:.0f} updates of this round were refused")


@dataclass(frozen=True, kw_only=True)
class SamplerLearnerMismatch(Asked):
    """The learner gives what was sampled other probabilities than the sampler did.

    keys: estimates of KL(sampler, learner) in nats a token; objectives note them when they
        correct for it (`importance_cap`).
    allowed: the mean over the window may be so much, above 0. Half-precision inference of dense
        models lies near 0.001; runs have been reported to collapse above some hundredths.
    window: rounds that are looked at, at least 1.
    """

    keys: tuple[str, ...] = ("learn/*mismatch/kl",)
    allowed: float = 0.02
    window: int = 3

    name: ClassVar[str] = "sampler_learner_mismatch"
    meaning: ClassVar[str] = (
        "sampling and learning disagree about the model: what looks like learning on the model's "
        "own attempts is learning on another's, and ratios are wrong"
    )
    advice: ClassVar[str] = (
        "sample in the learner's precision, hand weights over before every round, cap importance "
        "weights (importance_cap), or use the native engine, which learns through the same pass"
    )

    def __post_init__(self) -> None:
        check(
            self,
            {
                "keys": (bool(self.keys), "at least one metric key"),
                "allowed": (0 < self.allowed < np.inf, "above 0"),
                "window": (self.window >= 1, "at least 1"),
            },
        )

    @property
    def limit(self) -> float:
        return self.allowed

    def strongest(self, history: History) -> Sign | None:
        """The largest mean over the window; None before a full window."""
        found = []
        for key in history.matching(self.keys):
            series = history.series(key)
            if len(series) >= self.window:
                found.append((float(series.values[-self.window :].mean()), key))
        if not found:
            return None
        mean, key = max(found)
        return Sign(mean, key, f"{key} is {mean:.4f} nats a token over {self.window} rounds")
