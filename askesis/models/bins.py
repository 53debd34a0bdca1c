"""Several sequences in one row of a transformers module, so that little of a batch is padding.

Positions start anew with every sequence, and the module masks attention between neighbours when
positions do. Not every architecture does; `askesis.models.module_outputs` tries it out first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PADDING = 0.05  # of positions; above it rows are made longer


@dataclass(frozen=True, slots=True)
class Bins:
    """R rows of W positions that hold B sequences of at most T tokens.

    tokens, positions: int64 (R, W); padding counts its positions from 0 like a sequence.
    places: int64 (B, T), where in the flat rows a sequence's token is, 0 on padding.
    """

    tokens: Tensor
    positions: Tensor
    places: Tensor


def fill(lengths: np.ndarray, width: int) -> list[list[int]]:
    """Sequences per row of `width`, longest first into the first row that has room."""
    rows: list[list[int]] = []
    room: list[int] = []
    for i in np.argsort(-lengths, kind="stable"):
        for row, free in enumerate(room):
            if free >= lengths[i]:
                rows[row].append(int(i))
                room[row] -= int(lengths[i])
                break
        else:
            rows.append([int(i)])
            room.append(width - int(lengths[i]))
    return rows


def rows_of(lengths: np.ndarray) -> tuple[list[list[int]], int]:
    """Sequences per row and the rows' width: the shortest rows with little padding.

    Rows as long as the longest sequence cost attention least. Where they leave more than
    `PADDING` empty they are made longer, up to one row for all.
    """
    total, longest = int(lengths.sum()), int(lengths.max())
    for factor in (1.0, 1.25, 1.5, 2.0, 3.0, 4.0):
        rows = fill(lengths, int(longest * factor))
        width = max(int(lengths[row].sum()) for row in rows)
        if 1 - total / (len(rows) * width) <= PADDING:
            return rows, width
    return [list(range(len(lengths)))], total


def bins(tokens: Tensor, lengths: Tensor, pad_token: int = 0) -> Bins:
    """Sequences padded on the right, int64 (B, T) and (B,), as few nearly full rows."""
    sizes = lengths.cpu().numpy()
    found, width = rows_of(sizes)
    flat, positions = np.full((2, len(found) * width), pad_token)
    positions[:] = np.tile(np.arange(width), len(found))
    places = np.zeros(tuple(tokens.shape), np.int64)
    all_tokens = tokens.cpu().numpy()
    for row, members in enumerate(found):
        first = row * width
        for i in members:
            some = slice(first, first + sizes[i])
            flat[some], positions[some] = all_tokens[i, : sizes[i]], np.arange(sizes[i])
            places[i, : sizes[i]] = np.arange(first, first + sizes[i])
            first += sizes[i]
        positions[first : (row + 1) * width] = np.arange((row + 1) * width - first)
    arrays = (flat.reshape(-1, width), positions.reshape(-1, width), places)
    return Bins(*(torch.from_numpy(x).to(tokens.device) for x in arrays))
