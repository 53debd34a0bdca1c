"""Streams depend on the seed and the place alone."""

from __future__ import annotations

import numpy as np

from askesis.rng import Streams, key, uniforms


def test_the_same_place_gives_the_same_numbers_and_another_place_others():
    a, b = Streams(1), Streams(1)
    assert a.generator("explore", 3).random() == b.generator("explore", 3).random()
    assert a.generator("explore", 3).random() != a.generator("explore", 4).random()
    assert Streams(2).generator("explore", 3).random() != a.generator("explore", 3).random()


def test_keys_tell_types_and_borders_apart():
    assert len({key("1"), key(1), key("a", "b"), key("ab"), key("a", "b", "")}) == 5


def test_keys_are_equal_on_every_machine():
    # golden: computed once with hashlib.blake2b(digest_size=8) on "str:explore\x1fint:3"
    assert key("explore", 3) == 16377816886226535940


def test_a_number_does_not_depend_on_its_neighbours():
    keys = np.arange(10, dtype=np.uint64)
    positions = np.arange(10)
    whole = uniforms(keys, positions)
    alone = [uniforms(keys[i : i + 1], positions[i : i + 1])[0] for i in range(10)]
    assert whole.tolist() == alone


def test_numbers_are_uniform():
    u = uniforms(np.full(20000, 7, np.uint64), np.arange(20000))
    assert u.min() >= 0 and u.max() < 1
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 43.8  # 0.999 quantile of chi-square with 19 degrees of freedom
