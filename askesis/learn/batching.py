"""Samples to batches: which samples make one optimiser step, and how a step is cut in pieces.

Two cuts, and they mean different things. An *optimiser step* is a set of samples whose mean
gradient is applied at once: its composition is random and part of the method. A *micro-batch* is
a piece of a step that fits in cache or memory: it changes nothing but speed. Models that work on
the real tokens alone get samples that begin alike side by side, because they compute a common
beginning once; others get samples sorted by length, so that little of a piece is padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from askesis.learn.batch import size_of
from askesis.models.packing import SHARED_AT_LEAST
from askesis.records import Sample


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
