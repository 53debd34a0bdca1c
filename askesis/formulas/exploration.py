"""Exploration and exploitation, as B-STaR measures them (Zeng et al. 2024, card [1])."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil, comb, nan


def pass_at_k_s(answers: Sequence[str], correct: Sequence[bool], k: int, s: int) -> float:
    """Pass@K-S: probability that k attempts hold at least s different right answers.

        P@K-S = [ number of subsets of size K with at least S distinct correct answers ] / C(n, K)

    answers: a_1..a_n, what n attempts at one task said (texts or canonical answers), n >= k >= 1.
    correct: whether each is right; an answer that is right once and wrong once counts by its right
    occurrences. s: at least 1; with s = 1 it is pass@k. B-STaR takes k = n, where it is 0 or 1.
    Exact, by a polynomial count over answers. Returns a number in [0, 1].
    Source: Zeng et al. 2024; the expectation over subsets is elementary counting.

    >>> pass_at_k_s(["a", "a", "b", "x"], [True, True, True, False], 2, 2)  # ab, ab of six pairs
    0.3333333333333333
    """
    n = len(answers)
    if len(correct) != n or not 1 <= k <= n or s < 1:
        raise ValueError(f"need 1 <= k <= n and s >= 1, got n={n}, k={k}, s={s}")
    counts = Counter(a for a, is_right in zip(answers, correct, strict=True) if is_right)
    if len(counts) < s:
        return 0.0
    wrong = n - sum(counts.values())
    ways = {(0, 0): 1}  # (drawn, distinct right ones up to s) -> number of subsets
    for count in counts.values():
        grown: dict[tuple[int, int], int] = {}
        for (drawn, distinct), number in ways.items():
            for taken in range(min(count, k - drawn) + 1):
                place = (drawn + taken, min(s, distinct + (taken > 0)))
                grown[place] = grown.get(place, 0) + number * comb(count, taken)
        ways = grown
    found = sum(
        number * comb(wrong, k - drawn)
        for (drawn, distinct), number in ways.items()
        if distinct == s
    )
    return found / comb(n, k)


def balance_score(num_selected: int, num_distinct_correct: int, target: int) -> float:
    """How well one task's selected attempts balance exploration and exploitation.

        bs = min(n' / n*, 1) * (n' / n)

    num_selected: n, attempts that selection kept. num_distinct_correct: n', different right ones
    among them, n' <= n. target: n*, how many a task should give, at least 1 (`balance_target`).
    The first factor rewards enough different right answers, the second few wrong or repeated ones.
    Nothing selected: 0. In [0, 1]; average it over tasks.
    Source: Zeng et al. 2024.

    >>> balance_score(8, 4, target=8)
    0.25
    """
    if not 0 <= num_distinct_correct <= num_selected or target < 1:
        raise ValueError(
            f"need 0 <= n' <= n and n* >= 1, got n={num_selected}, n'={num_distinct_correct}, "
            f"n*={target}"
        )
    if not num_selected:
        return 0.0
    return min(num_distinct_correct / target, 1.0) * (num_distinct_correct / num_selected)


def balance_target(num_samples: int, num_tasks: int) -> int:
    """How many samples every task should give for a training set of a wanted size.

        n* = ceil( N / M )

    num_samples: N, wanted samples of a round. num_tasks: M, its tasks, at least 1. The authors'
    code takes 8 whatever N and M are. Source: Zeng et al. 2024.

    >>> balance_target(1_000, 300)
    4
    """
    if num_samples < 1 or num_tasks < 1:
        raise ValueError(f"need at least one sample and task, got {num_samples} and {num_tasks}")
    return ceil(num_samples / num_tasks)


def distinct_correct_fraction(answers: Sequence[str], correct: Sequence[bool]) -> float:
    """Different right answers over all right answers at one task: 1 none is repeated.

        d = |{a_i : correct}| / #{i : correct}

    answers, correct: as in `pass_at_k_s`. NaN where none is right. The paper compares the
    equations in an answer; here the caller says what makes two answers the same.
    Source: Zeng et al. 2024 ("distinct equations").

    >>> distinct_correct_fraction(["a", "a", "b", "x"], [True, True, True, False])
    0.6666666666666666
    """
    right = [a for a, is_right in zip(answers, correct, strict=True) if is_right]
    return len(set(right)) / len(right) if right else nan
