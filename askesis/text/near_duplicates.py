"""Texts that are nearly the same: exact Jaccard for pairs, MinHash signatures for many.

MinHash: Broder 1997, "On the resemblance and containment of documents". Hashes are blake2b, so
groups are the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from askesis.text.ngrams import ngrams

MAX_CHARS = 20_000  # of a text; the rest is not compared
_PRIME = np.uint64((1 << 61) - 1)


def shingles(text: str, n: int = 5) -> frozenset[str]:
    """Character n-grams of the evened text; the whole text where it is shorter than n."""
    plain = " ".join(text[:MAX_CHARS].casefold().split())
    return frozenset("".join(g) for g in ngrams(plain, n)) or frozenset({plain})


def jaccard(one: str, other: str, n: int = 5) -> float:
    """Shared over all character n-grams of two texts, in [0, 1]; 1 for equal texts."""
    a, b = shingles(one, n), shingles(other, n)
    return len(a & b) / len(a | b)


def near_duplicates(
    texts: Sequence[str], threshold: float = 0.85, n: int = 5, num_hashes: int = 64
) -> list[int]:
    """For each text the index of the first earlier text it nearly equals, else its own index.

    Candidates are found through bands of MinHash signatures and confirmed by exact Jaccard, so
    nothing below `threshold` is ever merged; pairs just above it may be missed (for the default,
    a pair at 0.85 is missed in less than one of a thousand cases). Cost grows with the number
    of texts, not of pairs, unless most are equal.
    """
    sets = [shingles(t, n) for t in texts]
    first_of: list[int] = []
    rows = 4  # per band: 16 bands of 4; P(miss at s) = (1 - s^4)^16
    table: dict[tuple[int, bytes], list[int]] = {}
    for i, signature in enumerate(_signatures(sets, num_hashes)):
        keys = [
            (band, signature[band : band + rows].tobytes()) for band in range(0, num_hashes, rows)
        ]
        candidates = sorted({j for key in keys for j in table.get(key, ())})
        twin = i
        for j in candidates:
            if len(sets[i] & sets[j]) >= threshold * len(sets[i] | sets[j]):
                twin = j
                break
        first_of.append(twin)
        if twin == i:  # only first ones are compared against
            for key in keys:
                table.setdefault(key, []).append(i)
    return first_of


def _signatures(sets: Sequence[frozenset[str]], num_hashes: int) -> list[np.ndarray]:
    """MinHash signatures, uint64 (num_hashes,) per set."""
    mixer = np.random.Generator(np.random.Philox(key=0))
    a = mixer.integers(1, 1 << 31, num_hashes, dtype=np.uint64)[:, None]
    b = mixer.integers(0, 1 << 31, num_hashes, dtype=np.uint64)[:, None]
    found = []
    for items in sets:
        # 30-bit bases keep a * base + b below 2**64: no overflow, the same everywhere
        bases = np.array([_hash(s) for s in sorted(items)], np.uint64)[None, :]
        found.append(((a * bases + b) % _PRIME).min(axis=1))
    return found


def _hash(item: str) -> int:
    digest = hashlib.blake2b(item.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 2
