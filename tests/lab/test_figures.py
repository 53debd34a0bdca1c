"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.lab import figures


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (figures.count, 0, "0"),
        (figures.count, 12_345, "12,345"),
        (figures.count, 123_456, "123.5 k"),
        (figures.count, 2_500_000, "2.5 M"),
        (figures.share, 0.1234, "12.3 %"),
        (figures.duration, 4.24, "4.2 s"),
        (figures.duration, 190, "3 min 10 s"),
        (figures.duration, 7500, "2 h 05 min"),
        (figures.duration, 300_000, "3 d 11 h"),
        (figures.size, 1_500_000, "1.5 MB"),
        (figures.number, 0.12345, "0.123"),
        (figures.number, 3.0, "3"),
        (figures.number, 1e-5, "1.00e-05"),
    ],
)
def test_a_figure_reads_as_a_person_would_write_it(function, value, text):
    assert function(value) == text


@given(st.floats())
@settings(max_examples=50, deadline=None)
def test_no_number_breaks_a_figure(value):
    for function in (figures.count, figures.share, figures.duration, figures.number):
        if function is not figures.duration or value >= 0 or math.isnan(value):
            assert function(value)


def test_the_key_number_of_a_stage_is_found_under_any_model():
    assert figures.key_number("learn", {"learn/critic/loss": 0.25}) == "loss 0.25"
    assert figures.key_number("measure", {"measure/pass@1/low": 0.1}) == ""
    assert figures.key_number("nothing", {"a": 1.0}) == ""
