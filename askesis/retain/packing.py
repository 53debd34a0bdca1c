"""Samples as plain arrays, for states: the same samples come back, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Any

import numpy as np

from askesis.records import Sample, Sequence


def num_tokens(sample: Sample) -> int:
    """Tokens of a token sample, steps of an array sample."""
    return sample.num_tokens or max((len(a) for a in sample.arrays.values()), default=0)


def pack(samples: Many[Sample]) -> dict[str, Any]:
    """Samples as flat arrays: {"order", "kinds": [one entry per kind of sample]}.

    Samples with the same names everywhere are of one kind and share arrays; "order" is the kind
    of each sample, in order.
    """
    kinds: dict[tuple[Any, ...], list[Sample]] = {}
    numbers: dict[tuple[Any, ...], int] = {}
    order = []
    for sample in samples:
        # Only sequences with different columns (the sides of a pair) are told apart by place.
        columns = list(dict.fromkeys(tuple(s.columns) for s in sample.sequences))
        if len(columns) > 1:
            columns = [tuple(s.columns) for s in sample.sequences]
        arrays = tuple((n, a.dtype.str, a.shape[1:]) for n, a in sample.arrays.items())
        kind = (tuple(sample.columns), tuple(columns), arrays)
        order.append(numbers.setdefault(kind, len(numbers)))
        kinds.setdefault(kind, []).append(sample)
    packed = [_pack_kind(kind, found) for kind, found in kinds.items()]
    return {"order": np.array(order, np.int32), "kinds": packed}


def _pack_kind(kind: tuple[Any, ...], samples: list[Sample]) -> dict[str, Any]:
    scalars, columns, arrays = kind
    rows = [r for s in samples for r in s.sequences]
    names = list(dict.fromkeys(name for group in columns for name in group))
    return {
        "sources": [list(s.sources) for s in samples],
        "sequences": np.array([len(s.sequences) for s in samples], np.int32),
        "lengths": np.array([len(r.tokens) for r in rows], np.int32),
        "tokens": _flat([r.tokens for r in rows], np.int32),
        "names": [list(group) for group in columns],
        "columns": {n: _flat([r.columns[n] for r in rows if n in r.columns], np.float32)
                    for n in names},
        "scalars": {n: np.array([s.columns[n] for s in samples], np.float64) for n in scalars},
        "steps": {n: np.array([len(s.arrays[n]) for s in samples], np.int32)
                  for n, _, _ in arrays},
        "arrays": {n: np.concatenate([np.asarray(s.arrays[n]) for s in samples])
                   for n, _, _ in arrays},
    }  # fmt: skip


def unpack(packed: dict[str, Any], model: str) -> list[Sample]:
    """What `pack` wrote, addressed to `model`."""
    kinds = [iter(_unpack_kind(kind, model)) for kind in packed["kinds"]]
    return [next(kinds[int(i)]) for i in packed["order"]]


def _unpack_kind(kind: dict[str, Any], model: str) -> list[Sample]:
    tokens = _Reader({"tokens": kind["tokens"]})
    columns = _Reader(kind["columns"])
    arrays = _Reader(kind["arrays"])
    lengths = iter(kind["lengths"])
    samples = []
    for i, num in enumerate(kind["sequences"]):
        rows = []
        for place in range(int(num)):
            length = int(next(lengths))
            names = kind["names"][place if len(kind["names"]) > 1 else 0]
            read = {name: columns.take(name, length) for name in names}
            rows.append(Sequence(tokens.take("tokens", length), read))
        scalars = {name: float(values[i]) for name, values in kind["scalars"].items()}
        blocks = {name: arrays.take(name, int(steps[i])) for name, steps in kind["steps"].items()}
        samples.append(Sample(model, tuple(rows), scalars, tuple(kind["sources"][i]), blocks))
    return samples


class _Reader:
    """Takes flat arrays apart from the front."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays, self.at = arrays, dict.fromkeys(arrays, 0)

    def take(self, name: str, num: int) -> np.ndarray:
        first = self.at[name]
        self.at[name] = first + num
        return self.arrays[name][first : first + num]


def _flat(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)
