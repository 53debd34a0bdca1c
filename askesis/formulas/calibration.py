"""Whether confidence means something: calibration, and what one gains by abstaining.

confidence: p_i in [0, 1], how sure somebody was of case i; correct: y_i, whether it was right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np

Binning = Literal["width", "mass"]


@dataclass(frozen=True, slots=True)
class Bin:
    """Cases of about the same confidence: how many, their mean confidence, the share right."""

    num: int
    confidence: float
    accuracy: float


def calibration_bins(
    confidence: Sequence[float],
    correct: Sequence[bool],
    num_bins: int = 10,
    binning: Binning = "width",
) -> list[Bin]:
    """Cases by confidence: the points of a reliability diagram, bins without cases left out.

    num_bins: at least 1. binning: "width", bins ((b-1)/B, b/B] as in Guo et al.; "mass", edges at
    the quantiles b/B of the confidences, equal confidences never torn apart. Source: Guo et al.
    2017, "On Calibration of Modern Neural Networks"; the same edges as
    `sklearn.calibration.calibration_curve`.

    >>> calibration_bins([0.1, 0.3, 0.9, 1.0], [False, True, True, True], num_bins=2)
    [Bin(num=2, confidence=0.2, accuracy=0.5), Bin(num=2, confidence=0.95, accuracy=1.0)]
    """
    num, sure, right = _sums(confidence, correct, num_bins, binning)
    found = zip(num, sure, right, strict=True)
    return [Bin(int(n), float(a / n), float(b / n)) for n, a, b in found if n]


def calibration_error(
    confidence: Sequence[float],
    correct: Sequence[bool],
    num_bins: int = 10,
    binning: Binning = "width",
) -> float:
    """Expected calibration error; with binning "mass" the adaptive one.

        ECE = sum_b  n_b / n  * | acc_b - conf_b |

    confidence, correct, num_bins, binning: as in `calibration_bins`. In [0, 1], 0 calibrated; NaN
    without cases. Biased upwards where bins hold few cases: compare equal numbers of cases only.
    Source: Naeini et al. 2015; Guo et al. 2017; equal mass: Nixon et al. 2019. Ten
    bins as in card [111].

    >>> round(calibration_error([0.1, 0.3, 0.9, 1.0], [False, True, True, True], num_bins=2), 3)
    0.175
    """
    num, sure, right = _sums(confidence, correct, num_bins, binning)
    return float(np.abs(right - sure).sum() / num.sum()) if num.any() else nan


def brier(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Mean squared error of confidences.

        B = mean_i ( p_i - y_i )^2

    In [0, 1], 0 best; always 0.5 says 0.25. NaN without cases. A proper score: it falls only by
    knowing more or by being better calibrated. Source: Brier 1950.

    >>> round(brier([0.8, 0.4], [True, False]), 3)
    0.1
    """
    p, y = _cases(confidence, correct)
    return float(np.mean((p - y) ** 2)) if len(p) else nan


def risk_coverage(
    confidence: Sequence[float], correct: Sequence[bool]
) -> tuple[np.ndarray, np.ndarray]:
    """The share wrong among the most confident cases, for every share that is answered.

        coverage_i = i / n,    risk_i = (wrong among the i most confident) / i

    confidence: any real numbers, only their order counts. Returns (coverage, risk), each (n,).
    Equal confidences are taken in random order: the expected risk is given. Source: El-Yaniv and
    Wiener 2010, "On the Foundations of Noise-free Selective Classification"; used for abstaining
    models in cards [114] and [239].

    >>> [x.round(3).tolist() for x in risk_coverage([0.9, 0.8, 0.1], [True, False, True])]
    [[0.333, 0.667, 1.0], [0.0, 0.5, 0.333]]
    """
    p, y = np.asarray(confidence, float), np.asarray(correct, float)
    if p.shape != y.shape or p.ndim != 1 or np.isnan(p).any():
        raise ValueError("one confidence per case, none of them NaN")
    n = len(p)
    if n == 0:
        return np.zeros(0), np.zeros(0)
    _, inverse, num = np.unique(-p, return_inverse=True, return_counts=True)
    wrong = np.bincount(inverse, weights=1 - y)
    cumulative = np.cumsum((wrong / num)[np.repeat(np.arange(len(num)), num)])
    i = np.arange(1, n + 1)
    return i / n, cumulative / i


def aurc(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Area under the risk-coverage curve: mean risk over all coverages.

        AURC = (1 / n) * sum_i risk_i

    In [0, 1], 0 where everything is right; NaN without cases. It mixes how often one is right with
    how well one knows it: `excess_aurc` takes the first away. Source: Geifman, Uziel and El-Yaniv
    2019, "Bias-Reduced Uncertainty Estimation"; as in card [111].

    >>> round(aurc([0.9, 0.8, 0.1], [True, False, True]), 4)
    0.2778
    """
    _, risk = risk_coverage(confidence, correct)
    return float(risk.mean()) if len(risk) else nan


def excess_aurc(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """AURC above what a perfect order of the same cases would have: 0 is perfect.

        E-AURC = AURC - (1 / n) * sum_i max(0, i - c) / i,    c = number right

    Source: Geifman, Uziel and El-Yaniv 2019, with the optimum summed instead of approximated.

    >>> round(excess_aurc([0.9, 0.8, 0.1], [True, False, True]), 4)
    0.1667
    """
    n = len(correct)
    if not n:
        return nan
    i = np.arange(1, n + 1)
    best = float(np.mean(np.maximum(0, i - sum(map(bool, correct))) / i))
    return aurc(confidence, correct) - best


def _sums(
    confidence: Sequence[float], correct: Sequence[bool], num_bins: int, binning: Binning
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per bin: cases, sum of confidences, number right."""
    p, y = _cases(confidence, correct)
    if num_bins < 1:
        raise ValueError(f"at least one bin, got {num_bins}")
    places = np.linspace(0, 1, num_bins + 1)
    edges = places if binning == "width" or not len(p) else np.percentile(p, places * 100)
    bins = np.searchsorted(edges[1:-1], p)
    num, sure, right = (np.bincount(bins, w, num_bins) for w in (None, p, y))
    return num, sure, right


def _cases(confidence: Sequence[float], correct: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    p, y = np.asarray(confidence, float), np.asarray(correct, float)
    if p.shape != y.shape or p.ndim != 1:
        raise ValueError(f"one confidence per case, got {p.shape} and {y.shape}")
    if len(p) and not ((p >= 0) & (p <= 1)).all():
        raise ValueError("confidences lie in [0, 1]; NaN and raw scores do not")
    return p, y
