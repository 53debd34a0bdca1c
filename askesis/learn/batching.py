"""Samples to batches: which samples make one optimiser step, and how a step is cut in pieces.

Two cuts, and they mean different things. An *optimiser step* is a set of samples whose mean
gradient is applied at once: its composition is random and part of the method. A *micro-batch* is
a piece of a step that fits in cache or memory: it changes nothing but speed. Models that work on
the real tokens alone get samples that begin alike side by side, because they compute a common
beginning once; others get samples sorted by length, so that little of a piece is padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from askesis.errors import ConfigError
from askesis.models.packing import SHARED_AT_LEAST
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


def longest(sample: Sample) -> int:
    """The longest row a sample makes: what decides the padding of its neighbours."""
    return max((len(s.tokens) for s in sample.sequences), default=1)


def steps_of_epoch(
    sizes: np.ndarray, batch_tokens: float, order: np.ndarray
) -> Iterator[np.ndarray]:
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


def has_column(sample: Sample, name: str) -> bool:
    """Whether all rows of a sample, or the sample itself, have a column of that name."""
    if name in sample.columns or name in sample.arrays:
        return True
    return bool(sample.sequences) and all(name in r.columns for r in sample.sequences)


def is_learnt(sample: Sample) -> bool:
    """Whether anything is learnt from a sample: whether any of its tokens has a weight.

    Where there is no column "weight", whether any column is anywhere not 0, and without columns
    always.
    """
    columns = [r.columns for r in sample.sequences if r.columns]
    if not columns:
        return True
    read = ["weight"] if any("weight" in c for c in columns) else None
    return any(np.any(c[name]) for c in columns for name in (read or c) if name in c)


def prompt_of(sample: Sample) -> bytes:
    """What a sample's first sequence has in front of the first learnt token: its prompt."""
    if not sample.sequences:
        return b""
    row = sample.sequences[0]
    learnt = [np.flatnonzero(column) for column in row.columns.values()]
    first = min((int(found[0]) for found in learnt if len(found)), default=0)
    return row.tokens[:first].tobytes()


def order_of_prompts(samples: Sequence[Sample], rng: np.random.Generator) -> np.ndarray:
    """A random order of samples in which those with the same prompt are neighbours."""
    found: dict[bytes, list[int]] = {}
    for i, sample in enumerate(samples):
        found.setdefault(prompt_of(sample), []).append(i)
    groups = list(found.values())
    return np.concatenate([np.array(groups[g]) for g in rng.permutation(len(groups))])


def micro_batches(
    samples: Sequence[Sample], micro_batch_tokens: int, packs: bool = False
) -> Iterator[list[Sample]]:
    """Pieces of one optimiser step, each of at most `micro_batch_tokens` positions.

    packs: whether the model computes real tokens alone, and common beginnings once; positions are
    then such tokens, and the limit is kept to within one sample. Otherwise they are those of rows
    padded to the longest. A sample is never split; one that is larger than the limit is a piece
    of its own. The cut is a function of the step alone.
    """
    if packs and samples and all(s.sequences for s in samples):
        yield from _packed_pieces(samples, micro_batch_tokens)
        return
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


def _packed_pieces(samples: Sequence[Sample], limit: int) -> Iterator[list[Sample]]:
    """Families of samples that begin alike, families of like length together, equal pieces.

    The number of pieces is even where it is above one, so that two cores have equally much to do.
    """
    # Big-endian bytes sort as the tokens do: samples that begin alike become neighbours.
    keys = [s.sequences[0].tokens.astype(">i4").tobytes() for s in samples]
    by_start = [samples[i] for i in sorted(range(len(samples)), key=keys.__getitem__)]
    new = _new_tokens(by_start)
    families = np.flatnonzero(new[:, 1])
    lengths = np.array([longest(s) for s in by_start])
    longest_in = np.maximum.reduceat(lengths, families)
    sizes = np.add.reduceat(new[:, 0], families)
    ends = np.append(families[1:], len(by_start))
    order = np.lexsort((families, sizes / (ends - families), longest_in))
    ordered = [i for f in order for i in range(families[f], ends[f])]
    cost = new[ordered, 0].astype(float)
    num_pieces = max(1, int(-(-cost.sum() // limit)))
    if num_pieces > 1 or cost.sum() > WORTH_TWO:
        num_pieces += num_pieces % 2
    middles = (np.cumsum(cost) - cost / 2) * num_pieces / max(1.0, cost.sum())
    piece_of = np.minimum(middles.astype(int), num_pieces - 1)
    for piece in np.unique(piece_of):
        yield [by_start[ordered[i]] for i in np.flatnonzero(piece_of == piece)]


WORTH_TWO = 512  # tokens of a step below which one core is as fast as two


def _new_tokens(samples: Sequence[Sample]) -> np.ndarray:
    """Per sample, in this order: tokens to compute, and 1 where it shares nothing with the last.

    (num_samples, 2). A beginning in common with the row before is not computed again.
    """
    found = np.zeros((len(samples), 2), np.int64)
    last = np.zeros(0, np.int32)
    for i, sample in enumerate(samples):
        for j, row in enumerate(sample.sequences):
            both = min(len(last), len(row.tokens) - 1)
            differ = np.flatnonzero(last[:both] != row.tokens[:both])
            common = int(differ[0]) if len(differ) else both
            common = common if common >= SHARED_AT_LEAST else 0
            found[i, 0] += len(row.tokens) - common
            if not j and not common:
                found[i, 1] = 1
            last = row.tokens
    found[0, 1] = 1
    return found


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
