"""How much a recipe is expected to gain: a small linear model, fitted on runs that were made.

    gain in pass@1  =  sum_j (w_j + u_recipe,j) x_j        no constant: no signal, no gain

x are the drivers of the recipe's family, products of figures of the diagnosis; w is shared by the
family, u is what a recipe has of its own, both held small (ridge). The constants live in
`gains.json` beside this file, with where they came from; `benchmarks/diagnose_study.py` fits
them and judges them on pairs of model and world that were left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from askesis.formulas.intervals import Estimate
from askesis.records import NOTHING

FILE = Path(__file__).parent / "gains.json"

# What drives the gain of a family; "room" is 1 - pass@1, every other name a figure.
DRIVERS: dict[str, tuple[str, ...]] = {
    "own right answers": ("mixed@8", "headroom * mixed@8"),
    "rewards": ("mixed@8", "headroom * mixed@8"),
    "demonstrations": ("room", "room * reference/surprise"),
    "own votes": ("vote_gain",),
}
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
OWN_PENALTY = 4.0  # how much more a recipe's own part is held back than the shared one


@dataclass(frozen=True)
class Outcome:
    """One run of the study: its pair's figures before it, and what pass@1 gained (claim tasks)."""

    pair: str
    recipe: str
    family: str
    figures: Mapping[str, float]
    gain: float


@dataclass(frozen=True)
class FamilyGains:
    """The constants of a family. error: root mean square of the gains of left-out pairs less their
    predictions; spread: of recipes about the shared part; num_pairs it was fitted on."""

    drivers: tuple[str, ...]
    penalty: float
    shared: tuple[float, ...]
    recipes: Mapping[str, tuple[float, ...]]
    error: float
    spread: float
    num_pairs: int


@dataclass(frozen=True)
class Gains:
    """All constants. seen: the least and greatest value of every driver in the study.

    budget_tokens: what every run of the study had. tau_tokens: gains grow as 1 - exp(-T / tau);
    0 where that was not measured. about: command, date, machine, commit; empty before the study.
    """

    families: Mapping[str, FamilyGains] = field(default=NOTHING)
    seen: Mapping[str, tuple[float, float]] = field(default=NOTHING)
    budget_tokens: float = 0.0
    tau_tokens: float = 0.0
    options: Mapping[str, Mapping[str, str]] = field(default=NOTHING)
    about: Mapping[str, Any] = field(default=NOTHING)

    def predict(
        self,
        recipe: str,
        family: str,
        figures: Mapping[str, float],
        budget: float | None = None,
        confidence: float = 0.95,
    ) -> Estimate | None:
        """The gain in pass@1 of one run, with the interval in which it is expected; None where
        nothing like it was studied or a driver is not known."""
        known = self.families.get(family)
        if known is None:
            return None
        x = driver_values(known.drivers, figures)
        if x is None:
            return None
        own = known.recipes.get(recipe)
        value = float(np.dot(x, own or known.shared))
        error = math.hypot(known.error, 0.0 if own else known.spread)
        scale = self.budget_share(budget)
        half = error * float(stdtrit(max(1, known.num_pairs - 1), 0.5 + confidence / 2))
        one = figures.get("pass@1", 0.0)
        low, high = -one, 1 - one  # pass@1 cannot leave [0, 1]
        value = min(max(scale * value, low), high)
        return Estimate(value, max(low, value - half), min(high, value + half))

    def budget_share(self, budget: float | None) -> float:
        """What part of the study's gain so many tokens bring; 1 where that is not known."""
        if not budget or not self.tau_tokens or not self.budget_tokens:
            return 1.0
        return growth(budget, self.tau_tokens) / growth(self.budget_tokens, self.tau_tokens)

    def outside(self, family: str, figures: Mapping[str, float]) -> tuple[str, ...]:
        """Drivers of a family that lie outside what was studied: the figure is extrapolated."""
        known = self.families.get(family)
        found = []
        for driver in known.drivers if known else ():
            value, seen = driver_value(driver, figures), self.seen.get(driver)
            if value is not None and seen is not None and not seen[0] <= value <= seen[1]:
                found.append(f"{driver} {value:.2f} (studied: {seen[0]:.2f} to {seen[1]:.2f})")
        return tuple(found)


def growth(tokens: float, tau: float) -> float:
    """1 - exp(-T / tau): the share of what there is to gain that so many tokens bring."""
    return -math.expm1(-tokens / tau)


def driver_value(driver: str, figures: Mapping[str, float]) -> float | None:
    """A driver's value: the product of the figures it names. None where one is not known."""
    value = 1.0
    for name in driver.split(" * "):
        known = figures.get("pass@1" if name == "room" else name)
        if known is None or math.isnan(known):
            return None
        value *= 1 - known if name == "room" else known
    return value


def driver_values(drivers: Sequence[str], figures: Mapping[str, float]) -> list[float] | None:
    """All of them, or None where one is not known."""
    found = [driver_value(d, figures) for d in drivers]
    return None if None in found else [float(v) for v in found if v is not None]


# ---------------------------------------------------------------- fitting


def fit_gains(outcomes: Sequence[Outcome]) -> dict[str, FamilyGains]:
    """The constants of every family that has at least three pairs of outcomes with known drivers.

    The penalty of a family is the one that predicts left-out pairs best; its error is that one's.
    """
    found = {}
    for family, drivers in DRIVERS.items():
        mine = [o for o in outcomes if o.family == family]
        mine = [o for o in mine if driver_values(drivers, o.figures) is not None]
        pairs = sorted({o.pair for o in mine})
        if len(pairs) < 3:
            continue
        errors = {p: _left_out_error(mine, pairs, drivers, p) for p in PENALTIES}
        penalty = min(PENALTIES, key=lambda p: errors[p])
        shared, own = _ridge(mine, drivers, penalty)
        means = [np.dot(_mean_drivers(mine, drivers), np.subtract(v, shared)) for v in own.values()]
        found[family] = FamilyGains(
            drivers, penalty, shared, own, errors[penalty],
            float(np.sqrt(np.mean(np.square(means)))), len(pairs),
        )  # fmt: skip
    return found


def _left_out_error(
    outcomes: Sequence[Outcome], pairs: Sequence[str], drivers: tuple[str, ...], penalty: float
) -> float:
    squares = []
    for pair in pairs:
        shared, own = _ridge([o for o in outcomes if o.pair != pair], drivers, penalty)
        for o in outcomes:
            if o.pair == pair:
                x = driver_values(drivers, o.figures)
                squares.append((o.gain - float(np.dot(x or (), own.get(o.recipe, shared)))) ** 2)
    return float(np.sqrt(np.mean(squares)))


def _ridge(
    outcomes: Sequence[Outcome], drivers: tuple[str, ...], penalty: float
) -> tuple[tuple[float, ...], dict[str, tuple[float, ...]]]:
    """(w, recipe -> w + u) by penalised least squares, in closed form.

        minimise  sum (y - (w + u_r) x)^2 + n l (|w|^2 + OWN_PENALTY sum_r |u_r|^2)

    in units in which every driver has a mean square of one.
    """
    recipes = sorted({o.recipe for o in outcomes})
    x = np.array([driver_values(drivers, o.figures) for o in outcomes], float)
    scale = np.sqrt(np.mean(x**2, 0))
    scale[scale == 0] = 1.0
    x = x / scale
    d, n = x.shape[1], len(outcomes)
    design = np.zeros((n, d * (1 + len(recipes))))
    design[:, :d] = x
    for row, o in enumerate(outcomes):
        place = d * (1 + recipes.index(o.recipe))
        design[row, place : place + d] = x[row]
    held = np.r_[np.ones(d), np.full(d * len(recipes), OWN_PENALTY)] * penalty * n
    y = np.array([o.gain for o in outcomes])
    w = np.linalg.solve(design.T @ design + np.diag(held), design.T @ y)
    shared = w[:d] / scale
    own = {r: shared + w[d * (1 + i) : d * (2 + i)] / scale for i, r in enumerate(recipes)}
    return _plain(shared), {r: _plain(v) for r, v in own.items()}


def _mean_drivers(outcomes: Sequence[Outcome], drivers: tuple[str, ...]) -> np.ndarray:
    values = np.array([driver_values(drivers, o.figures) for o in outcomes], float)
    return values.mean(0)


def _plain(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def seen_drivers(outcomes: Sequence[Outcome]) -> dict[str, tuple[float, float]]:
    """The least and greatest value of every driver."""
    found = {}
    for driver in sorted({d for drivers in DRIVERS.values() for d in drivers}):
        values = [driver_value(driver, o.figures) for o in outcomes]
        known = [v for v in values if v is not None]
        if known:
            found[driver] = (min(known), max(known))
    return found


# ---------------------------------------------------------------- the file


def read_gains(path: Path = FILE) -> Gains:
    """The constants that come with the package."""
    found = json.loads(path.read_text())
    families = {
        name: FamilyGains(
            **{
                **f,
                "drivers": tuple(f["drivers"]),
                "shared": tuple(f["shared"]),
                "recipes": {r: tuple(v) for r, v in f["recipes"].items()},
            }
        )
        for name, f in found["families"].items()
    }
    seen = {k: (v[0], v[1]) for k, v in found["seen"].items()}
    return Gains(**{**found, "families": families, "seen": seen})


def write_gains(gains: Gains, path: Path = FILE) -> None:
    """Write constants with their provenance."""
    path.write_text(json.dumps(asdict(gains), indent=1, sort_keys=True) + "\n")
