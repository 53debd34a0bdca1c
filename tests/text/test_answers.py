"""Finding final answers in text, and telling whether two are the same."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.text.answers import (
    KINDS,
    canonical_answer,
    choice_letter,
    final_answer,
    guess_kind,
    marked_answer,
    same_answer,
)
from askesis.text.limits import MAX_ANSWER_CHARS, unreadable
from askesis.text.rationals import numbers_in, parse_number, stated_number
from askesis.text.steps import split_steps


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.50", Fraction(2469, 2)),
        ("$18", Fraction(18)),
        ("-$3.50", Fraction(-7, 2)),
        ("3 / 4", Fraction(3, 4)),
        ("-2e3", Fraction(-2000)),
        ("50%", Fraction(50)),
        (".5", Fraction(1, 2)),
        ("7.", Fraction(7)),
        ("12,34", None),  # no way to write thousands
        ("--5", None),
        ("1/0", None),
        ("12 apples", None),
        ("\u0663", None),  # an Arabic three
        ("1e999", None),
        ("9" * 300, None),
    ],
)
def test_numbers_are_read_exactly_or_not_at_all(text, number):
    assert parse_number(text) == number


@given(st.fractions(max_denominator=10**6))
@settings(max_examples=50, deadline=None)
def test_a_fraction_written_out_is_read_back(value):
    assert parse_number(str(value)) == value


@given(st.integers(-(10**12), 10**12))
@settings(max_examples=50, deadline=None)
def test_thousands_commas_change_nothing(value):
    assert parse_number(f"{value:,}") == value
    assert same_answer(str(value), f"so it is {value:,}.", "numeric")


def test_the_most_explicit_last_mark_is_the_answer():
    assert marked_answer("#### 3\nno: #### 4") == "4"
    assert marked_answer("\\boxed{\\frac{1}{2}} then #### 3") == "\\frac{1}{2}"
    assert marked_answer("<answer>7</answer> \\boxed{8}") == "7"
    assert marked_answer("The answer is 12.") == "12."
    assert marked_answer("12") is None
    assert final_answer("first\nlast\n\n") == "last"


@pytest.mark.parametrize(
    ("reference", "text", "kind", "same"),
    [
        ("18", "16 - 7 = 9\n9 * 2 = $18\n#### 18", "numeric", True),
        ("18", "9 * 2 = 18 dollars every day", "numeric", True),
        ("18", "#### 18 dollars, 20 cents", "numeric", True),  # a marked text: the first number
        ("18", "18 or 20", "numeric", False),
        ("10", "10**10", "numeric", False),  # a power is no number
        ("10", "2*10", "numeric", False),
        ("0.5", "1/2", "numeric", True),
        ("Paris", "  PARIS. ", "exact", True),
        ("Paris", "Paris, France", "exact", False),
        ("B", "(b) because of gravity", "choice", True),
        ("B", "A or B", "choice", False),
        ("x+1", "x + 1", "math", None),
        ("1/2", "0.5", "math", True),
        ("1/2", "0.6", "math", False),
    ],
)
def test_same_answer_by_kind(reference, text, kind, same):
    assert same_answer(reference, text, kind) is same


def test_kinds_are_guessed_from_the_reference():
    guesses = {"72": "numeric", "$1,000": "numeric", "(C)": "choice", "x^2+1": "math"}
    guesses |= {"\\frac{1}{2}": "math", "the red one": "exact"}
    assert {a: guess_kind(a) for a in guesses} == guesses


def test_a_choice_is_one_letter():
    assert choice_letter("The answer must be C") == "C"
    assert choice_letter("I think A") == "A"  # "I" is a word
    assert choice_letter("neither") == ""


def test_votes_read_the_same_answer_out_of_different_words():
    texts = ["it is 1,200", "#### 1200.0", "The answer is $1200", "2400/2"]
    assert {canonical_answer(t, "numeric") for t in texts} == {"1200"}


def test_numbers_glued_to_words_and_operators_do_not_count():
    assert numbers_in("a1 3-4 x=-7, 1,200.") == [3, 4, -7, 1200]
    assert stated_number("3^2") is None
    assert stated_number("3^{2}") is None
    assert stated_number("12/4 = 3 (yes)") == 3


def test_steps_are_found_with_their_places():
    text = " 7*3=21, 21+12=33 ,"
    assert [text[a:b] for a, b in split_steps(text, ",")] == ["7*3=21", "21+12=33"]


@pytest.mark.parametrize(
    "bad", ["\x00", "\x1b[2J", "\x7f", "\u0663", "\uff13", "\ud800", "\u202e3"]
)
def test_control_characters_and_foreign_digits_are_not_read(bad):
    assert unreadable(f"3{bad}")


def test_zero_width_spaces_are_read_because_real_data_has_them():
    # GSM8K train: "450 \u200bminutes" in the answer to "Carol spends 4 hours writing a song"
    assert not unreadable("450 \u200bminutes #### 20")


_REPEATED = ["1", "(", "#### ", "answer is ", "\\boxed{", "<answer>", "</answer>", "1,", "4 "]
_REPEATED += ["-", "1.", ",", "a", "$", "9e9", "/", ".", "1/", "answer:", "\u2212", "\n"]


@pytest.mark.slow
@pytest.mark.parametrize("piece", _REPEATED)
def test_no_repeated_text_makes_comparing_slow(piece):
    longest = piece * (MAX_ANSWER_CHARS // len(piece))
    for text in (longest, longest[:-1] + "x", longest * 700):
        for kind in KINDS:
            # the least of three, since other processes share the machine; a pattern that is
            # quadratic in the length takes 100 ms and more here
            assert min(_seconds(text, kind) for _ in range(3)) < 0.05


def _seconds(text: str, kind: str) -> float:
    before = time.perf_counter()
    same_answer("41", text, kind)
    return time.perf_counter() - before
