"""How good are the forecasts? Finished arms are forecast from their beginnings and compared.

    python -m benchmarks.forecast_backtest FOLDER [FOLDER ...] [--tune]

Reads every arm (FOLDER/*/result.json, as askesis/lab/arm.py writes them, with its run directory
where it is still there) and writes results/forecast.md and results/forecast.json. Each curve is cut
after 30, 50 and 70 % of its points and the mean of its last tenth is forecast.

The prior is tuned on tuning trials (which have a seed of their own) of one part of the recipes in
the world with the most arms. It is judged on arms with other seeds of recipes that it did not see,
and on worlds that it did not see: arms with one seed meet the same tasks in the same order, and
lucky tasks at the end would lift seen and unseen recipes alike. A recipe is held out if a hash of
its name says so, so that arms that come later change nothing.
`--tune` also prints the prior,
which then belongs into askesis/lab/forecast.py (ABILITY_PRIOR).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from askesis.errors import AskesisError
from askesis.formulas.curve_average import Averaged, average_curves, combine
from askesis.formulas.curve_components import (
    PLAIN_PRIOR,
    Components,
    CurvePrior,
    curve_components,
)
from askesis.formulas.curves import fit_curve
from askesis.formulas.intervals import t_interval, wilson
from askesis.formulas.learning_trace import learning_trace
from askesis.lab.forecast import ABILITY_PRIOR, SMALLEST_EFFECT
from askesis.lab.measured_curve import CurveRecorder, MeasuredCurve, recorder_of
from benchmarks.evidence_plan import TUNING_SEED
from benchmarks.machine import describe

RESULTS = Path(__file__).parents[1] / "results"
PREFIXES = (0.3, 0.5, 0.7)
END_SHARE = 0.1  # the end is the mean of so much of the points
MIN_CURVE = 8  # points; shorter curves cannot be cut and judged
FIGURES = ("pass@1", "reward", "good_fraction", "preference_accuracy")
METHODS = ("weighted curves", "last value", "mean of the last tenth", "straight line",
           "sequential power law")  # fmt: skip
# A prior that is surer of a rise than this is not allowed, however well it fits the arms at hand.
CHANGE_MEANS, CHANGE_SPREADS = (0.0, 0.1, 0.2), (0.2, 0.4)
HELD = ("held-out recipe", "held-out world", "both held out")
TUNED = "tuned on"


@dataclass(frozen=True)
class Case:
    """A curve cut after `num` points, and what came then. `group` says what tuning saw of it."""

    arm: str
    recipe: str
    world: str
    group: str
    curve: MeasuredCurve
    num: int
    prefix: float

    @property
    def num_end(self) -> int:
        return max(1, round(END_SHARE * len(self.curve.y)))

    @property
    def end_x(self) -> float:
        return float(np.mean(self.curve.x[-self.num_end :]))

    @property
    def end_y(self) -> float:
        return float(np.mean(self.curve.y[-self.num_end :]))

    @property
    def seen(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        c, n = self.curve, self.num
        return c.x[:n], c.y[:n], c.errors[:n]


# ---------------------------------------------------------------- reading arms


@dataclass(frozen=True)
class FinishedArm:
    """What is read of an arm; its other fields may change without harm."""

    place: Path
    recipe: str
    world: str
    seed: int
    measured: Sequence[Mapping[str, float]]


def read_arms(folders: Sequence[Path]) -> list[FinishedArm]:
    """Every finished arm of some folders that did not fail, in order of their names."""
    found = []
    for folder in folders:
        for written in sorted(folder.glob("*/result.json")):
            result = json.loads(written.read_text())
            options = {str(k): str(v) for k, v in result["arm"]["options"]}
            world = options.get("world", "").partition("?")[0] or "the recipe's own"
            recipe = result["arm"]["recipe"].rpartition(":")[2]
            if not result["error"]:
                seed, measured = int(result["arm"]["seed"]), result["measured"]
                found.append(FinishedArm(written.parent, recipe, world, seed, measured))
    return found


def curves_of(arm: FinishedArm) -> list[MeasuredCurve]:
    """The curves of an arm that are long enough: one per figure in `FIGURES`."""
    recorder = None
    path = arm.place / "run"
    if (path / "ledger.sqlite").exists():
        from askesis.lab.overview import overview

        try:
            recorder = recorder_of(overview(path))
        except AskesisError:
            recorder = None
    if recorder is None:
        recorder = _recorder_of_rows(arm.measured)
    found = []
    for figure in FIGURES:
        try:
            curve = recorder.curve(figure)
        except AskesisError:
            continue
        if curve is not None and len(curve.y) >= MIN_CURVE and curve.bounds == (0.0, 1.0):
            found.append(curve)
    return found


def _recorder_of_rows(rows: Iterable[Mapping[str, float]]) -> CurveRecorder:
    """From result.json alone: measured rounds with the tokens spent by then."""
    recorder = CurveRecorder()
    before = 0.0
    for row in rows:
        figures = {k: v for k, v in row.items() if k not in ("round", "tokens")}
        recorder.hear(row["tokens"] - before, 0.0, figures)
        before = row["tokens"]
    return recorder


def cases_of(arms: Sequence[FinishedArm]) -> list[Case]:
    """Every curve of every arm that can be tuned or judged on, cut three times."""
    worlds = Counter(arm.world for arm in arms)
    tuned_world = worlds.most_common(1)[0][0] if worlds else ""
    cases = []
    for arm in arms:
        group = _group(_is_held(arm.recipe), arm.world != tuned_world, arm.seed == TUNING_SEED)
        if not group:
            continue
        for curve in curves_of(arm):
            for prefix in PREFIXES:
                num = max(3, round(prefix * len(curve.y)))
                name = arm.place.name
                cases.append(Case(name, arm.recipe, arm.world, group, curve, num, prefix))
    return cases


def _is_held(recipe: str) -> bool:
    return bool(hashlib.blake2b(recipe.encode(), digest_size=1).digest()[0] % 2)


def _group(recipe_held: bool, world_held: bool, is_trial: bool) -> str:
    """What tuning saw of an arm; "" where it is good for neither tuning nor judging."""
    if world_held:
        return "both held out" if recipe_held else "held-out world"
    if recipe_held:
        return "" if is_trial else "held-out recipe"
    return TUNED if is_trial else ""


# ---------------------------------------------------------------- tuning


def components_of(case: Case, prior: CurvePrior) -> Components:
    x, y, errors = case.seen
    c = case.curve
    return curve_components(x, y, errors, [case.end_x], scale=c.scale, since=x[-1], prior=prior)


def log_score(found: Averaged, case: Case) -> float:
    """Log density of what came, the noise of its mean included."""
    variance = found.variance[:, 0] + found.noise_variance / case.num_end
    z = (case.end_y - found.mean[:, 0]) ** 2 / variance
    density = found.weights @ (np.exp(-0.5 * z) / np.sqrt(2 * np.pi * variance))
    return float(np.log(density + 1e-9))  # a miss costs at most 21 nats: no single case decides


def forecast_case(case: Case, prior: CurvePrior, made: Components | None = None) -> Averaged:
    made = components_of(case, prior) if made is None else made
    errors = [e for e in case.seen[2] if math.isfinite(e)]
    typical = float(np.median(errors)) if errors else 0.0
    return combine(made, np.array([case.end_x]), prior, case.curve.bounds, typical)


def tune(cases: Sequence[Case], prior: CurvePrior = PLAIN_PRIOR) -> CurvePrior:
    """The weights of the prior that foresee these cases best, held near to where they began.

    Maximises the sum of log scores minus half the squared distance of the log weights, for several
    priors of the change.
    """
    from scipy.optimize import minimize

    best, best_loss = prior, math.inf
    for mean, spread in itertools.product(CHANGE_MEANS, CHANGE_SPREADS):
        begun = replace(prior, change_mean=mean, change_spread=spread)
        made = [components_of(case, begun) for case in cases]
        start = np.zeros(len(prior.family) + len(prior.noise) + len(prior.drift))

        def loss(theta: np.ndarray, begun: CurvePrior = begun, made: Any = made) -> float:
            tried = _shifted(begun, theta)
            scores = [
                log_score(forecast_case(c, tried, m), c) for c, m in zip(cases, made, strict=True)
            ]
            return -sum(scores) + 0.5 * float(theta @ theta)

        found = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 15, "ftol": 1e-5})
        if found.fun < best_loss:
            best, best_loss = _shifted(begun, found.x), float(found.fun)
    return best


def _shifted(prior: CurvePrior, theta: np.ndarray) -> CurvePrior:
    """The prior with its log weights moved by theta: families, then noise, then drift."""
    a, b = len(prior.family), len(prior.family) + len(prior.noise)
    return replace(
        prior,
        family=_moved(prior.family, theta[:a]),
        noise=_moved(prior.noise, theta[a:b]),
        drift=_moved(prior.drift, theta[b:]),
    )


def _moved(weights: Mapping[Any, float], by: np.ndarray) -> dict[Any, float]:
    values = np.array(list(weights.values())) * np.exp(by)
    return dict(zip(weights, (values / values.sum()).tolist(), strict=True))


# ---------------------------------------------------------------- judging


def judge(case: Case, prior: CurvePrior) -> dict[str, Any]:
    """Errors of every method, whether the intervals held, and what was said of the plateau."""
    found = forecast_case(case, prior)
    x, y, _ = case.seen
    low, high = case.curve.bounds
    tail = max(1, round(END_SHARE * case.num))
    said = {
        "weighted curves": float(found.quantiles([0.5])[0, 0]),
        "last value": y[-1],
        "mean of the last tenth": float(np.mean(y[-tail:])),
        "straight line": float(np.clip(fit_curve("line", x, y).at([case.end_x])[0], low, high)),
        "sequential power law": _sequential(case),
    }
    averaged = replace(found, noise_variance=found.noise_variance / case.num_end)
    inside = {}
    width = {}
    for share in (0.8, 0.95):
        interval = averaged.interval(share, measured=True)[0]
        inside[share] = interval.low <= case.end_y <= interval.high
        width[share] = interval.high - interval.low
    begun, ended = _smoothed(case, prior)
    gain = found.gain(0).value
    return {
        "arm": case.arm, "recipe": case.recipe, "world": case.world, "group": case.group,
        "figure": case.curve.metric, "prefix": case.prefix, "num_points": case.num,
        "end": case.end_y, "said": said, "inside_80": inside[0.8], "inside_95": inside[0.95],
        "width_80": width[0.8], "width_95": width[0.95], "log_score": log_score(found, case),
        "true_gain": ended - begun,
        "stops": {
            "expected gain below the effect": gain < SMALLEST_EFFECT,
            "effect less likely than not": found.chance_of_gain(0, SMALLEST_EFFECT) < 0.5,
            "best value three points old": int(np.argmax(y)) < len(y) - 3,
        },
    }  # fmt: skip


def _sequential(case: Case) -> float:
    """The law of the last level, or the last value where there is no prediction level yet."""
    x, y, _ = case.seen
    low, high = case.curve.bounds
    try:
        trace = learning_trace(x, y, highest=high)
    except ValueError:
        return y[-1]
    if trace.prediction_level is None:
        return y[-1]
    return float(np.clip(trace.levels[-1].at([case.end_x])[0], low, high))


def _smoothed(case: Case, prior: CurvePrior) -> tuple[float, float]:
    """Where the curve was at the cut and at its end, as the whole curve tells afterwards."""
    c = case.curve
    x, y, errors = c.x, c.y, c.errors
    at = [x[case.num - 1], case.end_x]
    found = average_curves(x, y, errors, at, scale=c.scale, bounds=c.bounds, prior=prior)
    middle = found.quantiles([0.5])[0]
    return float(middle[0]), float(middle[1])


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean errors with intervals over (recipe, world) pairs, coverage, calls of a plateau."""
    clusters = sorted({(r["recipe"], r["world"]) for r in rows})

    def over_clusters(value: Any) -> dict[str, float]:
        means = [
            float(np.mean([value(r) for r in rows if (r["recipe"], r["world"]) == c]))
            for c in clusters
        ]
        return asdict(t_interval(means))

    errors = {}
    for method in METHODS:
        miss = over_clusters(lambda r, m=method: abs(r["said"][m] - r["end"]))
        less = over_clusters(
            lambda r, m=method: (
                abs(r["said"][m] - r["end"]) - abs(r["said"]["weighted curves"] - r["end"])
            )
        )
        errors[method] = {"error": miss, "more_than_weighted": less}
    calls = {}
    for rule in rows[0]["stops"]:
        early = sum(r["stops"][rule] and r["true_gain"] >= SMALLEST_EFFECT for r in rows)
        late = sum(not r["stops"][rule] and r["true_gain"] < SMALLEST_EFFECT for r in rows)
        called = sum(r["stops"][rule] for r in rows)
        calls[rule] = {"called": called, "too_early": early, "too_late": late}
    return {
        "num_cases": len(rows),
        "num_arms": len({r["arm"] for r in rows}),
        "num_pairs": len(clusters),
        "errors": errors,
        "inside_80": asdict(wilson(sum(r["inside_80"] for r in rows), len(rows))),
        "inside_95": asdict(wilson(sum(r["inside_95"] for r in rows), len(rows))),
        "width_80": float(np.mean([r["width_80"] for r in rows])),
        "width_95": float(np.mean([r["width_95"] for r in rows])),
        "log_score": float(np.mean([r["log_score"] for r in rows])),
        "num_flat": sum(r["true_gain"] < SMALLEST_EFFECT for r in rows),
        "calls": calls,
    }


def backtest(folders: Sequence[Path]) -> dict[str, Any]:
    """Read, tune, judge; everything that the page says."""
    arms = read_arms(folders)
    cases = cases_of(arms)
    if not cases:
        raise SystemExit(
            f"no curve of at least {MIN_CURVE} points among {len(arms)} finished arms of "
            + ", ".join(map(str, folders))
        )
    tuning = [c for c in cases if c.group == TUNED]
    tuned = tune(tuning) if tuning else PLAIN_PRIOR
    priors = {"tuned": tuned, "in the package": ABILITY_PRIOR, "plain": PLAIN_PRIOR}
    rows = {name: [judge(case, prior) for case in cases] for name, prior in priors.items()}
    groups = [*HELD, TUNED]
    made: dict[str, Any] = {
        "num_arms": len(arms),
        "num_arms_used": len({c.arm for c in cases}),
        "num_cases": len(cases),
        "recipes": {g: sorted({c.recipe for c in cases if c.group == g}) for g in groups},
        "worlds": {g: sorted({c.world for c in cases if c.group == g}) for g in groups},
        "prior": asdict(tuned),
        "groups": {},
    }
    for name, judged in rows.items():
        split = {g: [r for r in judged if r["group"] == g] for g in groups}
        split["held out"] = [r for r in judged if r["group"] in HELD]
        for prefix in PREFIXES:
            key = f"held out, from {prefix:.0%}"
            split[key] = [r for r in split["held out"] if r["prefix"] == prefix]
        made["groups"][name] = {g: summary(found) for g, found in split.items() if found}
    made["cases"] = rows["tuned"]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast_backtest")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--tune", action="store_true", help="print the tuned prior")
    parser.add_argument("--to", type=Path, default=RESULTS, help="where the files go")
    given = parser.parse_args()
    from benchmarks.forecast_page import page

    whole = {
        "command": "python -m benchmarks.forecast_backtest FOLDER"
        + (f" (x{len(given.folders)})" if len(given.folders) > 1 else ""),
        "date": date.today().isoformat(),
        "machine": describe(),
        "smallest_effect": SMALLEST_EFFECT,
        **backtest(given.folders),
    }
    given.to.mkdir(parents=True, exist_ok=True)
    (given.to / "forecast.json").write_text(json.dumps(whole, indent=1) + "\n")
    (given.to / "forecast.md").write_text(page(whole))
    if given.tune:
        print(json.dumps(whole["prior"], indent=1))
    print(page(whole))


if __name__ == "__main__":
    main()
