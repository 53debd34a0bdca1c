"""The bookkeeping of the cache: nothing is ever used by two, nothing is lost, matches are true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.engines.blocks import BLOCK, Blocks, Match


def tokens(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


class Shadow:
    """A cache that holds, for every block, the tokens that led to each of its positions."""

    def __init__(self, num_blocks: int, num_rows: int, most_known: int) -> None:
        self.blocks = Blocks(num_blocks, num_rows, 4, most_known)
        self.held = np.full((num_blocks, BLOCK), -1, object)
        self.rows: dict[int, list[int]] = {}

    def write(self, row: int, first: int, context: np.ndarray) -> None:
        for p in range(first, len(context)):
            block = self.blocks.table[row, p // BLOCK]
            self.held[block, p % BLOCK] = tuple(context[: p + 1].tolist())

    def copy(self, pair) -> None:
        if pair is not None:
            self.held[pair[1]] = self.held[pair[0]]

    def check(self) -> None:
        """Every running row sees exactly its own tokens."""
        for row, said in self.rows.items():
            for p in range(len(said)):
                block = self.blocks.table[row, p // BLOCK]
                assert self.held[block, p % BLOCK] == tuple(said[: p + 1])
        used = {b for row in self.rows for b in self.blocks.table[row, : self.blocks.num_used[row]]}
        free, idle = self.blocks._free, self.blocks._idle
        assert len(free) + len(idle) + len(used) == self.blocks.num_blocks
        assert not used & set(free)
        assert not used & set(idle)
        for before, following in self.blocks._known.items():
            assert before < 0 or before in self.blocks._keys  # never older than what continues it
            for inside, block in following.items():
                said = np.frombuffer(inside, np.int32).tolist()
                assert list(self.held[block, len(said) - 1][-len(said) :]) == said


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rows_see_their_own_tokens_whatever_is_shared_forked_forgotten_and_found(data):
    """Small alphabets, so that prefixes meet all the time; few blocks, so that many are evicted."""
    shadow = Shadow(24, 5, data.draw(st.integers(0, 12)))
    blocks = shadow.blocks
    for _ in range(data.draw(st.integers(5, 40))):
        free_rows = [r for r in range(5) if r not in shadow.rows]
        action = data.draw(st.sampled_from(["begin", "grow", "end", "fork", "move"]))
        if action == "begin" and free_rows:
            context = np.array(
                data.draw(st.lists(st.sampled_from([7, 7, 7, 8]), min_size=1, max_size=50)),
                np.int32,
            )
            length = min(64, len(context) + data.draw(st.integers(0, 20)))
            wave = []
            for row in free_rows[: data.draw(st.integers(1, 2))]:  # begun together, read after
                match = blocks.match(-1, context, len(context) - 1)
                if blocks.cost(match, [length]) > blocks.room():
                    break
                wave.append((row, match, context, blocks.begin(row, -1, context, match, length)))
                context = context[: data.draw(st.integers(1, len(context)))]
            for *_, pair in wave:
                shadow.copy(pair)
            for row, match, some, _ in wave:
                shadow.write(row, match.num_tokens, some)
                shadow.rows[row] = some.tolist()
            blocks.computed()
        elif action == "grow" and shadow.rows:
            row = data.draw(st.sampled_from(sorted(shadow.rows)))
            said = shadow.rows[row]
            limit = BLOCK * (blocks.num_used[row] + blocks.promised[row])
            if len(said) >= limit:
                continue
            said.append(data.draw(st.sampled_from([7, 7, 8])))
            positions = np.array([len(shadow.rows.get(r, [0])) - 1 for r in range(row + 1)])
            grown = np.where(np.arange(row + 1) == row, positions, 0)
            blocks.grow(np.minimum(grown, np.where(np.arange(row + 1) == row, 10**6, -1)))
            shadow.write(row, len(said) - 1, np.array(said))
        elif action == "end" and shadow.rows:
            row = data.draw(st.sampled_from(sorted(shadow.rows)))
            blocks.end(row, -1, np.array(shadow.rows.pop(row), np.int32))
        elif action == "fork" and shadow.rows and free_rows:
            row = data.draw(st.sampled_from(sorted(shadow.rows)))
            said = shadow.rows[row]
            whole = -(-64 // BLOCK) - len(said) // BLOCK
            if whole > blocks.room():
                continue
            shadow.copy(blocks.fork(row, free_rows[0], len(said), 64))
            shadow.rows[free_rows[0]] = list(said)
        elif action == "move" and shadow.rows and free_rows:
            row = max(shadow.rows)
            if free_rows[0] < row:
                blocks.move(np.array([free_rows[0]]), np.array([row]))
                shadow.rows[free_rows[0]] = shadow.rows.pop(row)
        shadow.check()
    for row in sorted(shadow.rows):
        blocks.end(row, -1, np.array(shadow.rows.pop(row), np.int32))
    blocks.clear()
    assert sorted(blocks._free) == list(range(24))
    assert not blocks._known
    assert not blocks._keys


def test_a_match_ends_where_the_tokens_differ():
    blocks = Blocks(16, 4, 4, 16)
    said = np.arange(40, dtype=np.int32)
    blocks.begin(0, -1, said[:30], Match([], -1, 0), 40)
    blocks.grow(np.array([32]))
    blocks.end(0, -1, said)
    assert blocks.match(-1, said, 39).num_tokens == 39
    assert blocks.match(-1, np.append(said, tokens(1, 2)), 41).num_tokens == 40
    other = said.copy()
    other[20] = 99
    assert blocks.match(-1, other, 39).num_tokens == 20
    assert blocks.match(-2, said, 39).num_tokens == 0  # another root: other weights


def test_what_was_unused_for_longest_goes_first():
    blocks = Blocks(4, 2, 2, 2)
    for first in (100, 200, 300):
        context = np.arange(first, first + BLOCK, dtype=np.int32)
        blocks.begin(0, -1, context, Match([], -1, 0), BLOCK)
        blocks.end(0, -1, context)
    known = [
        blocks.match(-1, np.arange(f, f + 20, dtype=np.int32), 19).num_tokens
        for f in (100, 200, 300)
    ]
    assert known == [0, BLOCK, BLOCK]


def test_a_block_that_is_not_computed_yet_is_shared_whole_or_not_at_all():
    """Rows begun together are read in order: whole blocks are there in time, copies are not."""
    blocks = Blocks(16, 4, 4, 16)
    said = np.arange(40, dtype=np.int32)
    other = np.append(said[:26], tokens(99, 99))
    blocks.begin(0, -1, said, Match([], -1, 0), 40)
    assert blocks.match(-1, other, 27) == Match([int(blocks.table[0, 0])], -1, 0)
    blocks.computed()
    assert blocks.match(-1, other, 27).num_tokens == 26
