"""Columns that the learner itself computes before a round's first update.

logp_old        per token  of the weights that learning begins from
value_old       per token  what their value head said before the token
logp_reference  per token  of another snapshot, or of another model of the same vocabulary

Each is 0 where nothing is learnt. A column that the selector made is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from askesis.learn.batch import collate
from askesis.learn.batching import has_column
from askesis.learn.references import speaking
from askesis.learn.trainer import OWN, Trainer, before_each_token
from askesis.records import Sample

BY_LEARNER = frozenset(OWN) | {"logp_reference"}  # columns that no selector need make


def lacking(trainer: Trainer, samples: Sequence[Sample]) -> frozenset[str]:
    """Which of `OWN` the objectives need and some sample has not."""
    wanted = trainer.needs & frozenset(OWN)
    return frozenset(n for n in wanted if not all(has_column(s, n) for s in samples))


def with_own(
    trainer: Trainer, samples: Sequence[Sample], chosen: Collection[int] | None = None
) -> list[Sample]:
    """Samples with the columns of `OWN` that are needed, from the present weights.

    chosen: places of the samples to do it for (None: all).
    """
    found = list(samples)
    places = range(len(found)) if chosen is None else sorted(chosen)
    for name in sorted(lacking(trainer, samples)):
        made = _with(trainer, trainer.model, [found[i] for i in places], name, OWN[name])
        for i, sample in zip(places, made, strict=True):
            found[i] = sample
    return found


def with_reference(
    trainer: Trainer, ctx: Any, reference: str, samples: Sequence[Sample]
) -> list[Sample]:
    """Samples with the column logp_reference, where the objectives need it and it is missing.

    reference: a kept snapshot of the model ("base", "previous", "phase_start", an id), or the
    name of another model of the run. Raises ConfigError where there is none of that name, or
    where its vocabulary is another.
    """
    name = "logp_reference"
    if name not in trainer.needs or all(has_column(s, name) for s in samples):
        return list(samples)
    with speaking(ctx, trainer.model, reference) as model:
        return _with(trainer, model, samples, name, "logp")


def _with(
    trainer: Trainer, model: Any, samples: Sequence[Sample], name: str, output: str
) -> list[Sample]:
    missing = [s for s in samples if not has_column(s, name)]

    @torch.no_grad()
    def one(piece: list[Sample]) -> list[np.ndarray]:
        batch = collate(piece, trainer.pad_token, trainer.device)
        with trainer.autocast():
            out = model.outputs(batch, frozenset({output}))
        values = getattr(out, output)
        if output == "value":
            values = before_each_token(values)
        values = values.float().cpu().numpy()
        values = np.where(batch.mask.cpu().numpy(), values, 0.0).astype(np.float32)
        if values.ndim == 1:  # array samples: steps of all samples one after another
            return np.split(values, np.cumsum(batch.lengths.cpu().numpy())[:-1])
        return [v[:n] for v, n in zip(values, batch.lengths.tolist(), strict=True)]

    pieces = trainer.pieces(missing) if missing else []
    made: dict[int, Sample] = {}
    for piece, rows in zip(pieces, trainer.each(one, pieces), strict=True):
        queue = iter(rows)
        for sample in piece:
            made[id(sample)] = _added(sample, name, queue)
    return [made.get(id(s), s) for s in samples]


def _added(sample: Sample, name: str, rows: Iterator[np.ndarray]) -> Sample:
    if not sample.sequences:
        return replace(sample, arrays={**sample.arrays, name: next(rows)})
    sequences = [replace(r, columns=_plus(r.columns, name, next(rows))) for r in sample.sequences]
    return replace(sample, sequences=tuple(sequences))


def _plus(columns: Mapping[str, np.ndarray], name: str, row: np.ndarray) -> dict[str, np.ndarray]:
    return {**columns, name: row}
