"""Whose block is whose: the bookkeeping of the key-value cache.

The cache is cut into blocks of `BLOCK` positions. A row that is being spoken has a list of blocks
(its line of `table`); rows with a common beginning share the blocks of it. What has been computed
stays known by the tokens that led to it, in a tree: a block is found under the block before it
and the tokens inside it. So a request that continues earlier ones starts where they end, and
pays for its new tokens only.

Nothing here touches keys or values. The same calls in the same order give the same answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

BLOCK = 16
LOOKED_AT = 32  # blocks after a known one that are compared with a context, the newest first
NOTHING: dict[bytes, int] = {}
Key = tuple[int, bytes]  # the block before (or a root), and the tokens inside


@dataclass(frozen=True, slots=True)
class Match:
    """How much of a context is known: whole blocks, and the first `num_tail` positions of one
    more (`tail`; -1 where there is none)."""

    blocks: list[int]
    tail: int
    num_tail: int

    @property
    def num_tokens(self) -> int:
        return BLOCK * len(self.blocks) + self.num_tail


class Blocks:
    """Blocks of `num_rows` rows of at most `row_blocks` blocks each, and those that are known.

    most_known bounds how many blocks that no row uses are kept; the one unused for longest goes
    first, and never before those that continue it. `roots` of trees are negative numbers.
    """

    def __init__(self, num_blocks: int, num_rows: int, row_blocks: int, most_known: int) -> None:
        self.num_blocks, self.most_known = num_blocks, most_known
        self.table = np.zeros((num_rows, row_blocks), np.int32)
        self.num_used = np.zeros(num_rows, np.int64)  # blocks of each row
        self.promised = np.zeros(num_rows, np.int64)  # blocks each row may still ask for
        self._line: list[list[int]] = [[] for _ in range(num_rows)]  # known blocks of each row
        self._users = np.zeros(num_blocks, np.int32)
        self._free = list(range(num_blocks - 1, -1, -1))
        self._known: dict[int, dict[bytes, int]] = {}  # what follows a block, or a root
        self._keys: dict[int, list[Key]] = {}  # of a known block
        self._idle: OrderedDict[int, None] = OrderedDict()  # known and unused, oldest first
        self._held: list[int] = []  # blocks that are being copied
        self._unread: set[int] = set()  # known blocks that nothing has been computed for yet

    # ------------------------------------------------------------ looking up

    def match(self, root: int, context: np.ndarray, most: int) -> Match:
        """What is known of the first `most` tokens of a context, under a root."""
        before, blocks = root, list[int]()
        while BLOCK * (len(blocks) + 1) <= most:
            first = BLOCK * len(blocks)
            inside = context[first : first + BLOCK].tobytes()
            found = self._known.get(before, NOTHING).get(inside)
            if found is None:
                break
            blocks.append(found)
            before = found
        wanted = context[BLOCK * len(blocks) : min(most, BLOCK * (len(blocks) + 1))].tobytes()
        tail, longest = -1, 0
        following = self._known.get(before, NOTHING)
        for inside in islice(reversed(following), LOOKED_AT):
            num = 0 if following[inside] in self._unread else _in_common(inside, wanted)
            if num > longest:
                tail, longest = following[inside], num
                if 4 * num == len(wanted):
                    break
        return Match(blocks, tail, longest)

    def room(self) -> int:
        """Blocks that nobody uses and nobody has been promised."""
        return len(self._free) + len(self._idle) - int(self.promised.sum())

    def cost(self, match: Match, lengths: Sequence[int]) -> int:
        """Blocks it takes out of `room` to begin rows of these final lengths after a match."""
        shared = len(match.blocks)
        wanted = [*match.blocks, match.tail] if match.num_tail else match.blocks
        woken = sum(1 for block in wanted if not self._users[block])
        return woken + sum(-(-length // BLOCK) - shared for length in lengths)

    # ------------------------------------------------------------ rows

    def begin(
        self, row: int, root: int, context: np.ndarray, match: Match, length: int
    ) -> tuple[int, int] | None:
        """Give a row the blocks of its context; `length` is the most it may come to.

        Returns (from, to) where a block must be copied before anything is computed; call
        `computed` when the contexts of all rows begun have been. Whole blocks are known from now
        on, so contexts that begin alike and are read in this order share them.
        """
        num = len(match.blocks)
        for place, block in enumerate(match.blocks):
            self._use(block)
            self.table[row, place] = block
        if match.num_tail:
            self._use(match.tail)  # it must not go before it is copied
            self._held.append(match.tail)
        for place in range(num, -(-len(context) // BLOCK)):
            self.table[row, place] = self._take()
        self._began(row, len(context), length)
        self._line[row] = list(match.blocks)
        self._learn(row, root, context, len(context) // BLOCK * BLOCK, over=False)
        return (match.tail, int(self.table[row, num])) if match.num_tail else None

    def fork(self, source: int, row: int, num_tokens: int, length: int) -> tuple[int, int] | None:
        """Give a row the same context as a row that has just read it; (from, to) as above."""
        whole = num_tokens // BLOCK
        for place in range(whole):
            block = int(self.table[source, place])
            self._use(block)
            self.table[row, place] = block
        copied = None
        if num_tokens % BLOCK:
            self.table[row, whole] = self._take()
            copied = (int(self.table[source, whole]), int(self.table[row, whole]))
        self._began(row, num_tokens, length)
        self._line[row] = list(self._line[source])
        return copied

    def computed(self) -> None:
        """The copies that `begin` asked for are made, and all contexts have been read."""
        for block in self._held:
            self._release(block)
        self._held.clear()
        self._unread.clear()

    def _began(self, row: int, num_tokens: int, length: int) -> None:
        used = -(-num_tokens // BLOCK)
        self.num_used[row] = used
        self.promised[row] = max(0, -(-length // BLOCK) - used)

    def grow(self, positions: np.ndarray) -> None:
        """Make sure that rows 0, 1, ... have a block for these positions."""
        wanting = np.nonzero(positions // BLOCK >= self.num_used[: len(positions)])[0]
        for row in wanting.tolist():
            self.table[row, self.num_used[row]] = self._take()
            self.num_used[row] += 1
            self.promised[row] -= 1

    def end(self, row: int, root: int, tokens: np.ndarray) -> None:
        """A row needs its blocks no longer; they hold `tokens`, which may be found again."""
        self._learn(row, root, tokens, len(tokens), over=True)
        for place in range(int(self.num_used[row]) - 1, -1, -1):
            # The first last: a block is never older than the blocks that continue it.
            self._release(int(self.table[row, place]))
        self.num_used[row] = self.promised[row] = 0
        self._line[row] = []
        while len(self._idle) > self.most_known:
            self._forget_oldest()

    def _learn(self, row: int, root: int, tokens: np.ndarray, end: int, over: bool) -> None:
        """Make known what a row holds of its first `end` positions.

        Where another block is known for the same tokens the row takes that one instead, if it is
        `over`; while it computes, its own blocks from there on stay its own.
        """
        line = self._line[row]
        for place in range(len(line), -(-end // BLOCK)):
            before = line[-1] if line else root
            inside = tokens[BLOCK * place : min(BLOCK * (place + 1), end)]
            key = (before, inside.tobytes())
            following = self._known.setdefault(before, {})
            own, block = int(self.table[row, place]), following.get(key[1])
            if block is None:
                block = own
                following[key[1]] = own
                self._keys.setdefault(own, []).append(key)
                if not over:
                    self._unread.add(own)
            if len(inside) < BLOCK:
                return
            if block != own:
                if not over:
                    return
                self._use(block)
                self._release(own)
                self.table[row, place] = block
            line.append(block)

    def move(self, to: np.ndarray, source: np.ndarray) -> None:
        """Rows take other places; those they leave are free."""
        for a, b in zip(to.tolist(), source.tolist(), strict=True):
            self.table[a] = self.table[b]
            self.num_used[a], self.promised[a] = self.num_used[b], self.promised[b]
            self._line[a] = self._line[b]
            self.num_used[b] = self.promised[b] = 0
            self._line[b] = []

    def clear(self) -> None:
        """Forget everything that is known. No row may be running."""
        while self._idle:
            self._forget_oldest()

    # ------------------------------------------------------------ blocks

    def _use(self, block: int) -> None:
        if not self._users[block]:
            self._idle.pop(block, None)
        self._users[block] += 1

    def _take(self) -> int:
        if not self._free:
            self._forget_oldest()
        block = self._free.pop()
        self._users[block] = 1
        return block

    def _release(self, block: int) -> None:
        self._users[block] -= 1
        if self._users[block]:
            return
        if block in self._keys:
            self._idle[block] = None
        else:
            self._free.append(block)

    def _forget_oldest(self) -> None:
        block, _ = self._idle.popitem(last=False)
        for before, inside in self._keys.pop(block):
            following = self._known[before]
            del following[inside]
            if not following:
                del self._known[before]
        self._free.append(block)


def _in_common(a: bytes, b: bytes) -> int:
    """How many int32 tokens two rows of them have in common from the first on."""
    low, high = 0, min(len(a), len(b)) // 4
    while low < high:
        middle = (low + high + 1) // 2
        if a[4 * low : 4 * middle] == b[4 * low : 4 * middle]:
            low = middle
        else:
            high = middle - 1
    return low
