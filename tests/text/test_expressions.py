"""The expression parser: exact, bounded, and never Python's own."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.text.expressions import MAX_DEPTH, ExpressionError, parse_expression


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("10-4-3", 3),
        ("8/4/2", 1),
        ("7/2", Fraction(7, 2)),
        ("-3+10", 7),
        ("12--4", 16),
        ("2 \u00d7 3 \u2212 1", 5),
        ("1.5*2", 3),
    ],
)
def test_expressions_have_their_exact_value(text, value):
    assert parse_expression(text).value == value


def test_literals_are_recorded_with_the_sign_before_them():
    read = parse_expression("12--4+(-(3))")
    assert read.literals == (12, -4, 3)
    assert read.num_operators == 2
    assert read.value == 13


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1+",
        "(1",
        "1)",
        "1 2",
        "a",
        "1/0",
        "1//2",
        "2**3",
        "1e5",
        "()",
        "1.",
        "٣+1",
        "1_0",
        "__import__('os')",
        "(" * (MAX_DEPTH + 2) + "1" + ")" * (MAX_DEPTH + 2),
        "9" * 19,
        "1" * 10000000,
        "(" * 400,
        "-" * 511,
        "+".join("1" * 400),
        "*".join(["9" * 18] * 20),
    ],
)
def test_what_is_no_expression_is_refused_quickly(text):
    before = time.perf_counter()
    with pytest.raises(ExpressionError):
        parse_expression(text)
    assert time.perf_counter() - before < 0.02


_TREES = st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({''.join(t)})"),
    max_leaves=12,
)


@given(_TREES)
@settings(max_examples=50, deadline=None)
def test_whole_number_expressions_agree_with_python(text):
    # eval on text that this test made itself, to have an independent opinion
    assert parse_expression(text).value == eval(text)
