"""What many more attempts would be worth: pass@k beyond what was tried, with its uncertainty.

Tasks differ in how often a model solves them. Here the rate p of a task is 0 with probability z
(never solved, however often one tries) and else drawn from a Beta(a, b); the number of right
answers among n is then a zero-inflated beta-binomial. All of (z, a, b) that fit the counts are
kept, each with its weight, so that a figure nobody could know has a wide interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.special import betaln, expit, gammaln

from askesis.formulas.intervals import Estimate

# The grid: z; the Beta's mean m (even in log odds) and its concentration a + b (even in log).
_ZERO = np.r_[np.linspace(0.0, 0.96, 25), 0.98, 0.995]
_MEAN = expit(np.linspace(-9.2, 6.9, 93))  # 1e-4 to 0.999
_CONCENTRATION = np.exp(np.linspace(np.log(0.05), np.log(200.0), 21))
_NEGLIGIBLE = 1e-8  # of the greatest weight: candidates below are left out


@dataclass(frozen=True)
class SuccessRates:
    """How the success rates of tasks are distributed: weighted candidates (z, a, b).

    never: z in [0, 1). a, b: above 0. weight: posterior probability of each; all of shape (N,).
    """

    never: np.ndarray
    a: np.ndarray
    b: np.ndarray
    weight: np.ndarray

    def pass_at(self, k: float, confidence: float = 0.95) -> Estimate:
        """Mean over tasks of the probability that one of k attempts is right.

            pass@k = (1 - z) (1 - B(a, b + k) / B(a, b))

        k: at least 0, also beyond the attempts made. The value is the posterior mean, the
        interval holds the middle `confidence` of the posterior.
        """
        missed = np.exp(betaln(self.a, self.b + k) - betaln(self.a, self.b))
        return self._of((1 - self.never) * (1 - missed), confidence)

    def ceiling(self, confidence: float = 0.95) -> Estimate:
        """The limit of pass@k as k grows: the share 1 - z of tasks with any chance at all."""
        return self._of(1 - self.never, confidence)

    def mixed(self, group: int, confidence: float = 0.95) -> Estimate:
        """Share of groups of so many attempts that are neither all right nor all wrong.

        (1 - z) (1 - B(a, b + G) / B(a, b) - B(a + G, b) / B(a, b)): with rewards of 0 and 1, only
        these carry a gradient where the baseline is the group's mean.
        """
        whole = betaln(self.a, self.b)
        wrong = np.exp(betaln(self.a, self.b + group) - whole)
        right = np.exp(betaln(self.a + group, self.b) - whole)
        return self._of((1 - self.never) * np.maximum(0.0, 1 - wrong - right), confidence)

    def _of(self, values: np.ndarray, confidence: float) -> Estimate:
        order = np.argsort(values)
        below = np.cumsum(self.weight[order])
        ends = np.searchsorted(below, [0.5 - confidence / 2, 0.5 + confidence / 2])
        low, high = values[order[np.minimum(ends, len(order) - 1)]]
        mean = float(values @ self.weight)
        return Estimate(mean, min(float(low), mean), max(float(high), mean))


def success_rates(num_attempts: Sequence[int], num_correct: Sequence[int]) -> SuccessRates:
    """The distributions of success rates that explain the counts, weighted by how well they do.

        P(c | n) = z [c = 0] + (1 - z) C(n, c) B(a + c, b + n - c) / B(a, b)

    num_attempts, num_correct: n and c of every task, 0 <= c <= n. The posterior is taken over a
    fixed grid with a prior that is even in z, in the log odds of a / (a + b) and in
    log(a + b); it needs no random numbers. Without any task it is the prior.
    Source: Skellam 1948 (the beta-binomial), here with a mass at zero; extrapolating pass@k by a
    distribution of rates as in Schaeffer et al. 2025, "How Do Large Language Monkeys Get Their
    Power (Laws)?".

    >>> rates = success_rates([64] * 40, [0] * 20 + [32] * 20)
    >>> round(rates.pass_at(1).value, 2), round(rates.pass_at(64).value, 1)
    (0.25, 0.5)
    """
    if len(num_attempts) != len(num_correct):
        raise ValueError(f"{len(num_attempts)} numbers of attempts, {len(num_correct)} of right")
    seen = Counter(zip(map(int, num_attempts), map(int, num_correct), strict=True))
    if any(not 0 <= c <= n for n, c in seen):
        raise ValueError("need 0 <= c <= n for every task")
    mean, concentration = (x.ravel() for x in np.meshgrid(_MEAN, _CONCENTRATION, indexing="ij"))
    a, b = mean * concentration, (1 - mean) * concentration
    whole = betaln(a, b)
    zero = _ZERO[:, None]
    some = np.zeros_like(a)  # (M,): tasks that were solved
    logp = np.zeros((len(_ZERO), len(a)))
    num_solved = 0
    for (n, c), times in seen.items():
        ways = gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1)
        found = ways + betaln(a + c, b + n - c) - whole
        if c:
            some += times * found
            num_solved += times
        else:
            logp += times * np.log(zero + (1 - zero) * np.exp(np.minimum(found, 0.0)))
    logp += some + num_solved * np.log1p(-zero)
    row, column = np.nonzero(logp > logp.max() + np.log(_NEGLIGIBLE))
    weight = np.exp(logp[row, column] - logp.max())
    return SuccessRates(_ZERO[row], a[column], b[column], weight / weight.sum())


def mixed_group_fraction(num_attempts: int, num_correct: int, group: int) -> float:
    """Probability that `group` of the attempts, drawn without replacement, hold right and wrong.

        1 - C(n - c, G) / C(n, G) - C(c, G) / C(n, G)

    num_attempts: n, at least G. num_correct: c. group: G, at least 1. Unbiased for the share of
    groups that carry a gradient. Source: elementary counting, as for pass@k (Chen et al. 2021).

    >>> mixed_group_fraction(4, 2, 2)  # 1 - 1/6 - 1/6
    0.6666666666666666
    """
    n, c = num_attempts, num_correct
    if not 1 <= group <= n or not 0 <= c <= n:
        raise ValueError(f"need 1 <= G <= n and 0 <= c <= n, got n={n}, c={c}, G={group}")
    whole = comb(n, group)
    return (whole - comb(n - c, group) - comb(c, group)) / whole if group > 1 else 0.0
