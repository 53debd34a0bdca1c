"""Answers put together from texts, as if a role had said them, some passages only read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from askesis.records import Sequence as Row
from askesis.records import Start


def written_row(
    ctx: Any, role: str, start: Start, text: str, masked: Sequence[tuple[int, int]] = ()
) -> Row:
    """A text as an answer of `role` at a start: its end token too weighs 1, passages `masked`, as
    (first, one past the last) character, weigh 0.

    The text is tokenised whole, as it would be said; a token that lies across the edge of a passage
    belongs to it.
    """
    written = ctx.encode(role, text)
    weight = np.ones(len(written) + 1, np.float32)
    for first, last in masked:
        begin, _ = _place(written, ctx.encode(role, text[:first]))
        end, is_edge = _place(written, ctx.encode(role, text[:last]))
        weight[begin : end if is_edge else min(end + 1, len(written))] = 0.0
    context = ctx.render(role, start)
    tokens = np.concatenate([context, written, [ctx.end_token(role)]]).astype(np.int32)
    read = np.zeros(len(context), np.float32)
    return Row(tokens, {"weight": np.concatenate([read, weight])})


def _place(written: np.ndarray, beginning: np.ndarray) -> tuple[int, bool]:
    """How many tokens the whole and its beginning share, and whether the beginning ends there."""
    num = min(len(written), len(beginning))
    differ = np.flatnonzero(written[:num] != beginning[:num])
    shared = int(differ[0]) if len(differ) else num
    return shared, shared == len(beginning)
