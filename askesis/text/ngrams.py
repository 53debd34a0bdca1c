"""N-grams of text: what repeats inside one text and what a set of texts has in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def words(text: str) -> list[str]:
    """Words of a text, lower case, split at white space."""
    return text.casefold().split()


def ngrams(items: Sequence[str] | str, n: int) -> list[tuple[str, ...]]:
    """All runs of `n` neighbours, in order; none where there are fewer than `n`.

    Items are words, or the characters of a string.
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    return [tuple(items[i : i + n]) for i in range(len(items) - n + 1)]


def distinct_fraction(texts: Iterable[str], n: int = 2) -> float:
    """Distinct word n-grams over all word n-grams of a set of texts, in [0, 1]; 0 without any.

    Distinct-n of Li et al. 2016 ("A Diversity-Promoting Objective Function"), over the whole set.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        counts.update(ngrams(words(text), n))
    total = sum(counts.values())
    return len(counts) / total if total else 0.0


def repeated_fraction(text: str, n: int = 4) -> float:
    """Share of a text's word n-grams that had occurred before in it: 0 none, near 1 a loop."""
    runs = ngrams(words(text), n)
    return 1.0 - len(set(runs)) / len(runs) if runs else 0.0
