"""Records as flat Arrow rows, and back again, exactly.

One schema per table. What queries ask for (round, task, stop, author, value, ...) are plain
columns; token ids and log-probabilities are lists of int32 and float32; only what has no fixed
shape (world states, task data, array blocks) is a `codec` value. An attempt names its task by
the digest of the task's content, and the task is a row of its own.

Exact means: for records whose arrays have the dtypes that `askesis.records` names. Wider
numbers are stored in those dtypes, and what does not fit is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from askesis.records import (
    NO_LOGP,
    NO_TOKENS,
    NOTHING,
    About,
    Attempt,
    Purpose,
    Sample,
    Start,
    StopReason,
    Task,
    TaskRole,
    Turn,
    Verdict,
    VerdictKind,
)
from askesis.records import Sequence as TokenSequence
from askesis.store import codec, tree_rows
from askesis.store import columns as c

_TEXT, _FLOAT = pa.string(), pa.float64()


def _must(name: str, kind: Any) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _list(kind: Any) -> pa.DataType:
    return pa.list_(_must("item", kind))


TURN = pa.struct(
    [
        _must("role", _TEXT),
        _must("text", _TEXT),
        _must("speaker", _TEXT),
        _must("context", _list(pa.int32())),
        _must("tokens", _list(pa.int32())),
        pa.field("origin", _list(pa.uint8())),
        _must("logp_sampling", _list(pa.float32())),
        _must("logp_model", _list(pa.float32())),
        _must("temperature", _FLOAT),
        _must("stop", _TEXT),
        _must("rewards", c.NAMED_FLOATS),
        _must("done", pa.bool_()),
        _must("truncated", pa.bool_()),
        _must("legal", pa.bool_()),
        pa.field("block", pa.binary()),
    ]
)
_COLUMN = pa.struct([_must("name", _TEXT), _must("values", _list(pa.float32()))])
_SEQUENCE = pa.struct([_must("tokens", _list(pa.int32())), _must("columns", _list(_COLUMN))])
_SPAN = pa.struct([_must(n, pa.int64()) for n in ("turn", "first", "end")])
_WHEN = [_must("round", pa.int32()), _must("phase", _TEXT)]

ATTEMPTS = pa.schema(
    [
        *_WHEN,
        _must("id", _TEXT),
        _must("task", _TEXT),
        _must("task_digest", pa.binary(16)),
        _must("tag", _TEXT),
        pa.field("state", _TEXT),
        pa.field("privileged", _TEXT),
        _must("copy", pa.int32()),
        _must("stop", _TEXT),
        _must("author", _TEXT),
        _must("purpose", _TEXT),
        _must("parents", _list(_TEXT)),
        _must("rewards", c.NAMED_FLOATS),
        pa.field("error", _TEXT),
        _must("num_turns", pa.int32()),
        _must("num_tokens", pa.int64()),
        _must("turns", _list(TURN)),
        _must("prefix", _list(TURN)),
    ]
)
TASKS = pa.schema(
    [
        *_WHEN,
        _must("digest", pa.binary(16)),
        _must("drawn", pa.bool_()),  # False: no stage drew it, an attempt brought it along
        *[_must(n, _TEXT) for n in ("id", "family", "prompt")],
        pa.field("answer", _TEXT),
        _must("difficulty", _FLOAT),
        _must("role", _TEXT),
        _must("origin", _TEXT),
        _must("parents", _list(_TEXT)),
        _must("data", _TEXT),
    ]
)
VERDICTS = pa.schema(
    [
        *_WHEN,
        *[_must(n, _TEXT) for n in ("judge", "attempt", "role", "other")],
        _must("node", pa.int64()),
        _must("spans", _list(_SPAN)),
        _must("kind", _TEXT),
        pa.field("value", _FLOAT),
        _must("vector", _list(_FLOAT)),
        _must("draws", _list(_FLOAT)),
        _must("rationale", _TEXT),
        _must("cost", pa.int64()),
    ]
)
SAMPLES = pa.schema(
    [
        *_WHEN,
        _must("model", _TEXT),
        _must("num_sequences", pa.int32()),
        _must("num_tokens", pa.int64()),
        _must("sequences", _list(_SEQUENCE)),
        _must("columns", c.NAMED_FLOATS),
        _must("sources", _list(_TEXT)),
        pa.field("arrays", pa.binary()),
    ]
)
SCHEMAS = {
    "attempts": ATTEMPTS,
    "verdicts": VERDICTS,
    "samples": SAMPLES,
    "tasks": TASKS,
    "audits": VERDICTS,  # true verdicts of a judge audit; no stage reads them
    "trees": pa.schema([*_WHEN, *tree_rows.FIELDS]),
}


class StoredTask(NamedTuple):
    """A task with the digest of its content, as attempts refer to it."""

    task: Task
    digest: bytes  # 16 bytes
    data: str
    drawn: bool


def stored_task(task: Task, drawn: bool = True) -> StoredTask:
    """Give a task its digest. Raises TypeError where `task.data` is no plain value."""
    data = codec.to_text(dict(task.data)) if task.data else "{}"
    head = (task.id, task.family, task.prompt, task.answer, float(task.difficulty))
    text = json.dumps((*head, task.role._value_, task.origin, task.parents, data))
    return StoredTask(task, hashlib.blake2b(text.encode(), digest_size=16).digest(), data, drawn)


# ---------------------------------------------------------------- comparing


def plain(record: Any) -> Any:
    """A record as a nested plain value (dicts, tuples, arrays), for comparing and digesting."""
    if is_dataclass(record):
        return {f.name: plain(getattr(record, f.name)) for f in fields(record)}
    if isinstance(record, Enum):
        return record.value
    if isinstance(record, Mapping):
        return {k: plain(v) for k, v in record.items()}
    if isinstance(record, tuple):
        return tuple(plain(v) for v in record)
    return record


def same(a: Any, b: Any) -> bool:
    """Whether two records hold the same values, bit for bit, NaN included."""
    return codec.dumps(plain(a)) == codec.dumps(plain(b))


# ---------------------------------------------------------------- encoding


def encode(table: str, items: Sequence[Any], rounds: np.ndarray, phases: list[str]) -> pa.Table:
    """Rows of one table. `items` are records (attempts: (attempt, task digest, state as codec
    text or None); tasks: `StoredTask`); `rounds` int32 and `phases` have one entry per item.
    """
    made = [pa.array(rounds, pa.int32()), pa.array(phases, _TEXT), *_ENCODERS[table](items)]
    return pa.Table.from_arrays(made, schema=SCHEMAS[table])


def _attempts(items: Sequence[tuple[Attempt, bytes, str | None]]) -> list[pa.Array]:
    attempts = [a for a, _, _ in items]
    starts = [a.start for a in attempts]
    return [
        c.strings([a.id for a in attempts]),
        c.strings([s.task.id for s in starts]),
        pa.array([d for _, d, _ in items], pa.binary(16)),
        c.strings([s.tag for s in starts]),
        pa.array([state for _, _, state in items], _TEXT),
        c.strings([s.privileged for s in starts]),
        pa.array([s.copy for s in starts], pa.int32()),
        pa.array([a.stop._value_ for a in attempts], _TEXT),
        c.strings([a.author for a in attempts]),
        pa.array([a.purpose._value_ for a in attempts], _TEXT),
        c.texts([a.parents for a in attempts]),
        c.named_floats([a.rewards for a in attempts]),
        c.strings([a.error for a in attempts]),
        pa.array([len(a.turns) for a in attempts], pa.int32()),
        pa.array([a.num_tokens for a in attempts], pa.int64()),
        _turns([a.turns for a in attempts]),
        _turns([s.prefix for s in starts]),
    ]


def _turns(rows: Sequence[tuple[Turn, ...]]) -> pa.ListArray:
    flat = [t for turns in rows for t in turns]
    made = [
        c.strings([t.role for t in flat]),
        c.strings([t.text for t in flat]),
        c.strings([t.speaker for t in flat]),
        c.numbers([t.context for t in flat], np.int32, "Turn.context"),
        c.numbers([t.tokens for t in flat], np.int32, "Turn.tokens"),
        c.numbers([t.origin for t in flat], np.uint8, "Turn.origin"),
        c.numbers([t.logp_sampling for t in flat], np.float32, "Turn.logp_sampling"),
        c.numbers([t.logp_model for t in flat], np.float32, "Turn.logp_model"),
        pa.array([t.temperature for t in flat], _FLOAT),
        pa.array([t.stop._value_ for t in flat], _TEXT),
        c.named_floats([t.rewards for t in flat]),
        pa.array([t.done for t in flat], pa.bool_()),
        pa.array([t.truncated for t in flat], pa.bool_()),
        pa.array([t.legal for t in flat], pa.bool_()),
        pa.array([codec.dumps(dict(t.block)) if t.block else None for t in flat], pa.binary()),
    ]
    return _nested(rows, pa.StructArray.from_arrays(made, fields=list(TURN)))


def _nested(rows: Sequence[Any], flat: pa.Array) -> pa.ListArray:
    kind = pa.list_(_must("item", flat.type))
    return pa.ListArray.from_arrays(c.offsets(map(len, rows), len(rows)), flat, type=kind)


def _tasks(items: Sequence[StoredTask]) -> list[pa.Array]:
    tasks = [s.task for s in items]
    return [
        pa.array([s.digest for s in items], pa.binary(16)),
        pa.array([s.drawn for s in items], pa.bool_()),
        c.strings([t.id for t in tasks]),
        c.strings([t.family for t in tasks]),
        c.strings([t.prompt for t in tasks]),
        c.strings([t.answer for t in tasks]),
        pa.array([t.difficulty for t in tasks], _FLOAT),
        pa.array([t.role._value_ for t in tasks], _TEXT),
        c.strings([t.origin for t in tasks]),
        c.texts([t.parents for t in tasks]),
        pa.array([s.data for s in items], _TEXT),
    ]


def _verdicts(items: Sequence[Verdict]) -> list[pa.Array]:
    abouts = [v.about for v in items]
    flat = np.array([s for a in abouts for s in a.spans], np.int64).reshape(-1, 3)
    spans = pa.StructArray.from_arrays([pa.array(col) for col in flat.T], fields=list(_SPAN))
    return [
        c.strings([v.judge for v in items]),
        c.strings([a.attempt for a in abouts]),
        c.strings([a.role for a in abouts]),
        c.strings([a.other for a in abouts]),
        pa.array([a.node for a in abouts], pa.int64()),
        _nested([a.spans for a in abouts], spans),
        pa.array([v.kind._value_ for v in items], _TEXT),
        pa.array([None if v.value is None else float(v.value) for v in items], _FLOAT),
        c.numbers([v.vector for v in items], np.float64, "Verdict.vector"),
        c.numbers([v.draws for v in items], np.float64, "Verdict.draws"),
        c.strings([v.rationale for v in items]),
        pa.array([int(v.cost) for v in items], pa.int64()),
    ]


def _samples(items: Sequence[Sample]) -> list[pa.Array]:
    sequences = [q for s in items for q in s.sequences]
    named = [pair for q in sequences for pair in q.columns.items()]
    made = [
        c.strings([name for name, _ in named]),
        c.numbers([values for _, values in named], np.float32, "a column of Sequence.columns"),
    ]
    columns = pa.StructArray.from_arrays(made, fields=list(_COLUMN))
    both = [
        c.numbers([q.tokens for q in sequences], np.int32, "Sequence.tokens"),
        _nested([q.columns for q in sequences], columns),
    ]
    flat = pa.StructArray.from_arrays(both, fields=list(_SEQUENCE))
    return [
        c.strings([s.model for s in items]),
        pa.array([len(s.sequences) for s in items], pa.int32()),
        pa.array([s.num_tokens for s in items], pa.int64()),
        _nested([s.sequences for s in items], flat),
        c.named_floats([s.columns for s in items]),
        c.texts([s.sources for s in items]),
        pa.array([codec.dumps(dict(s.arrays)) if s.arrays else None for s in items], pa.binary()),
    ]


_ENCODERS: dict[str, Any] = {
    "attempts": _attempts,
    "tasks": _tasks,
    "verdicts": _verdicts,
    "audits": _verdicts,
    "trees": tree_rows.encode,
    "samples": _samples,
}


# ---------------------------------------------------------------- decoding


def decode(table: str, batch: Any, tasks: Mapping[bytes, Task] | None = None) -> Iterator[Any]:
    """Records from rows (a record batch with all columns of its table), in order.

    Attempts need `tasks`, by digest (see `task_digests`).
    """
    col = {name: batch.column(name) for name in batch.schema.names}
    if table == "attempts":
        assert tasks is not None, "attempts are read with their tasks"
        return _read_attempts(col, tasks)
    return _DECODERS[table](col)


def task_digests(batch: Any) -> list[bytes]:
    """The digests of a batch of task rows."""
    return batch.column("digest").to_pylist()


def _read_attempts(col: dict[str, Any], tasks: Mapping[bytes, Task]) -> Iterator[Attempt]:
    rows = zip(
        c.read_strings(col["id"]),
        col["task_digest"].to_pylist(),
        c.read_strings(col["tag"]),
        col["state"].to_pylist(),
        c.read_strings(col["privileged"]),
        col["copy"].to_pylist(),
        col["stop"].to_pylist(),
        c.read_strings(col["author"]),
        col["purpose"].to_pylist(),
        c.read_texts(col["parents"]),
        c.read_named_floats(col["rewards"]),
        c.read_strings(col["error"]),
        _read_turns(col["turns"]),
        _read_turns(col["prefix"]),
        strict=True,
    )
    for name, digest, tag, state, hint, copy, stop, author, why, parents, won, error, *said in rows:
        turns, prefix = said
        state = None if state is None else codec.from_text(state)
        start = Start(tasks[digest], prefix, state, tag, hint, copy)
        reason, purpose = StopReason(stop), Purpose(why)
        yield Attempt(name, start, turns, reason, author, purpose, parents, won or NOTHING, error)


def _read_turns(array: pa.ListArray) -> list[tuple[Turn, ...]]:
    names = [f.name for f in TURN]
    col = dict(zip(names, array.values.flatten(), strict=True))
    logps = [c.read_numbers(col[n]) for n in ("logp_sampling", "logp_model")]
    rows = zip(
        c.read_strings(col["role"]),
        c.read_strings(col["text"]),
        c.read_strings(col["speaker"]),
        [a if len(a) else NO_TOKENS for a in c.read_numbers(col["context"])],
        [a if len(a) else NO_TOKENS for a in c.read_numbers(col["tokens"])],
        c.read_numbers(col["origin"]),
        *[[a if len(a) else NO_LOGP for a in some] for some in logps],
        col["temperature"].to_pylist(),
        [StopReason(s) for s in col["stop"].to_pylist()],
        [r or NOTHING for r in c.read_named_floats(col["rewards"])],
        *[col[n].to_pylist() for n in ("done", "truncated", "legal")],
        [NOTHING if b is None else codec.loads(b) for b in col["block"].to_pylist()],
        strict=True,
    )
    flat = [Turn(*row) for row in rows]
    return [tuple(flat[a:b]) for a, b in c.spans(array)]


def _read_tasks(col: dict[str, Any]) -> Iterator[Task]:
    rows = zip(
        *[c.read_strings(col[n]) for n in ("id", "family", "prompt", "answer")],
        col["difficulty"].to_pylist(),
        [TaskRole(r) for r in col["role"].to_pylist()],
        c.read_strings(col["origin"]),
        c.read_texts(col["parents"]),
        [codec.from_text(d) or NOTHING for d in col["data"].to_pylist()],
        strict=True,
    )
    return (Task(*row) for row in rows)


def _read_verdicts(col: dict[str, Any]) -> Iterator[Verdict]:
    turn, first, end = (a.to_pylist() for a in col["spans"].values.flatten())
    flat = list(zip(turn, first, end, strict=True))
    spans = [tuple(flat[a:b]) for a, b in c.spans(col["spans"])]
    abouts = map(
        About,
        *[c.read_strings(col[n]) for n in ("attempt", "role", "other")],
        col["node"].to_pylist(),
        spans,
    )
    rows = zip(
        c.read_strings(col["judge"]),
        abouts,
        [VerdictKind(k) for k in col["kind"].to_pylist()],
        col["value"].to_pylist(),
        c.read_tuples(col["vector"]),
        c.read_tuples(col["draws"]),
        c.read_strings(col["rationale"]),
        col["cost"].to_pylist(),
        strict=True,
    )
    return (Verdict(*row) for row in rows)


def _read_samples(col: dict[str, Any]) -> Iterator[Sample]:
    tokens, nested = col["sequences"].values.flatten()
    names, values = nested.values.flatten()
    pairs = list(zip(c.read_strings(names), c.read_numbers(values), strict=True))
    columns = [dict(pairs[a:b]) for a, b in c.spans(nested)]
    flat = [TokenSequence(t, m) for t, m in zip(c.read_numbers(tokens), columns, strict=True)]
    rows = zip(
        c.read_strings(col["model"]),
        [tuple(flat[a:b]) for a, b in c.spans(col["sequences"])],
        [m or NOTHING for m in c.read_named_floats(col["columns"])],
        c.read_texts(col["sources"]),
        [NOTHING if b is None else codec.loads(b) for b in col["arrays"].to_pylist()],
        strict=True,
    )
    return (Sample(*row) for row in rows)


_DECODERS: dict[str, Any] = {
    "tasks": _read_tasks,
    "verdicts": _read_verdicts,
    "audits": _read_verdicts,
    "trees": tree_rows.decode,
    "samples": _read_samples,
}
