"""What was seen before: a bounded memory of names, as plain arrays that a run commits.

A memory is {"key": uint64 (N,) sorted, "last": int32 (N,), "flag": bool (N,)}: the hash of a
name, the last round that saw it, and one thing to remember about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Memory = dict[str, Any]


def nothing_seen() -> Memory:
    """A memory without names."""
    return {
        "key": np.zeros(0, np.uint64),
        "last": np.zeros(0, np.int32),
        "flag": np.zeros(0, np.bool_),
    }


def hashed(name: str) -> int:
    """A 64-bit name: two of a million differ with probability above 0.99999."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def look_up(memory: Mapping[str, Any], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """For each name whether it was seen, and its flag (False where it was not); bool (N,)."""
    keys = np.array([hashed(n) for n in names], np.uint64)
    known = memory["key"]
    if not len(known) or not len(keys):
        return np.zeros(len(keys), np.bool_), np.zeros(len(keys), np.bool_)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    seen = known[place] == keys
    return seen, seen & memory["flag"][place]


def remember(
    memory: Mapping[str, Any], flags: Mapping[str, bool], round: int, limit: int
) -> Memory:
    """The memory after a round that saw these names; a flag once set stays.

    Beyond `limit` names those seen longest ago are forgotten, an eighth at a time (the order of
    their hashes breaks ties, so the result depends on nothing else).
    """
    merged = {hashed(name): flag for name, flag in flags.items()}
    new = np.array(sorted(merged), np.uint64)
    flag = np.array([merged[int(k)] for k in new], np.bool_)
    known, seen_in, flagged = memory["key"], memory["last"].copy(), memory["flag"].copy()
    place = np.searchsorted(known, new)
    old = np.zeros(len(new), np.bool_)
    if len(known):
        old = known[np.minimum(place, len(known) - 1)] == new
    seen_in[place[old]] = round
    flagged[place[old]] |= flag[old]
    at = place[~old]
    key = np.insert(known, at, new[~old])
    last = np.insert(seen_in, at, np.int32(round))
    flagged = np.insert(flagged, at, flag[~old])
    if len(key) > limit:
        stay = np.sort(np.argsort(last, kind="stable")[len(key) - limit + limit // 8 :])
        key, last, flagged = key[stay], last[stay], flagged[stay]
    return {"key": key, "last": last.astype(np.int32), "flag": flagged.astype(np.bool_)}
