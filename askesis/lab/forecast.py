"""Where a run is going: its curve to the end, when it stops being worth it, and how sure that is.

Reads a run directory in any state, or listens to a run through a `CurveRecorder`. The weighing of
curves is `askesis.formulas.curve_average`; how good these forecasts were on runs they had not seen
is in results/forecast.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from askesis.errors import ConfigError, RunError
from askesis.formulas.curve_average import Averaged, average_curves
from askesis.formulas.curve_components import PLAIN_PRIOR, CurvePrior
from askesis.formulas.intervals import Estimate
from askesis.formulas.learning_trace import learning_trace
from askesis.lab.measured_curve import CurveRecorder, MeasuredCurve, recorder_of

MIN_POINTS = 3  # fewer say nothing about a shape
SMALLEST_EFFECT = 0.02  # of `scale`: two points of a share
# For figures that learning is meant to raise. Found by benchmarks/forecast_backtest.py (2026-11-21)
# on twelve tuning trials (dr_grpo, reinforce, rft, t1 on chain_arithmetic), in steps of 0.01.
ABILITY_PRIOR = CurvePrior(
    family={
        "constant": 0.06, "line": 0.06, "logarithm": 0.11, "exponential": 0.39, "power": 0.18,
        "hill": 0.16, "hump": 0.04,
    },
    noise={0.001: 0.20, 0.01: 0.19, 0.02: 0.20, 0.04: 0.15, 0.08: 0.21, 0.15: 0.05},
    drift={0.0: 0.21, 0.01: 0.22, 0.03: 0.32, 0.06: 0.20, 0.12: 0.06},
    change_mean=0.2,
    change_spread=0.2,
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """The forecast at one place. x: spent; round: 1-based, with fractions.

    value: the median of what the model can do there; low, high: its 95 % interval, low_80 and
    high_80 the 80 % one. measured_low, measured_high: where a new measurement would lie, 95 %.
    """

    x: float
    round: float
    value: float
    low: float
    high: float
    low_80: float
    high_80: float
    measured_low: float
    measured_high: float
    is_ahead: bool


@dataclass(frozen=True)
class Forecast:
    """What is expected of a run. Gains are in units of the metric.

    now, end: steps. gain: expected rise from now to the end, with its 95 % interval.
    chance_of_gain: probability that it is at least `smallest_effect`. stop_round: the first round
    from which what is left of the budget is expected to bring less than `smallest_effect`; None
    where that is not before the end. next_gain, next_cost: expected rise and cost of the next
    round; gain_per_million: per million tokens (per round where the axis is rounds). is_worth_it:
    whether that reaches `price`; None without a price. families: posterior weights. asymptote:
    of the sequential power-law estimator (card [155]) where it has one. is_planned: the end is the
    plan's, or the user's; else as much again as was spent.
    """

    curve: MeasuredCurve
    steps: tuple[Step, ...]
    now: Step
    end: Step
    gain: Estimate
    smallest_effect: float
    chance_of_gain: float
    stop_round: int | None
    next_gain: float
    next_cost: float
    gain_per_million: float
    price: float | None
    is_worth_it: bool | None
    families: Mapping[str, float]
    asymptote: float | None
    is_planned: bool

    @property
    def name(self) -> str:
        """The metric in short: pass@1."""
        return self.curve.metric.rpartition("/")[2]

    def plain(self) -> dict[str, Any]:
        """Everything as plain values for JSON and for the page; what is not finite is None.

        points: round, x, value, low, high (95 %); steps: as `Step`, to be drawn as a line with
        bands, dashed where is_ahead.
        """
        c = self.curve
        points = [
            {"round": r, "x": x, "value": y, "low": y - 1.96 * e, "high": y + 1.96 * e}
            for r, x, y, e in zip(c.rounds, c.x, c.y, c.errors, strict=True)
        ]
        found = {k: v for k, v in asdict(self).items() if k != "curve"}
        return _finite({"metric": c.metric, "axis": c.axis, "points": points, **found})


def forecast_curve(
    curve: MeasuredCurve,
    to: str = "",
    *,
    smallest_effect: float | None = None,
    price: float | None = None,
    prior: CurvePrior | None = None,
    num_places: int = 24,
) -> Forecast:
    """Forecast a curve to `to` ("40", "40 rounds", "2e6 tokens"; "": the end of the plan).

    smallest_effect: gains below it are not worth having, in units of the metric (default: 0.02 of
    its scale). price: the gain that a million tokens must bring (a round where rounds are counted).
    prior: None takes `ABILITY_PRIOR` for figures that learning is meant to raise, else the plain
    one. num_places: how many steps, at least 9; the time it takes is proportional.
    Raises RunError for fewer than three points, ConfigError for an end that is past or unreadable.
    """
    if len(curve.y) < MIN_POINTS:
        raise RunError(
            f"a forecast of {curve.metric} needs {MIN_POINTS} measured rounds in one phase",
            found=f"{len(curve.y)}",
            hint="let it run on, measure more often (--measure-every 2), or see `--metric`",
        )
    effect = SMALLEST_EFFECT * curve.scale if smallest_effect is None else smallest_effect
    end = _end_of(curve, to)
    if end is None:  # nothing says when it ends
        end, is_planned = 2 * curve.now, False
    else:
        is_planned = True
    following = min(end, curve.now + curve.x_per_round)
    num_before = num_places // 3
    ahead = _between(curve.now, end, num_places - num_before)
    places = [*_between(curve.x[0], curve.now, num_before + 1)[:-1], *ahead, following]
    found = average_curves(
        curve.x, curve.y, curve.errors, places,
        scale=curve.scale, since=curve.now, bounds=curve.bounds, prior=prior or prior_for(curve),
    )  # fmt: skip
    steps = _steps(curve, found)[:-1]
    expected = found.expected()
    at_now, at_end = len(steps) - len(ahead), len(steps) - 1
    rise = found.gain(at_end)
    gain = float(expected[at_end] - expected[at_now])
    room = [b - steps[at_now].value for b in curve.bounds]
    next_gain = float(expected[-1] - expected[at_now])
    per_million = next_gain / curve.x_per_round if curve.x_per_round > 0 else 0.0
    per_million *= 1e6 if curve.axis == "tokens" else 1.0
    return Forecast(
        curve=curve,
        steps=steps,
        now=steps[at_now],
        end=steps[at_end],
        gain=Estimate(gain, min(gain, max(room[0], rise.low)), max(gain, min(room[1], rise.high))),
        smallest_effect=effect,
        chance_of_gain=found.chance_of_gain(at_end, effect),
        stop_round=_stop(curve, steps, expected[:-1], effect),
        next_gain=next_gain,
        next_cost=curve.x_per_round,
        gain_per_million=per_million,
        price=price,
        is_worth_it=None if price is None else per_million >= price,
        families=dict(sorted(found.family_weights.items(), key=lambda item: -item[1])),
        asymptote=_asymptote(curve),
        is_planned=is_planned,
    )


def prior_for(curve: MeasuredCurve) -> CurvePrior:
    """What is believed of a figure before it was measured."""
    return ABILITY_PRIOR if curve.is_ability else PLAIN_PRIOR


def forecast_run(path: Path, metric: str = "", to: str = "", **options: Any) -> Forecast:
    """The forecast of a run directory; options are those of `forecast_curve`.

    Raises RunError where there is no run or too little was measured, ConfigError for a figure the
    run does not have.
    """
    from askesis.lab.overview import overview

    found = overview(path)
    curve = recorder_of(found).curve(metric)
    if curve is None:
        raise RunError(
            f"{path} has nothing to forecast yet",
            expected=f"a figure such as pass@1 in at least {MIN_POINTS} rounds",
            found=f"{len(found.lines)} rounds",
            hint="let it run on, or choose a figure with --metric",
        )
    return forecast_curve(curve, to, **options)


def forecast_words(recorder: CurveRecorder) -> str:
    """One line for displays: the forecast, or why there is none."""
    from askesis.lab.figures import number, share

    curve = recorder.curve()
    if curve is None:
        return "no forecast: nothing was measured yet"
    name = curve.metric.rpartition("/")[2]
    if len(curve.y) < MIN_POINTS:
        return f"no forecast yet: {name} was measured {len(curve.y)} times, {MIN_POINTS} are needed"
    if curve.end_x is not None and curve.end_x <= curve.now:
        return ""  # the plan is done
    found = forecast_curve(curve, num_places=9)
    shown = share if curve.bounds == (0.0, 1.0) else number
    words = (
        f"forecast: {name} {shown(found.now.value)} now, {shown(found.end.value)} "
        f"({shown(found.end.low)} to {shown(found.end.high)}) by round {found.end.round:.0f}"
    )
    worth = (
        f"{100 * found.smallest_effect:.0f} points"
        if shown is share
        else number(found.smallest_effect)
    )
    return f"{words}; {worth} more or better: {100 * found.chance_of_gain:.0f} %"


# ---------------------------------------------------------------- parts of a forecast


def _end_of(curve: MeasuredCurve, to: str) -> float | None:
    """What will be spent at the end; None where neither the user nor the plan says."""
    if not to:
        is_open = curve.end_x is not None and curve.end_x > curve.now
        return curve.end_x if is_open else None
    match = re.fullmatch(r"([\d.,_]+(?:e\+?\d+)?)\s*([kMG]?)\s*(rounds?|tokens?)?", to.strip())
    try:
        if match is None:
            raise ValueError
        amount = float(match[1].replace(",", "").replace("_", ""))
    except ValueError:
        raise ConfigError(
            "the end of a forecast is a number of rounds or tokens",
            expected="40, 40 rounds or 2e6 tokens", found=to,
        ) from None  # fmt: skip
    amount *= {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]]
    if (match[3] or "rounds").startswith("round"):
        end = curve.x_at(amount)
    elif curve.axis == "tokens":
        end = amount
    else:
        raise ConfigError("this run spends no tokens", hint="give the end in rounds: --to 40")
    if not curve.now < end:
        raise ConfigError(
            "the end of a forecast lies ahead",
            expected=f"more than {curve.round_at(curve.now):.0f} rounds"
            + (f" ({curve.now:,.0f} tokens)" if curve.axis == "tokens" else ""),
            found=to,
        )
    return end


def _between(low: float, high: float, num: int) -> list[float]:
    return [low + (high - low) * i / (num - 1) for i in range(num)]


def _steps(curve: MeasuredCurve, found: Averaged) -> tuple[Step, ...]:
    shares = (0.5, 0.025, 0.975, 0.1, 0.9)
    able = found.quantiles(shares)
    seen = found.quantiles((0.025, 0.975), measured=True)
    rows = np.vstack([found.at, able, seen]).T.tolist()
    return tuple(
        Step(
            x=x,
            round=curve.round_at(x),
            value=value,
            low=low,
            high=high,
            low_80=low_80,
            high_80=high_80,
            measured_low=measured_low,
            measured_high=measured_high,
            is_ahead=x > curve.now,
        )
        for x, value, low, high, low_80, high_80, measured_low, measured_high in rows
    )


def _stop(
    curve: MeasuredCurve, steps: tuple[Step, ...], expected: Any, effect: float
) -> int | None:
    """The first round from which the rest is expected to bring less than the effect."""
    left = expected[-1] - expected
    first = len(steps)
    while first > 0 and left[first - 1] < effect:
        first -= 1
    if first >= len(steps) - 1:
        return None
    round = math.ceil(steps[first].round - 1e-9)
    return round if round < math.floor(steps[-1].round + 1e-9) else None


def _asymptote(curve: MeasuredCurve) -> float | None:
    try:
        trace = learning_trace(curve.x, curve.y, highest=curve.bounds[1])
    except ValueError:
        return None
    found = trace.levels[-1].asymptote
    return found if trace.prediction_level is not None and found <= curve.bounds[1] else None


def _finite(value: Any) -> Any:
    """JSON knows neither NaN nor infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
