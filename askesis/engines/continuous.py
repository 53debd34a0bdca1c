"""A running batch: rows enter when there is room, say a token a step, and leave when over.

Several of these run side by side on the processor's cores, each on its own thread with a share
of the requests. That is faster for small models than splitting every product over the cores, and
it does not suffer when another program holds one of them: nothing waits at a barrier.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import Waiting, by_tokens, padded_right
from askesis.engines.packed import Cache, Packed
from askesis.engines.rows import GOES_ON, Rows
from askesis.engines.sampler import Sampler
from askesis.requests import Said, SayTokens

READ_TOKENS = 2048  # padded tokens of prompts read in one pass: more would leave the cache


class ContinuousBatch:
    """At most `max_rows` rows over one key-value cache, kept from call to call."""

    def __init__(self, max_rows: int) -> None:
        self.max_rows = max_rows
        self.cache: Cache | None = None
        self.num_read = 0  # prompt tokens read, shared ones once
        self.num_said = 0  # tokens drawn

    @torch.inference_mode()
    def say(
        self, packed: Packed, renderer: Any, requests: Sequence[SayTokens], halt: Event
    ) -> list[Said]:
        """One answer per request, in order. Returns early, half done, once `halt` is set."""
        capacity = min(self.max_rows, len(requests))
        rows = Rows(requests, renderer, capacity, packed.config.vocab_size)
        sampler = Sampler(requests, packed.config.vocab_size, packed.device)
        waiting = Waiting(requests, rows.to_say)
        self._make_room(packed, capacity, rows.longest())
        few = max(1, capacity // 8)
        while (rows.n or waiting.num) and not halt.is_set():
            if waiting.num and (rows.n == 0 or capacity - rows.n >= few):
                self._admit(packed, waiting.take(capacity - rows.n), rows, sampler)
            if rows.n:
                some = slice(0, rows.n)
                tokens = torch.from_numpy(rows.last[some]).to(packed.device)
                positions = torch.from_numpy(rows.length[some] - 1).to(packed.device)
                span = int(rows.length[some].max())
                assert self.cache is not None
                x = packed.step(tokens, positions, span, self.cache)
                self._speak(some, packed.logits(x), rows, sampler)
        return rows.answers

    def _make_room(self, packed: Packed, num_rows: int, num_columns: int) -> None:
        """Keep the cache where it is large enough, else make a new one, in steps of 64 columns."""
        kept = self.cache
        if kept is not None and kept.num_rows >= num_rows and kept.num_columns >= num_columns:
            return
        num_columns = -(-num_columns // 64) * 64
        if kept is not None:
            num_rows = max(num_rows, kept.num_rows)
            num_columns = max(num_columns, kept.num_columns)
        self.cache = kept = None  # free it before the larger one is made
        self.cache = Cache(packed.config, num_rows, num_columns, packed.device)

    def _admit(
        self,
        packed: Packed,
        groups: list[tuple[np.ndarray, np.ndarray]],
        rows: Rows,
        sampler: Sampler,
    ) -> None:
        """Read the contexts of groups of requests once each, and let their rows begin."""
        assert self.cache is not None
        contexts = [context for context, _ in groups]
        for batch in by_tokens(range(len(groups)), contexts, READ_TOKENS):
            tokens, lengths = padded_right([contexts[i] for i in batch], packed.device)
            self.num_read += sum(len(contexts[i]) for i in batch)
            x, kept = packed.read(tokens, lengths)
            members = [groups[i][1] for i in batch]
            source = np.repeat(np.arange(len(batch)), [len(m) for m in members])
            from_prompt = torch.from_numpy(source).to(packed.device)
            some = rows.add(np.concatenate(members))
            self.cache.fill(some.start, kept, from_prompt)
            self._speak(some, packed.logits(x)[from_prompt], rows, sampler)

    def _speak(self, some: slice, logits: torch.Tensor, rows: Rows, sampler: Sampler) -> None:
        """Draw a token for the rows of a slice; those that finish leave."""
        assert self.cache is not None
        drawn = sampler.draw(logits, rows.who[some], rows.said[some])
        tokens, logp_sampling, logp_model = (d.cpu().numpy() for d in drawn)
        self.num_said += len(tokens)
        why = rows.record(some, tokens, logp_sampling, logp_model)
        over = np.nonzero(why != GOES_ON)[0]
        if len(over):
            to, source = rows.retire(some.start + over, why[over])
            if len(to):
                self.cache.move(to, source, int(rows.length[to].max()))
