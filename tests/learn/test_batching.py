"""How samples become steps and micro-batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import ConfigError
from askesis.learn.batch import collate, size_of, step_norm
from askesis.learn.batching import longest, micro_batches, steps_of_epoch
from askesis.records import Sample, Sequence
from tests.learn.fakes import samples

quick = settings(max_examples=50, deadline=None)


def sized(length: int, rows: int = 1) -> Sample:
    row = Sequence(np.arange(length, dtype=np.int32), {"weight": np.ones(length, np.float32)})
    return Sample("policy", (row,) * rows)


@quick
@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 200))
def test_every_sample_is_in_exactly_one_step_of_an_epoch(sizes, batch_tokens):
    order = np.random.default_rng(0).permutation(len(sizes))
    steps = list(steps_of_epoch(np.array(sizes), batch_tokens, order))
    assert sorted(np.concatenate(steps)) == list(range(len(sizes)))
    assert all(len(step) for step in steps)


def test_steps_of_an_epoch_are_equally_large_and_there_is_no_small_rest():
    sizes = np.full(103, 10)
    steps = list(steps_of_epoch(sizes, 250, np.arange(103)))
    tokens = [int(sizes[s].sum()) for s in steps]
    assert len(tokens) == 4
    assert max(tokens) - min(tokens) <= 10


@quick
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 3)), min_size=1, max_size=40),
    st.integers(1, 300),
)
def test_micro_batches_never_split_an_atom_and_keep_to_the_limit(shapes, limit):
    made = [sized(length, rows) for length, rows in shapes]
    pieces = list(micro_batches(made, limit))
    assert sorted(map(id, (s for p in pieces for s in p))) == sorted(map(id, made))
    for piece in pieces:
        padded = sum(len(s.sequences) for s in piece) * max(map(longest, piece))
        assert padded <= limit or len(piece) == 1


def test_sorting_keeps_padding_small_on_skewed_lengths():
    rng = np.random.default_rng(0)
    made = [sized(int(n)) for n in np.minimum(200, 5 + rng.exponential(30, 400))]
    real = sum(map(size_of, made))
    positions = [len(p) * longest(p[-1]) for p in micro_batches(made, 1024)]
    unsorted = [
        len(p) * max(map(longest, p)) for p in (made[i : i + 20] for i in range(0, 400, 20))
    ]
    assert 1 - real / sum(positions) < 0.1
    assert 1 - real / sum(unsorted) > 0.5  # what the sorting is for


def test_a_batch_holds_tokens_columns_and_who_owns_each_row():
    pair = Sample(
        "policy",
        (
            Sequence(np.array([1, 2, 3], np.int32), {"weight": np.array([0, 1, 1], np.float32)}),
            Sequence(np.array([4, 5], np.int32), {"weight": np.array([0, 2], np.float32),
                                                  "extra": np.array([7, 8], np.float32)}),
        ),
        columns={"margin": 0.5},
    )  # fmt: skip
    batch = collate([pair, sized(1)], pad_token=9)
    assert batch.tokens.tolist() == [[1, 2, 3], [4, 5, 9], [0, 9, 9]]
    assert batch.columns["weight"].tolist() == [[0, 1, 1], [0, 2, 0], [1, 0, 0]]
    assert batch.columns["extra"].tolist() == [[0, 0, 0], [7, 8, 0], [0, 0, 0]]
    assert batch.sample.tolist() == [0, 0, 1]
    assert batch.lengths.tolist() == [3, 2, 1]
    assert batch.sample_columns["margin"].tolist() == [0.5, 0.0]
    assert (batch.num_samples, batch.num_tokens) == (2, 6)


def test_array_samples_are_laid_end_to_end_without_padding():
    def episode(steps: int) -> Sample:
        return Sample(
            "policy",
            (),
            arrays={
                "observation": np.ones((steps, 4), np.float32),
                "action": np.arange(steps),
                "weight": np.full(steps, 0.5, np.float32),
            },
        )

    batch = collate([episode(2), episode(3)])
    assert batch.arrays["observation"].shape == (5, 4)
    assert batch.arrays["action"].tolist() == [0, 1, 0, 1, 2]
    assert batch.column("weight").tolist() == [0.5] * 5
    assert batch.sample.tolist() == [0, 0, 1, 1, 1]
    assert "action" not in batch.columns
    assert step_norm([episode(2), episode(3)]) == {
        "weight": 2.5, "tokens": 5.0, "sequences": 2.0, "samples": 2.0,
    }  # fmt: skip


def test_a_missing_column_and_a_mixture_are_named():
    with pytest.raises(ConfigError, match="needs the column 'advantage'"):
        collate([sized(2)]).column("advantage")
    arrays = Sample("policy", (), arrays={"action": np.zeros(2)})
    with pytest.raises(ConfigError, match="of arrays"):
        collate([sized(2), arrays])


def test_the_norm_counts_absolute_weights_so_that_signed_ones_cannot_cancel():
    norm = step_norm(samples(20, signed=True))
    assert norm["weight"] > 0
    assert norm["sequences"] == 20
    assert step_norm([]) == {"weight": 1.0, "tokens": 1.0, "sequences": 1.0, "samples": 1.0}
