"""The measured points of a run's curve: what was measured, after which spending, how surely.

The same recorder reads a run directory's rounds and listens to a run that is going on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from askesis.errors import ConfigError, nearest
from askesis.formulas.curves import LARGEST

# What is forecast where nobody says: the first of these with enough points.
USUAL = ("pass@1", "preference_accuracy", "train_accuracy", "reward", "good_fraction")
ENOUGH = 5  # points; below, another figure with more points is preferred
_SHARES = ("pass@", "majority@", "accuracy", "fraction", "share", "score", "reward")
_RISING = ("pass@", "majority@", "accuracy", "reward", "score", "good_fraction", "solved_fraction")
_BEFORE = ("select/", "judge/", "explore/", "tasks/")  # tells of the weights a round began with
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class MeasuredCurve:
    """One figure of a run, over what was spent in its present phase.

    axis: "tokens" (generated and scored, measuring not counted) or "rounds". rounds: 1-based over
    the whole run, as the table of `askesis show` counts. x, y, errors: (num,) spent, figure and its
    standard error (NaN: unknown). spent: what the phase has spent after each of its rounds.
    bounds: the figure cannot be outside. scale: the size its changes can have. end_x: what the
    plan wants to spend, None where it does not say. first_round: rounds before the phase.
    """

    metric: str
    axis: str
    rounds: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    errors: tuple[float, ...]
    spent: tuple[float, ...]
    bounds: tuple[float, float]
    scale: float
    end_x: float | None = None
    first_round: int = 0

    @property
    def now(self) -> float:
        return self.spent[-1]

    @property
    def x_per_round(self) -> float:
        """What a round costs, from the last five."""
        recent = (0.0, *self.spent)[-6:]
        return (recent[-1] - recent[0]) / (len(recent) - 1)

    def round_at(self, x: float) -> float:
        """The 1-based round that ends at x, with fractions; future rounds cost as recent ones."""
        known = (0.0, *self.spent)
        if x >= known[-1]:
            later = (x - known[-1]) / self.x_per_round if self.x_per_round > 0 else 0.0
            return self.first_round + len(self.spent) + later
        i = max(n for n, at in enumerate(known) if at <= x)
        return self.first_round + i + (x - known[i]) / (known[i + 1] - known[i])

    def x_at(self, round: float) -> float:
        """What is spent at the end of a 1-based round that lies ahead."""
        return self.now + (round - self.first_round - len(self.spent)) * self.x_per_round

    @property
    def is_ability(self) -> bool:
        """Whether learning is meant to make the figure rise."""
        name = self.metric.rpartition("/")[2]
        return self.bounds == (0.0, 1.0) and any(what in name for what in _RISING)

    def first(self, num: int) -> MeasuredCurve:
        """The curve as it was when only its first `num` points were measured."""
        done = self.rounds[num - 1] - self.first_round
        return replace(
            self, rounds=self.rounds[:num], x=self.x[:num], y=self.y[:num],
            errors=self.errors[:num], spent=self.spent[:done],
        )  # fmt: skip


@dataclass
class CurveRecorder:
    """Collects rounds of one phase and makes curves of them.

    first_round: rounds before the phase. planned_rounds: of the phase, None if open.
    planned_tokens: left to the phase when it began, None if unlimited.
    """

    first_round: int = 0
    planned_rounds: int | None = None
    planned_tokens: float | None = None
    tokens: list[float] = field(default_factory=list)  # spent after each round
    attempts: list[float] = field(default_factory=list)
    metrics: list[Mapping[str, float]] = field(default_factory=list)

    def hear(self, tokens: float, attempts: float, metrics: Mapping[str, float]) -> None:
        """A round ended: the tokens and attempts it took, and every figure it wrote down."""
        self.tokens.append((self.tokens[-1] if self.tokens else 0.0) + tokens)
        self.attempts.append(attempts)
        self.metrics.append(metrics)

    def num_points(self) -> dict[str, int]:
        """Usable values of every figure so far, by key."""
        found: dict[str, int] = {}
        for row in self.metrics:
            for key, value in row.items():
                if abs(value) < LARGEST:
                    found[key] = found.get(key, 0) + 1
        return found

    def curve(self, metric: str = "") -> MeasuredCurve | None:
        """A figure by key or ending ("pass@1"); "" takes the usual one with enough points.

        None where nothing usual was measured. Raises ConfigError for a figure that the run does
        not have.
        """
        known = self.num_points()
        key = self._key(metric, known) if metric else _usual(known)
        if key is None:
            return None
        by_tokens = bool(self.tokens) and self.tokens[-1] > 0
        steps = self.tokens if by_tokens else [float(i + 1) for i in range(len(self.tokens))]
        rows = [(i, m[key]) for i, m in enumerate(self.metrics) if key in m]
        rows = [(i, y) for i, y in rows if abs(y) < LARGEST]
        values = [y for _, y in rows]
        is_share = _is_share(key, values)
        errors = [
            _error(key, self.metrics[i], self.attempts[i] if is_share else 0.0) for i, _ in rows
        ]
        before = tells_of_before(key)
        ends = [self.planned_tokens] if by_tokens else []
        if self.planned_rounds is not None and self.tokens:
            left = self.planned_rounds - len(self.tokens)
            ends.append(steps[-1] + left * (steps[-1] / len(steps)))
        limits = [e for e in ends if e is not None]
        return MeasuredCurve(
            metric=key,
            axis="tokens" if by_tokens else "rounds",
            rounds=tuple(self.first_round + i + 1 for i, _ in rows),
            x=tuple((steps[i - 1] if i else 0.0) if before else steps[i] for i, _ in rows),
            y=tuple(values),
            errors=tuple(errors),
            spent=tuple(steps),
            bounds=(0.0, 1.0) if is_share else (-math.inf, math.inf),
            scale=1.0 if is_share else _scale(values, errors),
            end_x=min(limits) if limits else None,
            first_round=self.first_round,
        )

    def _key(self, metric: str, known: Mapping[str, int]) -> str:
        for key in known:
            if key == metric or key.endswith(f"/{metric}"):
                return key
        endings = {k.rpartition("/")[2] for k in known if not k.endswith(("/low", "/high"))}
        raise ConfigError(
            f"the run never measured {metric!r} in its present phase", hint=nearest(metric, endings)
        )


def recorder_of(overview: Any) -> CurveRecorder:
    """The rounds of the present phase of an `askesis.lab.overview.Overview`, heard again."""
    lines = overview.lines
    phase = lines[-1].phase if lines else ""
    before = [line for line in lines if line.phase != phase]
    spent = sum(budget_tokens(line.costs) for line in before)
    recorder = CurveRecorder(len(before), *_planned(overview.config, phase, spent))
    for line in lines[len(before) :]:
        recorder.hear(budget_tokens(line.costs), line.costs.get("attempts", 0.0), line.metrics)
    return recorder


def budget_tokens(costs: Mapping[str, float]) -> float:
    """Tokens that count against a budget: generated and scored by anybody but measuring."""
    return sum(
        n
        for key, n in costs.items()
        if key.startswith(("generated/", "scored/")) and not key.endswith("/measure")
    )


def tells_of_before(key: str) -> bool:
    """Whether a figure is about the weights that a round began with, not those it ended with."""
    name = key.rpartition("/")[2]
    return key.startswith(_BEFORE) or name.startswith(("train_", "groups_", "vote_", "hinted_"))


def _usual(known: Mapping[str, int]) -> str | None:
    found = []
    for name in USUAL:
        keys = [k for k in known if k.endswith(f"/{name}") and not k.startswith("retain/")]
        found += keys[:1]
    enough = [key for key in found if known[key] >= ENOUGH]
    if enough:
        return enough[0]
    return max(found, key=lambda key: known[key]) if found else None


def _is_share(key: str, values: Sequence[float]) -> bool:
    name = key.rpartition("/")[2]
    return any(s in name for s in _SHARES) and all(0.0 <= y <= 1.0 for y in values)


def _error(key: str, row: Mapping[str, float], attempts: float) -> float:
    """Standard error of a figure: from its own interval, or as a share of attempts.

    Attempts at one task are alike, so the second is a lower limit; what is missing shows as
    scatter, which the forecast estimates itself.
    """
    value, low, high = row[key], row.get(f"{key}/low"), row.get(f"{key}/high")
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        return max(value - low, high - value) / _NORMAL_95  # the longer side: one may be clipped
    if attempts > 0:
        smooth = (value * attempts + 1) / (attempts + 2)
        return math.sqrt(smooth * (1 - smooth) / attempts)
    return math.nan


def _scale(values: Sequence[float], errors: Sequence[float]) -> float:
    """For figures without natural limits: how far they went, or three times their error."""
    if not values:
        return 1.0
    known = [e for e in errors if math.isfinite(e)]
    return max(max(values) - min(values), 3 * max(known, default=0.0)) or abs(values[0]) or 1.0


def _planned(
    config: Mapping[str, Any], phase: str, spent_before: float
) -> tuple[int | None, float | None]:
    """Rounds of a phase and tokens left to it, from a stored configuration."""
    phases = [p for p in config.get("phases", ()) if p.get("name") == phase]
    rounds = phases[0].get("until", {}).get("rounds") if phases else None
    tokens = config.get("budget", {}).get("tokens")
    return rounds, None if tokens is None else max(0.0, tokens - spent_before)
