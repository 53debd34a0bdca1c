"""Random numbers as a function of where they are used, never of what ran before.

A round must be a pure function of weights, states and seed. So there is no global generator
anywhere: every consumer names its place (`"explore", round, task, attempt`) and gets a stream
that depends on the run's seed and on that name alone. Two kinds of consumer exist:

* parts draw from a `numpy.random.Generator` (`Streams.generator`);
* samplers need one uniform number per row and position, whatever rows share the batch
  (`uniforms`): a counter-based hash, so that a row's noise does not depend on its neighbours.
"""

from __future__ import annotations

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


def key(*place: object) -> int:
    """A 64-bit key for a place, equal on every machine and Python version.

    >>> key("explore", 3, "task-a") == key("explore", 3, "task-a")
    True
    >>> key("explore", 3) == key("explore", 4)
    False
    """
    text = "\x1f".join(f"{type(p).__name__}:{p}" for p in place)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Streams:
    """Named random streams under one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = int(seed)

    def key(self, *place: object) -> int:
        """The 64-bit key of a place under this seed."""
        return key(self.seed, *place)

    def generator(self, *place: object) -> np.random.Generator:
        """A fresh generator for a place; the same place gives the same numbers again."""
        return np.random.Generator(np.random.Philox(key=self.key(*place)))


def uniforms(keys: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Uniform numbers in [0, 1), one per (key, position) pair.

    `keys` uint64 (N,), `positions` integer (N,) -> float64 (N,). SplitMix64 (Steele, Lea and
    Flood 2014) evaluated at `key + position * golden`: a counter-based generator, so any
    element can be computed alone.
    """
    with np.errstate(over="ignore"):
        z = keys.astype(np.uint64) + (positions.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_A
        z = (z ^ (z >> np.uint64(27))) * _MIX_B
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * (1.0 / (1 << 53))
