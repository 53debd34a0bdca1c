"""What k attempts at a task are worth, estimated without bias from n attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb

import numpy as np


def pass_at_k(num_attempts: int, num_correct: int, k: int) -> float:
    """Probability that at least one of k attempts is right, unbiased.

        pass@k = 1 - C(n - c, k) / C(n, k)

    num_attempts: n, attempts made at one task, at least k.
    num_correct: c, how many of them were right, 0 <= c <= n.
    k: how many attempts one would be allowed, at least 1.
    Returns a number in [0, 1]; average it over tasks. "Any of the first k" has the same mean and
    a larger variance; 1 - (1 - c/n)^k is biased downwards.
    Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", equation 1.

    >>> pass_at_k(5, 2, 2)  # 1 - C(3,2)/C(5,2) = 1 - 3/10
    0.7
    """
    _check(num_attempts, num_correct, k)
    if num_attempts - num_correct < k:
        return 1.0
    total = comb(num_attempts, k)
    return (total - comb(num_attempts - num_correct, k)) / total


def majority_at_k(answers: Sequence[str], correct: Sequence[bool], k: int) -> float:
    """Probability that a vote among k attempts is right: the exact expectation over all subsets.

        maj@k = sum over subsets S of size k of  [right answers among the winners of S]
                / [winners of S],   divided by C(n, k)

    answers: canonical final answers a_1..a_n of n attempts at one task; "" abstains (no answer
    was found), and a subset in which everybody abstains is wrong.
    correct: whether each answer is right; equal answers must agree.
    k: size of the vote, 1 <= k <= n. Ties are broken uniformly among the most voted answers.
    Returns a number in [0, 1]. With k = n it is the ordinary vote. Computed by a polynomial
    count over answers, not by enumeration: O(n k^3) at worst.
    Source: the vote is Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning";
    the expectation over subsets is elementary counting.

    >>> majority_at_k(["7", "7", "3"], [True, True, False], 3)
    1.0
    >>> majority_at_k(["7", "7", "3"], [True, True, False], 1)
    0.6666666666666666
    """
    _check(len(answers), sum(map(bool, correct)), k)
    right = dict(zip(answers, map(bool, correct), strict=True))
    for answer, is_right in zip(answers, correct, strict=True):
        if answer and right[answer] != bool(is_right):
            raise ValueError(f"answer {answer!r} is called both right and wrong")
    counts = Counter(a for a in answers if a)
    abstaining = len(answers) - sum(counts.values())
    if k == len(answers):  # the vote of all: no counting needed
        most = max(counts.values(), default=0)
        winners = [a for a, n in counts.items() if n == most]
        return sum(right[a] for a in winners) / len(winners) if winners else 0.0
    total = 0.0
    for answer, count in counts.items():
        if right[answer]:
            others = [n for a, n in counts.items() if a != answer]
            total += sum(
                comb(count, votes) * _won(others, abstaining, k - votes, votes)
                for votes in range(1, min(count, k) + 1)
            )
    return total / comb(len(answers), k)


def _won(others: Sequence[int], abstaining: int, rest: int, votes: int) -> float:
    """Subsets of size `rest` in which no other answer has more than `votes`, each counted
    1 / (1 + number of answers that tie)."""
    ways = {(0, 0): 1}  # (drawn, tied) -> number of subsets
    for count in others:
        grown: dict[tuple[int, int], int] = {}
        for (drawn, tied), number in ways.items():
            for taken in range(min(count, votes, rest - drawn) + 1):
                place = (drawn + taken, tied + (taken == votes))
                grown[place] = grown.get(place, 0) + number * comb(count, taken)
        ways = grown
    return sum(
        number * comb(abstaining, rest - drawn) / (1 + tied)
        for (drawn, tied), number in ways.items()
    )


def vote(answers: Sequence[str]) -> tuple[str, float, bool]:
    """The most frequent answer, its share of all attempts, and whether others tie with it.

        winner = argmax_a n_a,    share = n_winner / n

    answers: canonical final answers; "" abstains but counts in n. Among tied answers the first
    in order of appearance is named (callers that must not guess look at the third value).
    Nobody answers: ("", 0.0, True).

    >>> vote(["4", "5", "4", ""])
    ('4', 0.5, False)
    """
    counts = Counter(a for a in answers if a)
    if not counts:
        return "", 0.0, True
    winner, most = counts.most_common(1)[0]
    return winner, most / len(answers), sum(n == most for n in counts.values()) > 1


def distinct_correct(answers: Sequence[str], correct: Sequence[bool]) -> int:
    """How many different right answers there are among the attempts at one task.

    >>> distinct_correct(["1+2", "2+1", "1+2", "9"], [True, True, True, False])
    2
    """
    return len({a for a, is_right in zip(answers, correct, strict=True) if is_right})


def mean_pass_at_k(num_attempts: Sequence[int], num_correct: Sequence[int], k: int) -> float:
    """pass@k averaged over tasks; NaN without tasks.

    >>> mean_pass_at_k([2, 2], [0, 1], 2)
    0.5
    """
    values = [pass_at_k(n, c, k) for n, c in zip(num_attempts, num_correct, strict=True)]
    return float(np.mean(values)) if values else float("nan")


def _check(num_attempts: int, num_correct: int, k: int) -> None:
    if not 1 <= k <= num_attempts or not 0 <= num_correct <= num_attempts:
        raise ValueError(
            f"need 1 <= k <= n and 0 <= c <= n, got n={num_attempts}, c={num_correct}, k={k}"
        )
