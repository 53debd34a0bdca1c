"""A micro-batch as models and objectives see it, and the counts of a step they divide by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    sample: int64, the sample (atom) each row belongs to, counted within this batch; rows of one
    sample are neighbours, in the order it has them. place: int64, which of its sample's rows each
    row is, from 0. sample_columns: per-sample scalars, each float32 (num_samples,).
    mask: bool, (B, T) or (N,): what is learnt. Where the column "weight" is not 0, or, without one,
    where any column is not 0, and without columns everywhere. Log-probabilities are computed
    there; elsewhere they may be 0.
    num_tokens: real tokens or steps, without padding. reference: another module of the same
    vocabulary, for objectives that use "kl".
    """

    tokens: Tensor
    columns: Mapping[str, Tensor]
    lengths: Tensor
    sample: Tensor
    sample_columns: Mapping[str, Tensor]
    num_samples: int
    num_tokens: int
    arrays: Mapping[str, Tensor] = field(default=NOTHING)
    place: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    mask: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    reference: Any = None

    def column(self, name: str) -> Tensor:
        """A column by name: per token (B, T), or a sample's number given to each row, (B,).

        For array samples both are (N,). Raises ConfigError where the selector did not make it.
        """
        if name in self.columns:
            return self.columns[name]
        if name in self.sample_columns:
            return self.sample_columns[name][self.sample]
        raise ConfigError(
            f"an objective needs the column {name!r}, which the selected samples do not have",
            found=", ".join([*self.columns, *self.sample_columns]) or "no columns",
            hint="choose a selector that makes it",
        )

    def has(self, name: str) -> bool:
        """Whether there is a column of that name."""
        return name in self.columns or name in self.sample_columns

    @property
    def sign(self) -> Tensor:
        """float32, 1 for the first row of each sample and -1 for the others: chosen, rejected."""
        return 1.0 - 2.0 * (self.place > 0).float()


def size_of(sample: Sample) -> int:
    """Tokens of a token sample, or steps of an array sample."""
    if sample.sequences:
        return sample.num_tokens
    return max((len(a) for a in sample.arrays.values()), default=0)


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
    names = dict.fromkeys(name for r in rows for name in r.columns)
    mask = np.zeros((len(rows), width), bool) if names else real
    for name in names:
        column = np.zeros((len(rows), width), np.float32)
        column[real] = np.concatenate(
            [r.columns.get(name, np.zeros(len(r.tokens), np.float32)) for r in rows]
        )
        if name == "weight" or "weight" not in names:
            mask |= column != 0
        columns[name] = torch.from_numpy(column).to(device)
    return Batch(
        torch.from_numpy(tokens).to(device),
        columns,
        torch.from_numpy(lengths).to(device),
        torch.from_numpy(owner).to(device),
        scalars,
        len(samples),
        int(lengths.sum()),
        place=torch.from_numpy(_places(owner)).to(device),
        mask=torch.from_numpy(mask).to(device),
    )


def _places(owner: np.ndarray) -> np.ndarray:
    """Which of its owner's rows each row is, from 0; rows of one owner are neighbours."""
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    return np.arange(len(owner)) - np.repeat(starts, np.diff(np.r_[starts, len(owner)]))


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
    owner = np.repeat(np.arange(len(samples)), lengths)
    return Batch(
        torch.zeros((0, 0), dtype=torch.int64, device=device),
        columns,
        torch.from_numpy(lengths).to(device),
        torch.from_numpy(owner).to(device),
        scalars,
        len(samples),
        int(lengths.sum()),
        arrays,
        torch.from_numpy(_places(owner)).to(device),
        _array_mask(columns, len(owner), device),
    )


def _array_mask(columns: Mapping[str, Tensor], num_steps: int, device: Any) -> Tensor:
    if "weight" in columns:
        return columns["weight"] != 0
    mask = torch.zeros(num_steps, dtype=torch.bool, device=device)
    for column in columns.values():
        mask |= column != 0
    return mask


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
