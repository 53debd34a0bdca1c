"""Rows of tokens without padding: what every position computes once, and who attends to whom.

Everything in a decoder but attention looks at one position at a time, so it can work on the real
tokens of a batch laid end to end, (N, width), and padding costs nothing. What a position computes
depends on the tokens up to it only, so rows that begin alike (the attempts at one prompt, the two
sides of a pair) share the computation of their beginning as well. Attention works on blocks of
rows of nearly equal length.

The result is the padded one's to rounding, forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

SHARED_AT_LEAST = 4  # tokens; shorter common beginnings are cheaper computed again
WORTH_A_BLOCK = 40_000  # attention scores a head; fewer saved ones are not worth another block


@dataclass(frozen=True, slots=True)
class Prefix:
    """The shared beginnings that rows of one block attend to, F of them, P tokens wide.

    places: int64 (F * P,), the packed place of every token, padding pointing anywhere real.
    real: int64, which of those are no padding; real_places: their packed places.
    owner: int64 (R,), which beginning a row has. lengths: int64 (F,).
    """

    width: int
    places: Tensor
    real: Tensor
    real_places: Tensor
    owner: Tensor
    lengths: Tensor

    def indicator(self, dtype: torch.dtype) -> Tensor:
        """(F, R): 1 where a row has a beginning. A product with it sums over a family."""
        rows = torch.arange(len(self.lengths), device=self.owner.device)[:, None]
        return (rows == self.owner).to(dtype)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that attend together: R rows, S tokens wide, the packed tokens `first` to `last`.

    gather: int64 (R * S,), the packed place of every token of the padded rows, None where no
    row is padded; kept: int64 (last - first,), which of the padded places are real. rows: int64
    (R, 4), of every row: first packed token and number of own tokens, the same of shared ones.
    """

    num_rows: int
    width: int
    first: int
    last: int
    gather: Tensor | None
    kept: Tensor | None
    prefix: Prefix | None
    rows: np.ndarray

    def padded(self, x: Tensor, zeros: bool = False) -> Tensor:
        """The block's part of packed values, (N, C) -> (R * S, C); padding is zero if asked."""
        if self.gather is None or self.kept is None:
            return x[self.first : self.last]
        if not zeros:
            return x.index_select(0, self.gather)
        rows = x.new_zeros(self.num_rows * self.width, x.shape[1])
        return rows.index_copy_(0, self.kept, x[self.first : self.last])

    def real(self, x: Tensor) -> Tensor:
        """The real ones of padded values, (R * S, C) -> (last - first, C)."""
        return x if self.kept is None else x.index_select(0, self.kept)


@dataclass(frozen=True, slots=True)
class Packing:
    """The packed tokens of a batch of B rows of at most T.

    tokens, positions: int64 (N,). places: int64 (B, T), where in the packing a row's position
    is computed, 0 on padding. blocks: how they attend; their tokens are the packing in order.
    num_scores: attention scores of all blocks for one head, padding included.
    """

    tokens: Tensor
    positions: Tensor
    places: Tensor
    blocks: tuple[Block, ...]
    num_scores: int
    _biases: dict[Any, Tensor] = field(default_factory=dict)

    def bias(self, block: Block, group: int, kv: int, dtype: torch.dtype) -> Tensor:
        """What is added to a block's scores, (R * kv, S * group, K): 0, or minus infinity."""
        key = (block.first, group, kv, dtype)
        if key not in self._biases:
            self._biases[key] = _bias(block, group, kv, dtype, self.tokens.device)
        return self._biases[key]


def pack(tokens: Tensor, lengths: Tensor, share: bool = True) -> Packing:
    """The packing of rows padded on the right, int64 (B, T) and (B,), each length at least 1.

    Neighbouring rows that begin alike share their beginning, so rows are best handed over with
    equal prompts side by side.
    """
    device = tokens.device
    rows, sizes = tokens.cpu().numpy(), lengths.cpu().numpy().astype(np.int64)
    num_rows, width = rows.shape
    family, shared = _families(rows, sizes) if share else (np.arange(num_rows), sizes * 0)
    heads = np.flatnonzero(shared)  # families that have a shared beginning at all
    own = sizes - shared[family]  # tokens every row computes for itself
    # A shared beginning attends like a row of its own; the rows behind it see it and themselves.
    blocks: list[Block] = []
    begins = np.zeros(num_rows, np.int64)  # packed place of a row's first own token
    shared_at = np.zeros(len(shared), np.int64)  # and of a family's beginning
    alone = np.flatnonzero(shared[family] == 0)
    plain_sizes = np.concatenate([shared[heads], own[alone]])
    place = num_scores = 0
    for some in _buckets(plain_sizes, np.zeros_like(plain_sizes)):
        starts = place + np.cumsum(plain_sizes[some]) - plain_sizes[some]
        is_head = some < len(heads)
        shared_at[heads[some[is_head]]] = starts[is_head]
        begins[alone[some[~is_head] - len(heads)]] = starts[~is_head]
        rows_of = np.zeros((len(some), 4), np.int64)
        rows_of[:, 0], rows_of[:, 1] = starts, plain_sizes[some]
        block = _block(rows_of, place, None, device)
        blocks.append(block)
        place, num_scores = block.last, num_scores + block.num_rows * block.width**2
    behind = np.flatnonzero(shared[family])
    for some in _buckets(own[behind], shared[family[behind]]):
        chosen = behind[some]
        begins[chosen] = place + np.cumsum(own[chosen]) - own[chosen]
        prefix = _prefix(family[chosen], shared, shared_at, device)
        members = family[chosen]
        rows_of = np.stack(
            [begins[chosen], own[chosen], shared_at[members], shared[members]], axis=1
        )
        block = _block(rows_of, place, prefix, device)
        blocks.append(block)
        place = block.last
        num_scores += block.num_rows * block.width * (block.width + prefix.width)
    at = np.arange(width)
    before = shared[family][:, None]
    places = np.where(at < before, shared_at[family][:, None] + at, begins[:, None] + at - before)
    places = np.where(at < sizes[:, None], places, 0)
    found = np.zeros(place, np.int64)
    positions = np.zeros(place, np.int64)
    real = at < sizes[:, None]
    found[places[real]] = rows[real]
    positions[places[real]] = np.broadcast_to(at, rows.shape)[real]
    return Packing(
        torch.from_numpy(found).to(device),
        torch.from_numpy(positions).to(device),
        torch.from_numpy(places).to(device),
        tuple(blocks),
        num_scores,
    )


def common_lengths(rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many tokens each row, but the first, shares with the row before it. (B - 1,)"""
    both = np.minimum(sizes[1:], sizes[:-1])[:, None]
    equal = (rows[1:] == rows[:-1]) & (np.arange(rows.shape[1]) < both)
    return equal.cumprod(1).sum(1)


def _families(rows: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The family of every row, int64 (B,), and what each family shares, int64 (families,).

    Neighbours join while that saves more: a family of n rows that shares p tokens saves
    (n - 1) * p. Every row keeps one token of its own at least.
    """
    family = np.zeros(len(rows), np.int64)
    shared, members = [0], 1
    common = common_lengths(rows, sizes)
    for row in range(1, len(rows)):
        # What is shared with the whole family is the least of what neighbours share.
        limit = min(int(common[row - 1]), int(sizes[row]) - 1, int(sizes[row - 1]) - 1)
        so_far = shared[-1] if members > 1 else limit
        joint = min(so_far, limit)
        if joint >= SHARED_AT_LEAST and members * joint >= (members - 1) * so_far:
            shared[-1], members = joint, members + 1
        else:
            shared.append(0)
            members = 1
        family[row] = len(shared) - 1
    return family, np.array(shared, np.int64)


def _buckets(own: np.ndarray, before: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of rows that attend in one block, so that little of it is padding.

    own: tokens of each row; before: shared tokens it sees in front of them.
    """
    if not len(own):
        return
    order = np.lexsort((before, own))
    pieces = [order]
    while pieces:
        piece = pieces.pop()
        s, p = own[piece], before[piece]
        below = np.arange(1, len(piece))
        left = below * s[:-1] * (np.maximum.accumulate(p)[:-1] + s[:-1])
        right = (len(piece) - below) * s[-1] * (np.maximum.accumulate(p[::-1])[::-1][1:] + s[-1])
        saved = len(piece) * s[-1] * (p.max() + s[-1]) - left - right
        if len(piece) > 1 and saved.max() > WORTH_A_BLOCK:
            cut = int(saved.argmax()) + 1
            pieces += [piece[cut:], piece[:cut]]
        else:
            yield piece


def _block(rows: np.ndarray, first: int, prefix: Prefix | None, device: Any) -> Block:
    """Rows as `Block.rows` has them, packed from `first` on in this order."""
    sizes = rows[:, 1]
    width, last = int(sizes.max()), first + int(sizes.sum())
    if (sizes == width).all():
        return Block(len(sizes), width, first, last, None, None, prefix, rows)
    real = np.arange(width) < sizes[:, None]
    gather = np.full(real.shape, first, np.int64)
    gather[real] = np.arange(first, last)
    kept = np.flatnonzero(real)
    return Block(
        len(sizes),
        width,
        first,
        last,
        torch.from_numpy(gather.reshape(-1)).to(device),
        torch.from_numpy(kept).to(device),
        prefix,
        rows,
    )


def _prefix(family: np.ndarray, shared: np.ndarray, shared_at: np.ndarray, device: Any) -> Prefix:
    """The beginnings of rows of these families."""
    families, owner = np.unique(family, return_inverse=True)
    lengths, starts = shared[families], shared_at[families]
    width = int(lengths.max())
    real = np.arange(width) < lengths[:, None]
    places = np.where(real, starts[:, None] + np.arange(width), starts[:, None])
    kept = np.flatnonzero(real)
    arrays = (places.reshape(-1), kept, places.reshape(-1)[kept], owner, lengths)
    return Prefix(width, *(torch.from_numpy(x).to(device) for x in arrays))


def _bias(block: Block, group: int, kv: int, dtype: torch.dtype, device: Any) -> Tensor:
    """0 where a query of a block may look, minus infinity elsewhere.

    Padded queries look at something, so that no row of scores is empty; padded keys lie behind
    every real query of their row.
    """
    size = block.width
    own = torch.ones(size, size, dtype=torch.bool, device=device).tril()[None]
    if block.prefix is not None:
        prefix = block.prefix
        seen = torch.arange(prefix.width, device=device) < prefix.lengths[:, None]
        if bool(seen.all()):
            seen = seen[:1]
        else:
            seen = seen.index_select(0, prefix.owner)
        seen = seen[:, None].expand(-1, size, -1)
        own = torch.cat((seen, own.expand(len(seen), -1, -1)), 2)
    bias = torch.zeros(own.shape, dtype=dtype, device=device)
    bias = bias.masked_fill_(~own, float("-inf")).repeat_interleave(group, 1)
    if len(bias) > 1 and kv > 1:
        bias = bias.repeat_interleave(kv, 0)
    return bias
