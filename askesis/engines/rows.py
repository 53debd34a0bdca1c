"""The rows that are being spoken: what they said, and when they leave.

Rows stand densely in slots 0..n-1. When some finish, the last ones move into their places, so
every step works on full arrays and nothing loops over rows that go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from askesis.engines.stopping import StopStrings, StopTokens
from askesis.errors import ModelError
from askesis.records import StopReason
from askesis.requests import EMPTY_SAID, Said, SayTokens

GOES_ON, ENDED, STOP_STRING, LENGTH, CONTEXT = range(5)
REASONS = (None, StopReason.ENDED, StopReason.STOP_STRING, StopReason.LENGTH, StopReason.CONTEXT)


class Rows:
    """State of one `say` call: which requests run in which slots, and all answers so far."""

    def __init__(
        self, requests: Sequence[SayTokens], renderer: Any, capacity: int, vocab_size: int
    ) -> None:
        self.requests = requests
        self.answers: list[Said] = [EMPTY_SAID] * len(requests)
        lengths = np.array([len(r.context) for r in requests], np.int64)
        if len(lengths) and not lengths.all():
            raise ModelError("cannot speak after an empty context", hint="Give at least one token")
        room = np.maximum(renderer.context_length - lengths, 0)
        asked = np.array(
            [
                room[i] + 1 if r.sampling.max_tokens is None else r.sampling.max_tokens
                for i, r in enumerate(requests)
            ],
            np.int64,
        )
        self.limits = np.maximum(np.minimum(asked, room), 0)
        self._cut = np.where(asked <= room, LENGTH, CONTEXT)
        self.context_lengths = lengths
        self._stop_tokens = StopTokens(requests, vocab_size)
        self._stop_strings = StopStrings(requests, renderer)
        width = int(self.limits.max(initial=1))
        self.n = 0
        self.who = np.zeros(capacity, np.int64)  # request of each slot
        self.said = np.zeros(capacity, np.int64)  # tokens said so far
        self.length = np.zeros(capacity, np.int64)  # context and said tokens
        self.last = np.zeros(capacity, np.int64)  # the newest token
        self._limit = np.zeros(capacity, np.int64)
        self._tokens = np.zeros((capacity, width), np.int32)
        self._logp_sampling = np.zeros((capacity, width), np.float32)
        self._logp_model = np.zeros((capacity, width), np.float32)
        for i in np.nonzero(self.limits == 0)[0]:
            if asked[i] <= 0 and room[i] > 0:
                self.answers[i] = Said(
                    EMPTY_SAID.tokens, EMPTY_SAID.logp_sampling, EMPTY_SAID.logp_model,
                    StopReason.LENGTH,
                )  # fmt: skip

    @property
    def to_say(self) -> np.ndarray:
        """Requests that have room to say anything."""
        return np.nonzero(self.limits > 0)[0]

    def final_lengths(self, requests: np.ndarray) -> list[int]:
        """Positions each request may come to compute: nothing reads its very last token."""
        return (self.context_lengths[requests] + self.limits[requests] - 1).tolist()

    def final_length(self, slot: int) -> int:
        return self.final_lengths(self.who[slot : slot + 1])[0]

    def computed(self, slot: int) -> np.ndarray:
        """The tokens whose keys and values a row holds: all but the newest."""
        context = self.requests[self.who[slot]].context
        return np.concatenate([context, self._tokens[slot, : self.said[slot] - 1]])

    def add(self, requests: np.ndarray) -> slice:
        """Let requests begin, in the slots after the running ones."""
        some = slice(self.n, self.n + len(requests))
        self.who[some], self.said[some] = requests, 0
        self.length[some] = self.context_lengths[requests]
        self._limit[some] = self.limits[requests]
        self.n = some.stop
        return some

    def record(
        self, some: slice, tokens: np.ndarray, logp_sampling: np.ndarray, logp_model: np.ndarray
    ) -> np.ndarray:
        """Take one new token for each slot of a slice; int (n,): why each ends, or GOES_ON."""
        slots, said = np.arange(some.start, some.stop), self.said[some]
        self._tokens[slots, said] = tokens
        self._logp_sampling[slots, said] = logp_sampling
        self._logp_model[slots, said] = logp_model
        self.last[some] = tokens
        self.said[some] += 1
        self.length[some] += 1
        who = self.who[some]
        why = np.where(self.said[some] >= self._limit[some], self._cut[who], GOES_ON)
        if self._stop_strings.any:
            ended = self._stop_strings(who, self.said[some], self._tokens[some])
            why[ended] = STOP_STRING
        why[self._stop_tokens(who, tokens)] = ENDED
        return why

    def retire(self, slots: np.ndarray, why: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Answer the rows in `slots` and close ranks: returns (to, from) of rows that moved."""
        for slot, reason in zip(slots, why, strict=True):
            end = self.said[slot]
            stop = REASONS[reason]
            assert stop is not None
            self.answers[self.who[slot]] = Said(
                self._tokens[slot, :end].copy(),
                self._logp_sampling[slot, :end].copy(),
                self._logp_model[slot, :end].copy(),
                stop,
            )
        after = self.n - len(slots)
        leaves = np.zeros(self.n, bool)
        leaves[slots] = True
        to = np.nonzero(leaves[:after])[0]
        source = after + np.nonzero(~leaves[after:])[0]
        for state in (self.who, self.said, self.length, self.last, self._limit):
            state[to] = state[source]
        for table in (self._tokens, self._logp_sampling, self._logp_model):
            table[to] = table[source]
        self.n = after
        return to, source
