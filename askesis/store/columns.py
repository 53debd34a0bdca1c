"""Arrow columns from ragged Python values, and back: the building blocks of `rows`.

Builders take one value per row and make one array for all of them; readers give one value per
row. Ragged numbers go through one concatenation, which is what makes writing cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

_ESCAPE = "\U0010f8ff"  # private use: marks lone surrogates, which UTF-8 cannot hold
_SHIFT = 0x100000


# ---------------------------------------------------------------- building


def strings(values: Sequence[str | None]) -> pa.Array:
    """UTF-8 text; any Python str is taken, lone surrogates are escaped and come back."""
    try:
        if any(_ESCAPE in v for v in values if v):
            raise UnicodeEncodeError("utf-8", "", 0, 1, "the escape mark itself")
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([_escaped(v) for v in values], pa.string())


def offsets(lengths: Iterable[int], count: int) -> np.ndarray:
    """int32 (count + 1,): where each row of a ragged column begins."""
    found = np.zeros(count + 1, np.int32)
    np.cumsum(np.fromiter(lengths, np.int32, count), out=found[1:])
    return found


def numbers(values: Sequence[Any], kind: Any, what: str) -> pa.ListArray:
    """Ragged numbers of one kind (a numpy scalar type); None makes a null row.

    Raises TypeError where the numbers are of another kind, ValueError where they do not fit.
    """
    rows, mask = values, None
    if any(v is None for v in values):
        rows = [() if v is None else v for v in values]
        mask = pa.array([v is None for v in values])
    where = offsets(map(len, rows), len(rows))
    flat = _concatenated(rows, kind, what) if where[-1] else np.zeros(0, kind)
    child = pa.field("item", pa.from_numpy_dtype(kind), nullable=False)
    return pa.ListArray.from_arrays(where, pa.array(flat), type=pa.list_(child), mask=mask)


def _concatenated(rows: Sequence[Any], kind: Any, what: str) -> np.ndarray:
    flat = np.concatenate([r for r in rows if len(r)])
    if flat.dtype == kind and flat.ndim == 1:
        return flat
    if flat.ndim != 1 or not np.can_cast(flat.dtype, kind, "same_kind"):
        found = f"{flat.ndim}-dimensional {flat.dtype}"
        raise TypeError(f"{what} must be one-dimensional {np.dtype(kind)}, not {found}")
    cast = flat.astype(kind)
    if np.dtype(kind).kind in "iu" and not np.array_equal(cast, flat):
        raise ValueError(f"{what} holds numbers that do not fit into {np.dtype(kind)}")
    return cast


def texts(values: Sequence[Sequence[str]]) -> pa.ListArray:
    """Ragged strings."""
    where = offsets(map(len, values), len(values))
    child = pa.field("item", pa.string(), nullable=False)
    flat = strings(list(chain.from_iterable(values)))
    return pa.ListArray.from_arrays(where, flat, type=pa.list_(child))


def named_floats(values: Sequence[Mapping[str, float]]) -> pa.MapArray:
    """Mappings from names to float64."""
    where = offsets(map(len, values), len(values))
    full = [v for v in values if v]
    keys = strings([k for v in full for k in v])
    items = pa.array([float(x) for v in full for x in v.values()], pa.float64())
    return pa.MapArray.from_arrays(where, keys, items, type=NAMED_FLOATS)


NAMED_FLOATS = pa.map_(pa.string(), pa.field("value", pa.float64(), nullable=False))


# ---------------------------------------------------------------- reading


def read_strings(array: pa.Array) -> list[Any]:
    """What `strings` was given."""
    values = array.to_pylist()
    if any(_ESCAPE in v for v in values if v):
        return [_unescaped(v) for v in values]
    return values


def spans(array: pa.Array) -> list[tuple[int, int]]:
    """(first, one past the last) of every row of a list or map column in its flat values."""
    where = array.offsets.to_numpy().tolist()
    return list(pairwise(where))


def read_numbers(array: pa.ListArray) -> list[Any]:
    """A fresh array per row, None where null."""
    flat = array.values.to_numpy(zero_copy_only=False)
    if not array.null_count:
        return [flat[a:b].copy() for a, b in spans(array)]
    known = array.is_valid().to_pylist()
    rows = zip(spans(array), known, strict=True)
    return [flat[a:b].copy() if ok else None for (a, b), ok in rows]


def read_tuples(array: pa.ListArray) -> list[tuple[Any, ...]]:
    """Ragged numbers as tuples of Python numbers."""
    flat = array.values.to_pylist()
    return [tuple(flat[a:b]) for a, b in spans(array)]


def read_texts(array: pa.ListArray) -> list[tuple[str, ...]]:
    """Ragged strings as tuples."""
    flat = read_strings(array.values)
    return [tuple(flat[a:b]) for a, b in spans(array)]


def read_named_floats(array: pa.MapArray) -> list[dict[str, float]]:
    """Mappings from names to floats."""
    keys, items = read_strings(array.keys), array.items.to_pylist()
    return [dict(zip(keys[a:b], items[a:b], strict=True)) for a, b in spans(array)]


# ---------------------------------------------------------------- text that UTF-8 cannot hold


def _escaped(value: str | None) -> str | None:
    """Every lone surrogate, and the mark itself, as the mark and a private character."""
    if not value:
        return value
    codes = _codes(value)
    odd = ((codes >= 0xD800) & (codes <= 0xDFFF)) | (codes == ord(_ESCAPE))
    out = np.repeat(codes, 1 + odd)
    first = np.flatnonzero(odd) + np.arange(int(odd.sum()))
    second = codes[odd]
    out[first] = ord(_ESCAPE)
    out[first + 1] = np.where(second == ord(_ESCAPE), _SHIFT, second + _SHIFT)
    return out.tobytes().decode("utf-32-le")


def _unescaped(value: str | None) -> str | None:
    if not value or _ESCAPE not in value:
        return value
    codes = _codes(value)
    marks = codes == ord(_ESCAPE)
    marked = np.concatenate([[False], marks[:-1]])[~marks]
    out = codes[~marks]
    meant = np.where(out == _SHIFT, ord(_ESCAPE), out - _SHIFT)
    out = np.where(marked, meant, out).astype("<u4")
    return out.tobytes().decode("utf-32-le", "surrogatepass")


def _codes(value: str) -> np.ndarray:
    """Code points, uint32 (num_characters,)."""
    return np.frombuffer(value.encode("utf-32-le", "surrogatepass"), "<u4")
