"""Plain values, written down exactly.

A plain value is None, a bool, int, float, str, list, tuple, dict with str keys, a numpy array
or a numpy scalar, nested as one likes. What comes back equals what went in to the bit: 1 and
1.0 stay apart, as do -0.0 and 0.0, lists and tuples, dtypes; NaN and infinities survive.
Anything else is a programmer error: `TypeError` with the path to it.

Two forms: `to_text` is valid JSON that people and SQL can read (arrays as base64); `dumps` is
bytes with arrays as they are in memory. In both, what JSON lacks is `{"~": [kind, ...]}`.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import numpy as np

_MAGIC = b"askesis1"
_TAG = "~"
_LONG_INT = 1024  # bits; Python refuses to read far longer decimal numbers
_KINDS = "biufcSUmM"  # dtypes whose memory means the same everywhere


def dumps(value: Any) -> bytes:
    """A plain value as bytes. Raises TypeError, with its path, for anything else."""
    blobs = bytearray()
    text = _text(value, blobs).encode("ascii")
    return b"".join([_MAGIC, struct.pack("<I", len(text)), text, blobs])


def loads(data: bytes) -> Any:
    """What `dumps` was given. Arrays are fresh and writable. Raises ValueError if damaged."""
    start = len(_MAGIC) + 4
    if len(data) < start or data[: len(_MAGIC)] != _MAGIC:
        raise ValueError("these bytes were not written by askesis.store.codec")
    (length,) = struct.unpack_from("<I", data, len(_MAGIC))
    tree = json.loads(data[start : start + length])
    return _revived(tree, memoryview(data)[start + length :])


def to_text(value: Any) -> str:
    """A plain value as one line of JSON. Raises TypeError, with its path, for anything else."""
    return _text(value, None)


def from_text(text: str) -> Any:
    """What `to_text` was given."""
    return _revived(json.loads(text), memoryview(b""))


def _text(value: Any, blobs: bytearray | None) -> str:
    try:
        return json.dumps(_plain(value, blobs, ""), allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise TypeError("a value nested too deeply cannot be stored") from None


def _plain(value: Any, blobs: bytearray | None, path: str) -> Any:
    """The value in JSON's own types; array bytes go to `blobs`, or inline where there are none."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        short = value.bit_length() < _LONG_INT
        return value if short else {_TAG: ["int", hex(value)]}
    if kind is str:
        return value if _is_text(value) else {_TAG: ["str", _units(value)]}
    if kind is float:
        return value if math.isfinite(value) else {_TAG: ["float", _bits(value)]}
    if kind is list:
        return [_plain(v, blobs, f"{path}[{i}]") for i, v in enumerate(value)]
    if kind is tuple:
        return {_TAG: ["tuple", [_plain(v, blobs, f"{path}[{i}]") for i, v in enumerate(value)]]}
    if kind is dict:
        return _plain_dict(value, blobs, path)
    if (kind is np.ndarray or isinstance(value, np.generic)) and _storable(value.dtype):
        form = "array" if kind is np.ndarray else "scalar"
        data = np.ascontiguousarray(value).tobytes()
        head = [form, value.dtype.str, list(value.shape)]
        if blobs is None:
            return {_TAG: [*head, base64.b64encode(data).decode("ascii")]}
        offset = len(blobs)
        blobs += data
        return {_TAG: [*head, offset]}
    raise TypeError(
        f"{_at(path)} is a {kind.__module__}.{kind.__qualname__}, which cannot be stored: "
        "use None, bool, int, float, str, list, tuple, dict or numpy arrays"
    )


def _plain_dict(value: dict[Any, Any], blobs: bytearray | None, path: str) -> Any:
    items = {}
    simple = _TAG not in value
    for k, v in value.items():
        if type(k) is not str:
            raise TypeError(f"{_at(path)} has the key {k!r}: keys of stored values are str")
        simple = simple and _is_text(k)
        items[k] = _plain(v, blobs, f"{path}.{k}")
    if simple:
        return items
    return {_TAG: ["dict", [[_plain(k, blobs, path), v] for k, v in items.items()]]}


def _storable(dtype: np.dtype) -> bool:
    return dtype.kind in _KINDS and not dtype.hasobject


def _is_text(value: str) -> bool:
    """Whether a str is well-formed: lone surrogates do not survive JSON."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _units(value: str) -> str:
    return value.encode("utf-32-be", "surrogatepass").hex()


def _at(path: str) -> str:
    return f"the value at {path.lstrip('.')}" if path else "the value"


def _bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def _revived(tree: Any, blobs: memoryview) -> Any:
    if isinstance(tree, list):
        return [_revived(v, blobs) for v in tree]
    if not isinstance(tree, dict):
        return tree
    if _TAG not in tree:
        return {k: _revived(v, blobs) for k, v in tree.items()}
    kind, *rest = tree[_TAG]
    if kind == "float":
        return struct.unpack(">d", bytes.fromhex(rest[0]))[0]
    if kind == "int":
        return int(rest[0], 16)
    if kind == "str":
        return bytes.fromhex(rest[0]).decode("utf-32-be", "surrogatepass")
    if kind == "tuple":
        return tuple(_revived(v, blobs) for v in rest[0])
    if kind == "dict":
        return {_revived(k, blobs): _revived(v, blobs) for k, v in rest[0]}
    dtype, shape, where = np.dtype(rest[0]), tuple(rest[1]), rest[2]
    count = math.prod(shape)
    if isinstance(where, str):
        data: Any = base64.b64decode(where)
    else:
        data = blobs[where : where + count * dtype.itemsize]
    if len(data) != count * dtype.itemsize:
        raise ValueError("a stored array is shorter than its shape")
    if len(data):
        array = np.frombuffer(data, dtype, count).reshape(shape).copy()
    else:
        array = np.zeros(shape, dtype)
    return array if kind == "array" else array[()]
