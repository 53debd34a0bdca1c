"""Plain values come back to the bit, and nothing else is taken."""

from __future__ import annotations

import struct
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from askesis.records import TaskRole
from askesis.store import codec

ARRAYS = hnp.arrays(
    dtype=st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(),
        hnp.unsigned_integer_dtypes(),
        hnp.floating_dtypes(sizes=(16, 32, 64)),
        hnp.complex_number_dtypes(sizes=(64, 128)),
        hnp.unicode_string_dtypes(max_len=3),
    ),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
TEXT = st.text(st.characters(), max_size=6)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.just("~"), ARRAYS,
    st.sampled_from([np.float32(0.1), np.int8(-3), np.bool_(True), np.float64("nan")]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(TEXT, st.just("~")), inner, max_size=3),
    ),
    max_leaves=12,
)


def shape_of(value):
    """A form in which only identical values are equal: types, bits and order of keys."""
    if isinstance(value, dict):
        return ("dict", [(k, shape_of(v)) for k, v in value.items()])
    if isinstance(value, list | tuple):
        return (type(value).__name__, [shape_of(v) for v in value])
    if isinstance(value, np.ndarray | np.generic):
        return (type(value).__name__, value.dtype.str, value.shape, value.tobytes())
    if type(value) is float:
        return ("float", struct.pack(">d", value))
    return (type(value).__name__, value)


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_plain_values_come_back_to_the_bit_in_both_forms(value):
    assert shape_of(codec.loads(codec.dumps(value))) == shape_of(value)
    text = codec.to_text(value)
    assert shape_of(codec.from_text(text)) == shape_of(value)
    assert text.isascii()
    assert "\n" not in text


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        float("nan"),
        float("-inf"),
        struct.unpack(">d", bytes.fromhex("fff8000000000001"))[0],  # another NaN
        1,
        1.0,
        True,
        10**5000,  # longer than Python reads in decimal
        "\ud83d\ude00",  # two lone surrogates, not one character
        {"~": ["tuple", []], "\ud800": 1},
        ((), [], {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_json_would_change_do_not(value):
    for back in (codec.loads(codec.dumps(value)), codec.from_text(codec.to_text(value))):
        assert shape_of(back) == shape_of(value)


def test_the_state_of_a_generator_continues_to_the_same_numbers():
    rng = np.random.Generator(np.random.Philox(key=5))
    rng.random(3)
    state = codec.loads(codec.dumps(rng.bit_generator.state))
    other = np.random.Generator(np.random.Philox(key=9))
    other.bit_generator.state = state
    assert other.random(4).tolist() == rng.random(4).tolist()


def test_arrays_come_back_writable_and_contiguous_whatever_their_strides():
    value = np.arange(12).reshape(3, 4)[::2, ::-1].T
    back = codec.loads(codec.dumps([value]))[0]
    assert np.array_equal(back, value)
    back[0, 0] = 99
    assert value[0, 0] != 99


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"a": [1, {2, 3}]}, r"at a\[1\] is a builtins\.set"),
        ({"a": {1: 2}}, "key 1"),
        (object(), r"builtins\.object"),
        (b"bytes", r"builtins\.bytes"),
        (np.array([None]), "numpy.ndarray"),
        (np.ma.masked_array([1], [True]), "MaskedArray"),
        (TaskRole.TRAIN, "TaskRole"),
        (defaultdict(int), "defaultdict"),
        (OrderedDict(), "OrderedDict"),
        ([], None),
    ],
)
def test_anything_else_is_refused_with_its_place(value, found):
    if found is None:
        assert codec.loads(codec.dumps(value)) == value
        return
    for write in (codec.dumps, codec.to_text):
        with pytest.raises(TypeError, match=found):
            write(value)


@pytest.mark.slow
def test_endless_nesting_is_refused_not_a_crash():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(TypeError, match="nested too deeply"):
        codec.dumps(value)


def test_damaged_bytes_are_refused():
    data = codec.dumps({"a": np.arange(10)})
    for wrong in (b"", b"something else", data[:-1], data[5:]):
        with pytest.raises(ValueError, match=r"not written by|shorter"):
            codec.loads(wrong)
