"""How sure one can be of a figure: intervals and tests, one textbook formula each.

Every function returns plain floats. `confidence` is two-sided and in (0, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, nan, sqrt

import numpy as np
from scipy.special import ndtri, stdtrit


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval: low <= value <= high; NaN where it cannot be known."""

    value: float
    low: float
    high: float


def wilson(num_right: int, num: int, confidence: float = 0.95) -> Estimate:
    """Wilson's score interval for a proportion of independent trials.

        ( p + z^2/2n  -+  z sqrt( p(1-p)/n + z^2/4n^2 ) ) / ( 1 + z^2/n ),   p = x/n

    num_right: x. num: n; with n = 0 nothing is known: (NaN, 0, 1). z is the normal quantile.
    Stays inside [0, 1] and has width even at x = 0 and x = n.
    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    >>> found = wilson(8, 10)
    >>> round(found.low, 4), round(found.high, 4)
    (0.4902, 0.9433)
    """
    if num == 0:
        return Estimate(nan, 0.0, 1.0)
    if not 0 <= num_right <= num:
        raise ValueError(f"{num_right} right of {num} is impossible")
    z = float(ndtri(0.5 + confidence / 2))
    p = num_right / num
    centre = p + z * z / (2 * num)
    half = z * sqrt(p * (1 - p) / num + z * z / (4 * num * num))
    scale = 1 + z * z / num
    low = 0.0 if num_right == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if num_right == num else min(1.0, (centre + half) / scale)
    return Estimate(p, low, high)


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Student's interval for a mean over few independent repetitions, such as seeds.

        mean  -+  t_{n-1} * s / sqrt(n)

    values: x_1..x_n. s is the sample standard deviation (n - 1). With n = 1 the interval is
    infinite; with n = 0 all is NaN. Source: Student 1908, "The Probable Error of a Mean".

    >>> found = t_interval([1.0, 2.0, 3.0])
    >>> found.value, round(found.low, 4), round(found.high, 4)
    (2.0, -0.4841, 4.4841)
    """
    x = np.asarray(values, float)
    if len(x) == 0:
        return Estimate(nan, nan, nan)
    if len(x) == 1:
        return Estimate(float(x[0]), -np.inf, np.inf)
    half = float(stdtrit(len(x) - 1, 0.5 + confidence / 2) * x.std(ddof=1) / sqrt(len(x)))
    mean = float(x.mean())
    return Estimate(mean, mean - half, mean + half)


def clustered_mean(clusters: Sequence[Sequence[float]], confidence: float = 0.95) -> Estimate:
    """The mean score over tasks with several attempts each; tasks are what is independent.

        m_i = mean of task i,   mean of m_i  -+  t_{n-1} * s(m) / sqrt(n)

    clusters: one sequence of scores in [0, 1] per task; tasks without attempts are left out.
    Treating all attempts as independent would make the interval too narrow by up to the square
    root of the number of attempts. Where all tasks have the same mean (all right, all wrong) the
    t interval has no width, and Wilson's for n tasks is given instead. Clipped to [0, 1].
    Source: cluster means as units, e.g. Miller 2024, "Adding Error Bars to Evals", section 2.

    >>> found = clustered_mean([[1, 1], [0, 0], [1, 0]])
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.5, 0.0, 1.0)
    """
    means = [float(np.mean(c)) for c in clusters if len(c)]
    if len(means) < 2 or max(means) == min(means):
        known = wilson(0, len(means), confidence)
        if not means:
            return known
        flat = wilson(round(means[0] * len(means)), len(means), confidence)
        return Estimate(means[0], min(flat.low, means[0]), max(flat.high, means[0]))
    found = t_interval(means, confidence)
    return Estimate(found.value, max(0.0, found.low), min(1.0, found.high))


def paired_difference(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> Estimate:
    """How much larger `second` is than `first` on the same tasks.

        d_i = second_i - first_i,   mean of d_i  -+  t_{n-1} * s(d) / sqrt(n)

    first, second: one score per task, in the same order. With fewer than two tasks the interval
    is infinite. If all differences are equal the interval has no width: callers who decide on it
    should also look at n. Source: the paired t interval.

    >>> found = paired_difference([0, 0, 1, 1], [1, 0, 1, 1])
    >>> found.value, round(found.low, 4)
    (0.25, -0.5456)
    """
    return t_interval(_differences(first, second).tolist(), confidence)


def paired_bootstrap(
    first: Sequence[float],
    second: Sequence[float],
    rng: np.random.Generator,
    num_draws: int = 2000,
    confidence: float = 0.95,
) -> Estimate:
    """The same by resampling tasks: the percentile interval of the mean difference.

    rng: where the resampling comes from; the same generator state gives the same interval.
    num_draws: resamples, 2000 keeps the ends within a few per cent of their limit.
    Too narrow for few tasks (about 75 % coverage with three). Source: Efron 1979, "Bootstrap
    Methods: Another Look at the Jackknife"; percentile interval.

    >>> found = paired_bootstrap([0.0] * 50, [1.0] * 25 + [0.0] * 25, np.random.default_rng(0))
    >>> found.value, 0.3 < found.low < 0.5 < found.high < 0.7
    (0.5, True)
    """
    d = _differences(first, second)
    if len(d) == 0:
        return Estimate(nan, nan, nan)
    draws = d[rng.integers(len(d), size=(num_draws, len(d)))].mean(1)
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    mean = float(d.mean())
    return Estimate(mean, min(mean, float(low)), max(mean, float(high)))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value that two systems are right equally often on the same tasks.

        p = min(1, 2 * sum_{i <= min(b, c)} C(b + c, i) / 2^(b + c))

    only_first: b, tasks that only the first got right. only_second: c, only the second. Tasks
    both or neither got right say nothing. Without any discordant task p = 1.
    Source: McNemar 1947, in its exact binomial form.

    >>> mcnemar(1, 8)
    0.0390625
    """
    if only_first < 0 or only_second < 0:
        raise ValueError("counts of tasks cannot be negative")
    n = only_first + only_second
    tail = sum(comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, tail / 2 ** (n - 1)) if n else 1.0


def detectable_difference(
    standard_error: float, confidence: float = 0.95, power: float = 0.8
) -> float:
    """The smallest true difference that a test with this standard error finds with this power.

        delta = (z_{1 - a/2} + z_{power}) * se

    A test that says "undecided" says that the difference is probably smaller than this.
    Source: Cohen 1988, "Statistical Power Analysis", normal approximation.

    >>> round(detectable_difference(0.01), 4)
    0.028
    """
    z = ndtri(0.5 + confidence / 2) + ndtri(power)
    return float(z * standard_error)


def _differences(first: Sequence[float], second: Sequence[float]) -> np.ndarray:
    if len(first) != len(second):
        raise ValueError(f"pairs need equal lengths, got {len(first)} and {len(second)}")
    return np.asarray(second, float) - np.asarray(first, float)
