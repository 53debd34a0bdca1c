"""Samples to batches: which samples make one optimiser step, and how a step is cut in pieces.

Two cuts, and they mean different things. An *optimiser step* is a set of samples whose mean
gradient is applied at once: its composition is random and part of the method. A *micro-batch* is
a piece of a step that fits in cache or memory: it changes nothing but speed, so samples are
sorted by length inside a step and rows of one piece are nearly equally long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from askesis.errors import ConfigError
from askesis.records import NOTHING, Sample


@dataclass(frozen=True, slots=True)
class Batch:
    """What a model and an objective get: one micro-batch.

    Token samples, one row per sequence, B rows of T positions, padded on the right:
    tokens: int64 (B, T). columns: each float32 (B, T), 0 on padding. lengths: int64 (B,).
    Array samples, one row per step (the steps of all samples one after another, no padding):
    arrays: each (N, ...), in the dtype it was made with. columns: the floating arrays of one
    number per step, float32 (N,). lengths: int64, steps per sample.

    sample: int64, the sample (atom) each row belongs to, counted within this batch.
    sample_columns: per-sample scalars, each float32 (num_samples,).
    num_tokens: real tokens or steps, without padding.
    """

    tokens: Tensor
    columns: Mapping[str, Tensor]
    lengths: Tensor
    sample: Tensor
    sample_columns: Mapping[str, Tensor]
    num_samples: int
    num_tokens: int
    arrays: Mapping[str, Tensor] = field(default=NOTHING)

    def column(self, name: str) -> Tensor:
        """A column by name. Raises ConfigError where the selector did not make it."""
        if name not in self.columns:
            raise ConfigError(
                f"an objective needs the column {name!r}, which the selected samples do not have",
                found=", ".join(self.columns) or "no columns",
                hint="choose a selector that makes it",
            )
        return self.columns[name]


def size_of(sample: Sample) -> int:
    """Tokens of a token sample, or steps of an array sample."""
    if sample.sequences:
        return sample.num_tokens
    return max((len(a) for a in sample.arrays.values()), default=0)


def longest(sample: Sample) -> int:
    """The longest row a sample makes: what decides the padding of its neighbours."""
    return max((len(s.tokens) for s in sample.sequences), default=1)


def steps_of_epoch(sizes: np.ndarray, batch_tokens: int, order: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of the samples of each optimiser step of one epoch.

    sizes: tokens per sample. order: a permutation. Steps get nearly equal numbers of tokens, as
    near to `batch_tokens` as that allows, instead of full steps and one small rest whose noisy
    gradient would count as much as the others. Every sample is in exactly one step.
    """
    ordered = sizes[order]
    total = int(ordered.sum())
    num_steps = max(1, min(len(order), round(total / batch_tokens)))
    # A sample belongs to the step in which its middle token lies.
    middles = np.cumsum(ordered) - ordered / 2
    place = np.minimum((middles * num_steps / max(1, total)).astype(int), num_steps - 1)
    for step in range(num_steps):
        chosen = order[place == step]
        if len(chosen):
            yield chosen


def micro_batches(samples: Sequence[Sample], micro_batch_tokens: int) -> Iterator[list[Sample]]:
    """Pieces of one optimiser step: sorted by length, each at most `micro_batch_tokens` padded.

    A sample is never split; one that is larger than the limit is a piece of its own. Equally
    long samples keep their order, so the cut is a function of the step alone. Pieces are made
    nearly equally large.
    """
    ordered = sorted(samples, key=longest)
    piece: list[Sample] = []
    rows = 0
    for sample in ordered:
        more = rows + _rows(sample)
        if piece and more * longest(sample) > micro_batch_tokens:
            yield piece
            piece, more = [], _rows(sample)
        piece.append(sample)
        rows = more
    if piece:
        yield piece


def _rows(sample: Sample) -> int:
    return len(sample.sequences) or size_of(sample)


def collate(samples: Sequence[Sample], pad_token: int = 0, device: Any = None) -> Batch:
    """One batch of samples, which are all token samples or all array samples.

    Columns that only some sequences have are 0 elsewhere. Raises ConfigError for a mixture.
    """
    if any(bool(s.sequences) != bool(samples[0].sequences) for s in samples):
        raise ConfigError(
            "samples of token sequences and of arrays cannot be learnt by one learner",
            hint="give each its own model or its own learner",
        )
    names = dict.fromkeys(name for s in samples for name in s.columns)
    scalars = {
        name: torch.tensor([float(s.columns.get(name, 0.0)) for s in samples], device=device)
        for name in names
    }
    make = _token_rows if samples[0].sequences else _array_rows
    return make(samples, scalars, pad_token, device)


def _token_rows(
    samples: Sequence[Sample], scalars: Mapping[str, Tensor], pad_token: int, device: Any
) -> Batch:
    rows = [sequence for s in samples for sequence in s.sequences]
    owner = np.repeat(np.arange(len(samples)), [len(s.sequences) for s in samples])
    lengths = np.array([len(r.tokens) for r in rows])
    width = int(lengths.max())
    real = np.arange(width) < lengths[:, None]
    tokens = np.full((len(rows), width), pad_token, np.int64)
    tokens[real] = np.concatenate([r.tokens for r in rows])
    columns: dict[str, Tensor] = {}
    for name in dict.fromkeys(name for r in rows for name in r.columns):
        column = np.zeros((len(rows), width), np.float32)
        column[real] = np.concatenate(
            [r.columns.get(name, np.zeros(len(r.tokens), np.float32)) for r in rows]
        )
        columns[name] = torch.from_numpy(column).to(device)
    return Batch(
        torch.from_numpy(tokens).to(device),
        columns,
        torch.from_numpy(lengths).to(device),
        torch.from_numpy(owner).to(device),
        scalars,
        len(samples),
        int(lengths.sum()),
    )


def _array_rows(
    samples: Sequence[Sample], scalars: Mapping[str, Tensor], pad_token: int, device: Any
) -> Batch:
    names = list(samples[0].arrays)
    lengths = np.array([size_of(s) for s in samples])
    arrays = {
        name: torch.from_numpy(np.concatenate([np.asarray(s.arrays[name]) for s in samples]))
        for name in names
    }
    arrays = {name: array.to(device) for name, array in arrays.items()}
    columns = {
        name: array.float()
        for name, array in arrays.items()
        if array.ndim == 1 and array.is_floating_point()
    }
    return Batch(
        torch.zeros((0, 0), dtype=torch.int64, device=device),
        columns,
        torch.from_numpy(lengths).to(device),
        torch.from_numpy(np.repeat(np.arange(len(samples)), lengths)).to(device),
        scalars,
        len(samples),
        int(lengths.sum()),
        arrays,
    )


def step_norm(samples: Sequence[Sample]) -> dict[str, float]:
    """The counts of a whole optimiser step that objectives divide by, in float64.

    weight: sum of |weight| over tokens (or steps). tokens: tokens with a weight other than 0.
    sequences: sequences (or array samples) with any weight. samples: atoms. Where a count is 0
    it is given as 1, because then there is nothing to divide.
    """
    columns = [
        np.asarray(c.get("weight", 0.0), np.float64)
        for s in samples
        for c in ([r.columns for r in s.sequences] or [s.arrays])
    ]
    used = [c for c in columns if np.any(c)]
    counts = {
        "weight": float(sum(np.abs(c).sum() for c in used)),
        "tokens": float(sum(np.count_nonzero(c) for c in used)),
        "sequences": float(len(used)),
        "samples": float(len(samples)),
    }
    return {name: count or 1.0 for name, count in counts.items()}
