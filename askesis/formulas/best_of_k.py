"""What a judge gets out of k attempts: exact expectations over all subsets of n attempts."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, isnan


def best_of_k(values: Sequence[float], scores: Sequence[float], k: int) -> float:
    """True score of the attempt that a judge values most among k, unbiased.

        best@k = sum over levels v of  [ C(n_{<=v}, k) - C(n_{<v}, k) ] / C(n, k) * mean score at v

    values: what the judge says of n attempts at one task (minus infinity: it does not know), n >= k
    >= 1. scores: their true scores, as booleans or in [0, 1]. n_{<=v}: attempts valued at most v.
    Equal values are chosen among uniformly, so a judge without opinion gets the mean score and a
    perfect judge pass@k. Returns a number in the range of the scores. Source: elementary counting,
    as in pass@k (Chen et al. 2021); best-of-n with a judge: Cobbe et al. 2021.

    >>> best_of_k([0.9, 0.2, 0.4], [0, 1, 1], 2)  # {1,2} and {1,3} give 0, {2,3} gives 1
    0.3333333333333333
    """
    _check(values, scores, k)
    total, below = 0.0, 0
    for level in sorted(set(values)):
        here = [float(s) for v, s in zip(values, scores, strict=True) if v == level]
        upto = below + len(here)
        total += (comb(upto, k) - comb(below, k)) * (sum(here) / len(here))
        below = upto
    return total / comb(len(values), k)


def reward_at_k_s(values: Sequence[float], correct: Sequence[bool], k: int, s: int) -> float:
    """Reward@K-S: probability that the s attempts a judge values most among k are all right.

        R@K-S = E over subsets of size K [ all of the top S by reward are correct ]

    values: rewards of n attempts at one task, n >= k. correct: whether each is right.
    k: attempts one would make. s: how many of them would be used, 1 <= s <= k. Equal rewards are
    ordered at random. With s = 1 it is `best_of_k` of right and wrong. B-STaR takes k = n, where
    the expectation is over ties alone. Returns a number in [0, 1].
    Source: Zeng et al. 2024, "B-STaR" (card [1]); the expectation is exact counting.

    >>> reward_at_k_s([0.9, 0.8, 0.1], [True, True, False], 3, 2)
    1.0
    >>> reward_at_k_s([0.9, 0.8, 0.1], [True, True, False], 2, 2)  # one subset of three
    0.3333333333333333
    """
    _check(values, correct, k)
    if not 1 <= s <= k:
        raise ValueError(f"need 1 <= s <= k, got s={s}, k={k}")
    total = 0.0
    right_above, n = 0, len(values)
    for level in sorted(set(values), reverse=True):
        here = [bool(c) for v, c in zip(values, correct, strict=True) if v == level]
        right, wrong = sum(here), len(here) - sum(here)
        below = sum(v < level for v in values)
        # m of the top s lie above this level (all right there), the s-th lies in it
        for m in range(min(s - 1, right_above) + 1):
            rest = s - m
            for a in range(right + 1):
                for b in range(wrong + 1):
                    if rest <= a + b <= k - m and a >= rest:
                        ways = comb(right_above, m) * comb(right, a) * comb(wrong, b)
                        ways *= comb(below, k - m - a - b)
                        total += ways * (comb(a, rest) / comb(a + b, rest))
        right_above += right
    return total / comb(n, k)


def _check(values: Sequence[float], scores: Sequence[float], k: int) -> None:
    if len(values) != len(scores) or not 1 <= k <= len(values):
        raise ValueError(
            f"need as many values as scores and 1 <= k <= n, got {len(values)} values, "
            f"{len(scores)} scores, k={k}"
        )
    if any(isnan(v) for v in values):
        raise ValueError("a value is NaN; minus infinity means that the judge does not know")
