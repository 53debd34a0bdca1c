"""N-grams and near-duplicates."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.text.near_duplicates import jaccard, near_duplicates
from askesis.text.ngrams import distinct_fraction, ngrams, repeated_fraction


def test_ngrams_slide_by_one():
    assert ngrams("abcd", 2) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert ngrams(["a"], 2) == []
    with pytest.raises(ValueError, match="at least 1"):
        ngrams("abc", 0)


def test_repetition_is_measured():
    assert repeated_fraction("one two three four five") == 0.0
    # 37 runs of four words, of which 4 are different
    assert repeated_fraction("a b c d " * 10) == pytest.approx(1 - 4 / 37)
    # bigrams "a b", "b a", "a b": two of three are different
    assert distinct_fraction(["a b a b"]) == pytest.approx(2 / 3)


def test_near_copies_point_to_the_first_of_them():
    base = "first multiply seven by three to get twenty-one, then add twelve to reach the target"
    texts = [base, "something else entirely, about another problem", base + "!", base.upper()]
    assert near_duplicates(texts) == [0, 1, 0, 0]


@given(st.lists(st.text("abc ", max_size=30), max_size=12))
@settings(max_examples=50, deadline=None)
def test_nothing_below_the_threshold_is_merged(texts):
    for i, first in enumerate(near_duplicates(texts, threshold=0.8)):
        assert first <= i
        assert jaccard(texts[i], texts[first]) >= 0.8


@given(st.text(max_size=40))
@settings(max_examples=50, deadline=None)
def test_equal_texts_are_always_found(text):
    assert near_duplicates([text, "x" * 50, text])[2] == near_duplicates([text])[0]
