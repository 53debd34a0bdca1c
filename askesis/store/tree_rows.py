"""Trees as flat Arrow rows: their shape, their numbers and what was said, without tokens.

What a tree's ends said is stored with their attempts, token by token; of an edge the words are
kept. So a tree that was read back can be looked at and queried, and not learnt from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from askesis.records import Start, Task, Turn
from askesis.store import columns as c
from askesis.trees import Node, Tree

_TEXT, _FLOAT = pa.string(), pa.float64()


def _must(name: str, kind: Any) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _list(kind: Any) -> pa.DataType:
    return pa.list_(_must("item", kind))


_SAID = pa.struct([_must("role", _TEXT), _must("text", _TEXT)])
NODE = pa.struct(
    [
        _must("parent", pa.int32()),
        _must("depth", pa.int32()),
        _must("visits", pa.int64()),
        _must("value", _FLOAT),
        _must("prior", _FLOAT),
        _must("terminal", pa.bool_()),
        _must("labels", c.NAMED_FLOATS),
        _must("edge", _list(_SAID)),
    ]
)
FIELDS = [
    *[_must(n, _TEXT) for n in ("id", "task", "family", "prompt", "tag")],
    _must("copy", pa.int32()),
    _must("ended", _TEXT),
    _must("spent", c.NAMED_FLOATS),
    _must("num_nodes", pa.int32()),
    _must("nodes", _list(NODE)),
]


def encode(trees: Sequence[Tree]) -> list[pa.Array]:
    """Columns in the order of `FIELDS`."""
    tasks = [t.start.task for t in trees]
    nodes = [n for t in trees for n in t.nodes]
    turns = [e for n in nodes for e in n.edge]
    made = [c.strings([e.role for e in turns]), c.strings([e.text for e in turns])]
    said = pa.StructArray.from_arrays(made, fields=list(_SAID))
    both = [
        pa.array([n.parent for n in nodes], pa.int32()),
        pa.array([n.depth for n in nodes], pa.int32()),
        pa.array([n.visits for n in nodes], pa.int64()),
        pa.array([float(n.value) for n in nodes], _FLOAT),
        pa.array([float(n.prior) for n in nodes], _FLOAT),
        pa.array([n.terminal for n in nodes], pa.bool_()),
        c.named_floats([n.labels for n in nodes]),
        _nested([n.edge for n in nodes], said),
    ]
    flat = pa.StructArray.from_arrays(both, fields=list(NODE))
    return [
        c.strings([t.id for t in trees]),
        c.strings([t.id for t in tasks]),
        c.strings([t.family for t in tasks]),
        c.strings([t.prompt for t in tasks]),
        c.strings([t.start.tag for t in trees]),
        pa.array([t.start.copy for t in trees], pa.int32()),
        c.strings([t.ended for t in trees]),
        c.named_floats([t.spent for t in trees]),
        pa.array([len(t.nodes) for t in trees], pa.int32()),
        _nested([t.nodes for t in trees], flat),
    ]


def decode(col: dict[str, Any]) -> Iterator[Tree]:
    """Trees whose edges have words and no tokens, and whose task has no data."""
    nested = col["nodes"]
    field = dict(zip([f.name for f in NODE], nested.values.flatten(), strict=True))
    roles, texts = (c.read_strings(a) for a in field["edge"].values.flatten())
    turns = [Turn(role, text) for role, text in zip(roles, texts, strict=True)]
    edges = [tuple(turns[a:b]) for a, b in c.spans(field["edge"])]
    numbers = [field[n].to_pylist() for n in ("parent", "depth", "visits", "value", "prior")]
    rows = list(
        zip(
            *numbers,
            field["terminal"].to_pylist(),
            c.read_named_floats(field["labels"]),
            edges,
            strict=True,
        )
    )
    heads = zip(
        *[c.read_strings(col[n]) for n in ("id", "task", "family", "prompt", "tag")],
        col["copy"].to_pylist(),
        c.read_strings(col["ended"]),
        c.read_named_floats(col["spent"]),
        c.spans(nested),
        strict=True,
    )
    for name, task, family, prompt, tag, copy, ended, spent, (first, last) in heads:
        nodes = tuple(
            Node(i, parent, edge, depth, visits, value, prior, terminal, labels)
            for i, (parent, depth, visits, value, prior, terminal, labels, edge) in enumerate(
                rows[first:last]
            )
        )
        start = Start(Task(task, family, prompt), tag=tag, copy=copy)
        yield Tree(name, start, nodes, ended, spent)


def num_bytes(tree: Tree) -> int:
    """Roughly what a tree takes in memory."""
    return sum(120 + sum(len(e.text) for e in n.edge) for n in tree.nodes)


def _nested(rows: Sequence[Any], flat: pa.Array) -> pa.ListArray:
    where: np.ndarray = c.offsets(map(len, rows), len(rows))
    return pa.ListArray.from_arrays(where, flat, type=_list(flat.type))
