"""What was optimised against what was wanted, over the distance from the first model.

Reads the metrics of a run: the divergence that `Drift` measures, the reward that was trained on,
and the true score on held-out tasks. Where the truth has a top on this curve, training beyond it
is over-optimisation; card [157].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan, sqrt
from typing import Any

from askesis.formulas.overoptimisation import Law, fit_law

DISTANCE = "measure/drift/kl_base"
PROXY = "select/reward"
TRUTH = "measure/pass@1"


@dataclass(frozen=True)
class Point:
    """One measured round: distance d = sqrt(KL to base) in root nats, proxy (NaN where the next
    round has not said yet) and truth, all of the same weights."""

    round: int
    distance: float
    proxy: float
    truth: float


@dataclass(frozen=True)
class OverOptimisation:
    """The points of a run, and the laws fitted to the truth (and to the proxy, to look at)."""

    points: tuple[Point, ...]
    truth: Law
    proxy: Law | None

    @property
    def past_peak(self) -> bool:
        """Whether the last round is farther than the whole interval of the truth's peak."""
        return (
            bool(self.points)
            and self.truth.turns
            and self.points[-1].distance > self.truth.peak.high
        )

    def sentence(self) -> str:
        """What the points say, and what they do not."""
        if len(self.points) < 5:
            return f"{len(self.points)} measured rounds are too few to fit a law (5 at least)"
        peak = self.truth.peak
        if isnan(peak.value) or not self.truth.turns:
            return "no top is shown: the truth is not seen to turn with the distance"
        best = f"sqrt(KL) = {peak.value:.2f} ({peak.low:.2f} to {peak.high:.2f})"
        here = self.points[-1].distance
        if self.past_peak:
            return f"the truth is past its predicted top at {best}: this run is at {here:.2f}"
        if here < peak.low:
            return f"the truth is predicted to turn at {best}; this run is at {here:.2f}"
        return f"the truth is near its predicted top at {best}: this run is at {here:.2f}"


def points_of(
    metrics: Sequence[dict[str, Any]],
    *,
    distance: str = DISTANCE,
    proxy: str = PROXY,
    truth: str = TRUTH,
) -> list[Point]:
    """Points from metric rows (round, key, value), oldest first.

    A round's measurements are of the weights after its learning; its reward is of the attempts
    before it. So the proxy of a point is the *next* round's. Rounds that lack distance or truth,
    or in which one is not finite, are left out; distances estimated below 0 count as 0.
    """
    by_round: dict[int, dict[str, float]] = {}
    for row in metrics:
        by_round.setdefault(int(row["round"]), {})[row["key"]] = float(row["value"])
    found = []
    for index in sorted(by_round):
        now, after = by_round[index], by_round.get(index + 1, {})
        d, true = now.get(distance, float("nan")), now.get(truth, float("nan"))
        if isfinite(d) and isfinite(true):
            reward = after.get(proxy, float("nan"))
            found.append(Point(index, sqrt(max(0.0, d)), reward, true))
    return found


def over_optimisation(store: Any, form: str = "log", **keys: str) -> OverOptimisation:
    """The points of a run that is open for reading, and the fitted laws.

    form: "log" for policies that learn, "square" for best of n. keys: `distance`, `proxy`,
    `truth`, the metrics to read where they are not the usual ones.
    """
    wanted = {"distance": DISTANCE, "proxy": PROXY, "truth": TRUTH} | keys
    points = points_of(store.metrics(*wanted.values()), **wanted)
    rewarded = [p for p in points if isfinite(p.proxy)]
    return OverOptimisation(
        tuple(points),
        fit_law([p.distance for p in points], [p.truth for p in points], form=form),
        fit_law([p.distance for p in rewarded], [p.proxy for p in rewarded], form=form)
        if rewarded
        else None,
    )
