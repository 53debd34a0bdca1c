"""Which tasks may be learnt from, which may decide, and which are only reported on.

The role is a function of the task's canonical form and of nothing else: no seed, no file order,
no machine. So a permuted, re-worded or regenerated task can never be on two sides.
"""

from __future__ import annotations

import hashlib

from askesis.records import TaskRole

# Shares of the hash space, and with it of the tasks. Changing them moves tasks across.
TRAIN_FRACTION = 0.80
DECIDE_FRACTION = 0.08
CLAIM_FRACTION = 0.12

_BUCKETS = 10_000
_TRAIN_BUCKETS = round(_BUCKETS * TRAIN_FRACTION)
_DECIDE_BUCKETS = round(_BUCKETS * DECIDE_FRACTION)

FRACTIONS = {
    TaskRole.TRAIN: TRAIN_FRACTION,
    TaskRole.DECIDE: DECIDE_FRACTION,
    TaskRole.CLAIM: CLAIM_FRACTION,
}


def digest(*pieces: str, num_bytes: int = 8) -> bytes:
    """blake2b of some texts: the same on every machine and Python version."""
    text = "\x1f".join(pieces).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=num_bytes).digest()


def role_of(family: str, canonical: str) -> TaskRole:
    """The role of a task. The version of a family ("-v1") is not part of it, so that a claim
    task stays a claim task when a world is mended.

    >>> role_of("countdown-v1", "2,3,7=42") == role_of("countdown-v2", "2,3,7=42")
    True
    """
    name = family.partition("?")[0]
    head, dash, version = name.rpartition("-v")
    name = head if dash and version.isdigit() else name
    bucket = int.from_bytes(digest("role", name, canonical), "little") % _BUCKETS
    if bucket < _TRAIN_BUCKETS:
        return TaskRole.TRAIN
    return TaskRole.DECIDE if bucket < _TRAIN_BUCKETS + _DECIDE_BUCKETS else TaskRole.CLAIM


def short_hash(canonical: str) -> str:
    """Twelve hex digits that name a canonical form (48 bits: ids, not security)."""
    return digest("id", canonical, num_bytes=6).hex()
