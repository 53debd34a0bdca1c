"""Records become rows and come back exactly, through Parquet files as well."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from askesis.records import (
    About,
    Attempt,
    Purpose,
    Sample,
    Sequence,
    Start,
    StopReason,
    Task,
    TaskRole,
    Turn,
    Verdict,
    VerdictKind,
)
from askesis.store import codec, rows
from tests.store import house

TEXT = st.text(st.characters(), max_size=8)  # surrogates included
FLOATS = st.floats(allow_nan=True)
NAMES = st.lists(TEXT, max_size=2).map(tuple)
REWARDS = st.dictionaries(TEXT, FLOATS, max_size=2)


def ragged(dtype):
    return hnp.arrays(dtype, st.integers(0, 4))


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), FLOATS, TEXT, ragged(np.int64)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.tuples(inner, inner),
        st.dictionaries(TEXT, inner, max_size=2),
    ),
    max_leaves=4,
)
TURNS = st.builds(
    Turn,
    TEXT,
    TEXT,
    TEXT,
    ragged(np.int32),
    ragged(np.int32),
    st.none() | ragged(np.uint8),
    ragged(np.float32),
    ragged(np.float32),
    FLOATS,
    st.sampled_from(StopReason),
    REWARDS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.dictionaries(TEXT, hnp.arrays(np.float64, (2, 3)), max_size=2),
)
TASKS = st.builds(
    Task,
    TEXT,
    TEXT,
    TEXT,
    st.none() | TEXT,
    FLOATS,
    st.sampled_from(TaskRole),
    TEXT,
    NAMES,
    st.dictionaries(TEXT, PLAIN, max_size=2),
)
MANY_TURNS = st.lists(TURNS, max_size=2).map(tuple)
STARTS = st.builds(Start, TASKS, MANY_TURNS, PLAIN, TEXT, st.none() | TEXT)
ATTEMPTS = st.builds(
    Attempt,
    TEXT,
    STARTS,
    MANY_TURNS,
    st.sampled_from(StopReason),
    TEXT,
    st.sampled_from(Purpose),
    NAMES,
    REWARDS,
    st.none() | TEXT,
)
INDEX = st.integers(-(2**40), 2**40)
ABOUTS = st.builds(
    About, TEXT, TEXT, TEXT, INDEX, st.lists(st.tuples(INDEX, INDEX, INDEX), max_size=2).map(tuple)
)
VECTORS = st.lists(FLOATS, max_size=3).map(tuple)
VERDICTS = st.builds(
    Verdict,
    TEXT,
    ABOUTS,
    st.sampled_from(VerdictKind),
    st.none() | FLOATS,
    VECTORS,
    VECTORS,
    TEXT,
    INDEX,
)
SEQUENCES = st.builds(
    Sequence, ragged(np.int32), st.dictionaries(TEXT, ragged(np.float32), max_size=2)
)
SAMPLES = st.builds(
    Sample,
    TEXT,
    st.lists(SEQUENCES, max_size=2).map(tuple),
    REWARDS,
    NAMES,
    st.dictionaries(TEXT, ragged(np.float64), max_size=2),
)


def through_parquet(table: str, items: list, tasks: dict | None = None) -> list:
    """Write rows to a Parquet file in memory, in two row groups, and read them back."""
    rounds = np.arange(len(items), dtype=np.int32)
    made = rows.encode(table, items, rounds, ["main"] * len(items))
    made.validate(full=True)
    buffer = io.BytesIO()
    pq.write_table(made, buffer, row_group_size=max(1, (len(items) + 1) // 2))
    back = pq.read_table(buffer)
    assert back.column("round").to_pylist() == rounds.tolist()
    batches = back.combine_chunks().to_batches()
    sliced = [b.slice(i, 1) for b in batches for i in range(b.num_rows)]  # offsets must hold
    return [r for b in sliced for r in rows.decode(table, b, tasks)]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.lists(ATTEMPTS, max_size=3))
def test_attempts_come_back_exactly(attempts):
    stored = [rows.stored_task(a.start.task) for a in attempts]
    texts = [None if a.start.state is None else codec.to_text(a.start.state) for a in attempts]
    items = [(a, s.digest, t) for a, s, t in zip(attempts, stored, texts, strict=True)]
    back = through_parquet("attempts", items, {s.digest: s.task for s in stored})
    assert len(back) == len(attempts)
    assert all(map(rows.same, attempts, back))


@settings(max_examples=30, deadline=None)
@given(st.lists(TASKS, max_size=3))
def test_tasks_come_back_exactly(tasks):
    back = through_parquet("tasks", [rows.stored_task(t) for t in tasks])
    assert len(back) == len(tasks)
    assert all(map(rows.same, tasks, back))


@settings(max_examples=30, deadline=None)
@given(st.lists(VERDICTS, max_size=3))
def test_verdicts_come_back_exactly(verdicts):
    back = through_parquet("verdicts", verdicts)
    assert len(back) == len(verdicts)
    assert all(map(rows.same, verdicts, back))


@settings(max_examples=30, deadline=None)
@given(st.lists(SAMPLES, max_size=3))
def test_samples_come_back_exactly(samples):
    back = through_parquet("samples", samples)
    assert len(back) == len(samples)
    assert all(map(rows.same, samples, back))


@settings(max_examples=50, deadline=None)
@given(TASKS, TASKS)
def test_tasks_have_equal_digests_only_when_they_are_equal(one, other):
    digests = [rows.stored_task(t).digest for t in (one, other, one)]
    assert digests[0] == digests[2]
    assert (digests[0] == digests[1]) == rows.same(one, other)


def test_a_task_without_its_truth_is_another_task():
    one = house.task("1", truth_steps=[1])
    digests = {rows.stored_task(t).digest for t in (one, one.without_truth())}
    assert len(digests) == 2


def test_records_that_differ_in_a_bit_are_not_the_same():
    one, other = house.attempt("a", house.task("1")), house.attempt("a", house.task("1"))
    assert rows.same(one, other)
    other.turns[0].logp_model[1] = np.nextafter(other.turns[0].logp_model[1], np.float32(0))
    assert not rows.same(one, other)
    assert not rows.same(Verdict("j", About("a"), VerdictKind.VALUE, 0.0),
                         Verdict("j", About("a"), VerdictKind.VALUE, -0.0))  # fmt: skip


def test_wider_numbers_are_stored_in_the_records_own_dtypes():
    wide = Sequence(np.array([1, 2], np.int64), {"weight": np.array([0.5, 1.0])})
    (back,) = through_parquet("samples", [Sample("policy", (wide,))])
    assert back.sequences[0].tokens.dtype == np.int32
    assert back.sequences[0].columns["weight"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("tokens", "error"),
    [
        (np.array([2**31]), ValueError),
        (np.array([1.5]), TypeError),
        (np.zeros((2, 2), np.int32), TypeError),
    ],
)
def test_tokens_that_are_no_token_ids_are_refused_by_name(tokens, error):
    with pytest.raises(error, match=r"Sequence\.tokens"):
        through_parquet("samples", [Sample("policy", (Sequence(tokens, {}),))])


def test_what_queries_ask_for_are_plain_columns():
    for table, names in {
        "attempts": ["round", "phase", "id", "task", "stop", "author", "purpose", "num_tokens"],
        "verdicts": ["round", "judge", "attempt", "kind", "value", "cost"],
        "samples": ["round", "model", "num_tokens"],
        "tasks": ["round", "id", "family", "difficulty", "role", "origin"],
    }.items():
        for name in names:
            assert not pa.types.is_nested(rows.SCHEMAS[table].field(name).type)
    tokens = rows.ATTEMPTS.field("turns").type.value_type.field("tokens").type
    assert tokens.value_type == pa.int32()
