"""Pieces of one answer, put together: several contributions of a speaker that are one turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp

import numpy as np

from askesis.records import StopReason, TokenOrigin, Turn


def joined(pieces: Sequence[Turn]) -> Turn:
    """One turn of consecutive pieces of an answer, stopped where the last one stopped.

    What was read before the first piece is its context. Where one piece knows a log-probability
    and another does not, the unknown ones are NaN.
    """
    if len(pieces) == 1:
        return pieces[0]
    first, last = pieces[0], pieces[-1]
    origin = None
    if any(p.origin is not None for p in pieces):
        origin = np.concatenate([_origin(p) for p in pieces])
    return replace(
        last,
        text="".join(p.text for p in pieces),
        context=first.context,
        tokens=np.concatenate([p.tokens for p in pieces]).astype(np.int32),
        origin=origin,
        logp_sampling=_logp([p.logp_sampling for p in pieces], pieces),
        logp_model=_logp([p.logp_model for p in pieces], pieces),
    )


def piece_behind(turn: Turn, num_tokens: int, decode: Callable[[np.ndarray], str]) -> Turn:
    """What a turn says behind its first tokens, as a piece that was said after having read them."""
    if not num_tokens:
        return turn
    return replace(
        turn,
        text=decode(turn.tokens[num_tokens:]),
        context=np.concatenate([turn.context, turn.tokens[:num_tokens]]).astype(np.int32),
        tokens=turn.tokens[num_tokens:],
        origin=None if turn.origin is None else turn.origin[num_tokens:],
        logp_sampling=turn.logp_sampling[num_tokens:],
        logp_model=turn.logp_model[num_tokens:],
    )


def still_open(turn: Turn) -> Turn:
    """The same turn, so that whoever speaks next goes on within it."""
    return replace(turn, stop=StopReason.OPEN)


def mean_logp(pieces: Sequence[Turn]) -> float | None:
    """Mean log-probability of what was sampled, under the model itself; None where nobody knows."""
    known = [p.logp_model for p in pieces if len(p.logp_model) == len(p.tokens)]
    found = np.concatenate(known) if known else np.zeros(0, np.float32)
    found = found[~np.isnan(found)]
    return float(found.mean(dtype=np.float64)) if len(found) else None


def prior_of(pieces: Sequence[Turn]) -> float:
    """Probability of an edge by its length: exp of the mean log-probability of its tokens, in
    (0, 1]; 1 where nobody knows. Cards [24] and [178]."""
    mean = mean_logp(pieces)
    return 1.0 if mean is None else exp(mean)


def _origin(piece: Turn) -> np.ndarray:
    if piece.origin is not None:
        return np.asarray(piece.origin, np.uint8)
    return np.full(len(piece.tokens), TokenOrigin.SAMPLED, np.uint8)


def _logp(columns: Sequence[np.ndarray], pieces: Sequence[Turn]) -> np.ndarray:
    """Concatenated; empty where no piece knows."""
    if not any(len(column) for column in columns):
        return columns[0]
    whole = [
        column if len(column) == len(p.tokens) else np.full(len(p.tokens), np.nan)
        for column, p in zip(columns, pieces, strict=True)
    ]
    return np.concatenate(whole).astype(np.float32)
