"""A verifier that errs within a search, as `askesis.judge.wrong` has it for judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from askesis.errors import must_fit
from askesis.rng import uniforms
from askesis.search.evaluate import Verified
from askesis.search.grown import Grown
from askesis.search.place import Found, Place


@dataclass(frozen=True, kw_only=True)
class Misread(Verified):
    """`Verified` with errors at given rates: what false passes do to a tree that asks the truth.

    false_pass: probability that a wrong answer is worth `right`, in [0, 1]. false_fail: that a
        right one is worth `wrong`, in [0, 1].
    right, wrong, cut_is_wrong: as in `Verified`.

    Errors are a function of the run's seed, the start and the answer, so the same answer is always
    seen the same way. An answer that is wrong without asking stays wrong.
    """

    false_pass: float = 0.1
    false_fail: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = {
            "false_pass": (0 <= self.false_pass <= 1, "in [0, 1]"),
            "false_fail": (0 <= self.false_fail <= 1, "in [0, 1]"),
        }
        must_fit(self, limits)

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        return [self._read(grown, found) for found in await super().values(grown, places)]

    def _read(self, grown: Grown, found: Found) -> Found:
        text, is_right = self._text(grown, found.place), found.number >= self.right
        rate = self.false_fail if is_right else self.false_pass
        key = np.array([grown.ctx.key("misread", grown.start.key, text)], np.uint64)
        if not text or uniforms(key, np.zeros(1, np.int64))[0] >= rate:
            return found
        return Found(found.place, self.wrong if is_right else self.right)
