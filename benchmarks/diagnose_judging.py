"""Judging advice on pairs it was not fitted on: how often it is right, and what it costs if not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.lab.diagnose.gains import Gains, Outcome, fit_gains

NUM_DRAWS = 1000  # of pairs, with replacement, for the interval of a rank correlation


@dataclass(frozen=True)
class Study:
    """What was found before, and gained after: P pairs, R recipes, S seeds.

    figures: of each pair. gains: (P, R, S), in pass@1 on claim tasks. eligible: (P, R), whether the
    rules let a recipe work. headroom: (P, R), how far above pass@1 a recipe's own goal lies.
    curves: per run (tokens, gain) of its snapshots. failed: runs that came to nothing, and why;
    the mean of their other seeds stands in their place.
    """

    pairs: tuple[str, ...]
    recipes: tuple[str, ...]
    families: tuple[str, ...]
    figures: tuple[Mapping[str, float], ...]
    gains: np.ndarray
    eligible: np.ndarray
    headroom: np.ndarray
    curves: tuple[tuple[tuple[float, float], ...], ...] = ()
    failed: tuple[str, ...] = ()


def judged(study: Study, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything the page says, as plain values."""
    predicted, low, high = predictions(study, outcomes)
    mean, noise = study.gains.mean(2), seed_noise(study.gains)
    means_elsewhere = np.array(
        [np.delete(mean, p, 0).mean(0) for p in range(len(study.pairs))]
    )  # (P, R)
    choices = {
        "diagnose": predicted.argmax(1),
        "always the recipe best on average": means_elsewhere.argmax(1),
        "most headroom": study.headroom.argmax(1),
    }
    known = ~np.isnan(low)
    inside = (study.gains >= low[..., None]) & (study.gains <= high[..., None])
    return {
        "pairs": list(study.pairs),
        "recipes": list(study.recipes),
        "failed": list(study.failed),
        "gains": study.gains.tolist(),
        "predicted": predicted.tolist(),
        "low": _plain(low),
        "high": _plain(high),
        "eligible": study.eligible.tolist(),
        "seed_noise": noise,
        "choices": {n: [study.recipes[i] for i in c] for n, c in choices.items()},
        "advice": {n: advice_score(c, mean, noise, study.gains.shape[2])
                   for n, c in choices.items()},
        "chance": chance(mean, noise, study.gains.shape[2]),
        "ranks": ranks(study, predicted, means_elsewhere),
        "error": float(np.mean(np.abs(predicted - mean))),
        "error_of_average": float(np.mean(np.abs(means_elsewhere - mean))),
        "coverage": float(inside[known].mean()) if known.any() else None,
    }  # fmt: skip


def predictions(
    study: Study, outcomes: Sequence[Outcome]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(expected gain, low, high), each (P, R), every pair by constants fitted on the others. What
    the rules exclude, and what cannot be predicted, gains 0; its interval is NaN."""
    shape = study.eligible.shape
    found, low, high = np.zeros(shape), np.full(shape, np.nan), np.full(shape, np.nan)
    for p, pair in enumerate(study.pairs):
        gains = Gains(fit_gains([o for o in outcomes if o.pair != pair]))
        for r, recipe in enumerate(study.recipes):
            made = gains.predict(recipe, study.families[r], study.figures[p])
            if made is not None and study.eligible[p, r]:
                found[p, r], low[p, r], high[p, r] = made.value, made.low, made.high
    return found, low, high


def seed_noise(gains: np.ndarray) -> float:
    """Standard deviation of one run's gain about its pair and recipe, pooled; 0 with one seed."""
    return float(np.sqrt(gains.var(2, ddof=1).mean())) if gains.shape[2] > 1 else 0.0


def advice_score(
    choice: np.ndarray, mean: np.ndarray, noise: float, num_seeds: int
) -> dict[str, float]:
    """How good choices of a recipe per pair are: how often the best, how often the best or not to
    be told from it by so many seeds, what is gained, and what is lost to the best."""
    rows = np.arange(len(mean))
    lost = mean.max(1) - mean[rows, choice]
    least = 1.96 * noise * np.sqrt(2 / num_seeds)
    return {
        "best": float(np.mean(lost == 0)),
        "best_or_equal": float(np.mean(lost <= least)),
        "gained": float(mean[rows, choice].mean()),
        "lost": float(lost.mean()),
        "most_lost": float(lost.max()),
    }


def chance(mean: np.ndarray, noise: float, num_seeds: int) -> dict[str, float]:
    """The same for a recipe drawn at random, on average."""
    scores = [
        advice_score(np.full(len(mean), r), mean, noise, num_seeds) for r in range(mean.shape[1])
    ]
    return {key: float(np.mean([s[key] for s in scores])) for key in scores[0]}


def ranks(study: Study, predicted: np.ndarray, elsewhere: np.ndarray) -> dict[str, Any]:
    """Spearman's rank correlations with the gains of single runs, over all pairs and recipes; the
    ceiling is that of two seeds with each other."""
    gains, shape = study.gains, study.eligible.shape
    headroom = np.array([[f["headroom"]] * shape[1] for f in study.figures])
    found: dict[str, Any] = {
        name: _correlation(values, gains)
        for name, values in (
            ("diagnose", predicted),
            ("the recipe's average elsewhere", elsewhere),
            ("headroom", headroom),
        )
    }
    if gains.shape[2] > 1:
        found["another seed (ceiling)"] = _correlation(gains[..., 1], gains[..., :1])
    return found


def _correlation(values: np.ndarray, gains: np.ndarray) -> dict[str, float]:
    """Over all cells, with a percentile interval over pairs; and within pairs, on average."""
    num, seeds = len(values), gains.shape[2]

    def whole(rows: np.ndarray) -> float:
        one = values[rows].ravel()
        return float(np.mean([spearman(one, gains[rows, :, s].ravel()) for s in range(seeds)]))

    rng = np.random.default_rng(0)
    draws = [whole(rng.integers(num, size=num)) for _ in range(NUM_DRAWS)]
    inside = [spearman(values[p], gains[p, :, s]) for p in range(num) for s in range(seeds)]
    low, high = np.nanquantile(draws, [0.025, 0.975]) if num > 1 else (np.nan, np.nan)
    return {
        "all": whole(np.arange(num)),
        "low": float(low),
        "high": float(high),
        "within_pairs": float(np.mean(inside)),
    }


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rho, ties averaged; 0 where one of the two does not vary."""
    from scipy.stats import rankdata

    a, b = rankdata(first), rankdata(second)
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _plain(values: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(v) else float(v) for v in row] for row in values]
