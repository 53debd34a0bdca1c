"""When a row has said enough: stop tokens and stop strings, checked without looping over rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from askesis.requests import SayTokens

BROKEN = "\ufffd"


class StopTokens:
    """Which tokens end the turn of which request."""

    def __init__(self, requests: Sequence[SayTokens], vocab_size: int) -> None:
        sets: dict[tuple[int, ...], int] = {}
        self._which = np.array(
            [sets.setdefault(tuple(r.stop_tokens), len(sets)) for r in requests], np.int64
        )
        self._table = np.zeros((len(sets), vocab_size), bool)
        for tokens, i in sets.items():
            self._table[i, [t for t in tokens if 0 <= t < vocab_size]] = True

    def __call__(self, rows: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """bool (n,): whether each row's new token ends its turn."""
        if len(self._table) == 1:
            return self._table[0, tokens]
        return self._table[self._which[rows], tokens]


class StopStrings:
    """Which rows have just completed a stop string.

    A new token can only complete a string if its text holds the string's last character (or is
    part of a character); that is looked up for all rows at once, and only rows that pass it are
    decoded. What such a row said is then decoded whole, so it does not matter how a string was
    cut into tokens.
    """

    def __init__(self, requests: Sequence[SayTokens], renderer: Any) -> None:
        self._renderer = renderer
        self._strings = [tuple(s for s in r.sampling.stop if s) for r in requests]
        self.any = any(self._strings)
        if not self.any:
            return
        sets: dict[tuple[str, ...], int] = {}
        self._which = np.array([sets.setdefault(s, len(sets)) for s in self._strings], np.int64)
        self._lasts = [{s[-1] for s in strings} for strings in sets]
        # -1: this token has not been seen with this set of strings yet
        self._table = np.full((len(sets), renderer.vocab_size), -1, np.int8)

    def __call__(self, rows: np.ndarray, said: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """bool (n,): rows whose text now holds one of their stop strings.

        tokens (n, width): what each row said, `said` (n,) of them, the newest included.
        """
        found = np.zeros(len(rows), bool)
        which, newest = self._which[rows], tokens[np.arange(len(rows)), said - 1]
        known = self._table[which, newest]
        for i in np.nonzero(known < 0)[0]:
            known[i] = self._look(int(which[i]), int(newest[i]))
        for i in np.nonzero(known > 0)[0]:
            text = self._renderer.decode(tokens[i, : said[i]])
            found[i] = any(s in text for s in self._strings[rows[i]])
        return found

    def _look(self, which: int, token: int) -> bool:
        text = self._renderer.decode(np.array([token], np.int32))
        possible = BROKEN in text or any(c in text for c in self._lasts[which])
        self._table[which, token] = possible
        return possible
