"""How a judge errs, held against the truth. Groups are tasks: they are what is independent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from askesis.formulas.intervals import Estimate, paired_difference
from askesis.formulas.ranking import ranking_gap
from askesis.formulas.ratios import ratio_of_sums


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """The four corners of a confusion table as rates; each NaN where it has no cases.

    false_pass: passed, of the wrong. false_fail: failed, of the right. wrong_among_passed: wrong,
    of the passed: what poisons the training data. accuracy: judged as they are, of all.
    """

    false_pass: Estimate
    false_fail: Estimate
    wrong_among_passed: Estimate
    accuracy: Estimate


def error_rates(passed: Sequence[Sequence[bool]], right: Sequence[Sequence[bool]]) -> ErrorRates:
    """A judge's errors with intervals over tasks.

        false pass = #(passed, wrong) / #wrong,   false fail = #(failed, right) / #right

    passed: the judge's verdicts, right: the truth; one sequence per task, in the same order.
    Counts are pooled over tasks (`ratios.ratio_of_sums`). Source: the usual definitions.

    >>> found = error_rates([[True, True], [False, False]], [[True, False], [True, False]])
    >>> found.false_pass.value, found.false_fail.value, found.accuracy.value
    (0.5, 0.5, 0.5)
    """
    pairs = [
        [(bool(p), bool(r)) for p, r in zip(ps, rs, strict=True)]
        for ps, rs in zip(passed, right, strict=True)
    ]

    def rate(hit: tuple[bool, bool], whole: int) -> Estimate:
        """Cases equal to `hit`, of those that agree with it in its place `whole`."""
        top = [sum(case == hit for case in task) for task in pairs]
        bottom = [sum(case[whole] == hit[whole] for case in task) for task in pairs]
        return ratio_of_sums(top, bottom)

    agreed = [sum(p == r for p, r in task) for task in pairs]
    return ErrorRates(
        false_pass=rate((True, False), 1),
        false_fail=rate((False, True), 1),
        wrong_among_passed=rate((True, False), 0),
        accuracy=ratio_of_sums(agreed, [len(task) for task in pairs]),
    )


def first_error(steps: Sequence[float], threshold: float = 0.5) -> int:
    """Index of the first step that is called wrong, -1 where none is.

        min { t : c_t < threshold }

    steps: correctness of each step, in [0, 1]. Source: ProcessBench's task, Zheng et al. 2024.

    >>> first_error([1.0, 0.9, 0.2, 0.1])
    2
    """
    return next((t for t, c in enumerate(steps) if c < threshold), -1)


def first_error_f1(judged: Sequence[int], true: Sequence[int]) -> float:
    """ProcessBench's F1 of a judge of steps.

        F1 = 2 a b / (a + b),   a = share of flawed answers whose first error is named exactly,
                                b = share of flawless answers that are called flawless

    judged, true: index of the first wrong step, -1 for none (`first_error`). In [0, 1]; NaN where
    all answers are flawed or all are flawless. Source: Zheng et al. 2024, "ProcessBench", as
    written on card [171].

    >>> first_error_f1([2, 1, -1, -1], [2, 3, -1, -1])  # a = 1/2, b = 1
    0.6666666666666666
    """
    flawed = [j == t for j, t in zip(judged, true, strict=True) if t >= 0]
    flawless = [j < 0 for j, t in zip(judged, true, strict=True) if t < 0]
    if not flawed or not flawless:
        return nan
    a, b = sum(flawed) / len(flawed), sum(flawless) / len(flawless)
    return 2 * a * b / (a + b) if a + b else 0.0


def inflation(values: Sequence[Sequence[float]], truth: Sequence[Sequence[float]]) -> Estimate:
    """How much better a judge thinks the answers are than they are.

        mean over tasks of mean_i ( v_i - y_i )

    values: v_i, what the judge gives, truth: y_i, both in [0, 1], one sequence per task. Above 0 it
    flatters. Tasks are the units. Source: the gap between a model's own scores and an outside
    judge's, card [75].

    >>> round(inflation([[0.9, 0.8], [0.7, 0.5]], [[1, 0], [1, 0]]).value, 3)
    0.225
    """
    means = [(sum(v) / len(v), sum(y) / len(y)) for v, y in zip(values, truth, strict=True) if v]
    return paired_difference([y for _, y in means], [v for v, _ in means])


def self_inflation(own: Estimate, others: Estimate) -> Estimate:
    """How much more a judge flatters its own answers than those of others.

        s = inflation(own answers) - inflation(others' answers)

    own, others: `inflation` on two sets of attempts. Above 0: self-preference, over and above being
    generous to everybody. Source: card [75]; the interval as in `ranking.ranking_gap`.

    >>> round(self_inflation(Estimate(0.2, 0.1, 0.3), Estimate(0.05, 0.0, 0.1)).low, 3)
    0.038
    """
    return ranking_gap(own, others)
