"""A running batch: rows enter when there is room, say a token a step, and leave when over.

Several of these run side by side on the processor's cores, each on its own thread with a share
of the requests. That is faster for small models than splitting every product over the cores, and
it does not suffer when another program holds one of them: nothing waits at a barrier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import Waiting
from askesis.engines.blocks import Blocks
from askesis.engines.passes import Chunk, Pass
from askesis.engines.rows import GOES_ON, Rows
from askesis.engines.sampler import Sampler
from askesis.protocols import Gauge
from askesis.requests import Said, SayTokens

READ_TOKENS = 512  # tokens of prompts read in one pass: their states stay in the cores' caches
WANTED_LOGITS = 1 << 24  # elements of the logits that exist at a time where targets are scored

Segment = tuple[int, int, np.ndarray, int]  # row, known tokens, all tokens, first wanted place


class ContinuousBatch:
    """Rows over one key-value cache in blocks, kept from call to call.

    At most `max_rows` rows run at a time. `speaks` computes; which weights it uses and the root
    under which their work is known are given with each call.
    """

    def __init__(self, speaks: Pass, blocks: Blocks) -> None:
        self.speaks, self.blocks, self.gauge = speaks, blocks, Gauge()

    @property
    def max_rows(self) -> int:
        return len(self.blocks.table)

    # ------------------------------------------------------------ saying

    @torch.inference_mode()
    def say(
        self, root: int, renderer: Any, requests: Sequence[SayTokens], halt: Event
    ) -> list[Said]:
        """One answer per request, in order. Returns early, half done, once `halt` is set."""
        capacity = min(self.max_rows, len(requests))
        rows = Rows(requests, renderer, capacity, self.speaks.vocab_size)
        sampler = Sampler(requests, self.speaks.vocab_size, self.speaks.device, renderer.vocab_size)
        waiting = Waiting(requests, rows.to_say, rows.limits)
        few = max(1, capacity // 8)
        while (rows.n or waiting.num) and not halt.is_set():
            if waiting.num and (rows.n == 0 or capacity - rows.n >= few):
                self._admit(root, waiting, capacity, rows, sampler)
            self.gauge.running, self.gauge.waiting = rows.n, waiting.num
            if rows.n:
                self._step(root, rows, sampler)
        self.gauge.running = self.gauge.waiting = 0
        return rows.answers

    def _step(self, root: int, rows: Rows, sampler: Sampler) -> None:
        """One more token for every row."""
        some = slice(0, rows.n)
        positions = rows.length[some] - 1
        self.blocks.grow(positions)
        chunk = Chunk(rows.last[some], np.arange(rows.n), positions, np.ones(rows.n, np.int64))
        logits = self.speaks.logits(chunk, self.blocks.table, None)
        self._speak(root, some, logits, rows, sampler)

    def _admit(
        self, root: int, waiting: Waiting, capacity: int, rows: Rows, sampler: Sampler
    ) -> None:
        """Read the contexts of groups of requests once each, and let their rows begin."""
        segments: list[Segment] = []
        groups: list[tuple[slice, int]] = []  # slots of a group, tokens of its context
        copies = []
        room, begun = self.blocks.room(), rows.n
        while waiting.num and rows.n < capacity:
            context, members = waiting.peek(capacity - rows.n)
            match = self.blocks.match(root, context, len(context) - 1)
            lengths = rows.final_lengths(members)
            num = len(members)
            while num and self.blocks.cost(match, lengths[:num]) > room:
                num -= 1
            if not num:
                if rows.n:
                    break
                num = 1  # one row always fits
            room -= self.blocks.cost(match, lengths[:num])
            some = rows.add(waiting.pop(num))
            pair = self.blocks.begin(some.start, root, context, match, lengths[0])
            if pair is not None:
                copies.append(pair)
            segments.append((some.start, match.num_tokens, context, len(context) - 1))
            groups.append((some, len(context)))
            self.gauge.num_reused += match.num_tokens
        self._copy(copies)
        read = [self.speaks.logits(c, self.blocks.table, w) for c, w in self._chunks(segments)]
        self.blocks.computed()
        copies = []
        for some, length in groups:
            for slot in range(some.start + 1, some.stop):
                pair = self.blocks.fork(some.start, slot, length, rows.final_length(slot))
                if pair is not None:
                    copies.append(pair)
        self._copy(copies)
        source = np.repeat(np.arange(len(groups)), [s.stop - s.start for s, _ in groups])
        logits = torch.cat(read)[torch.from_numpy(source).to(self.speaks.device)]
        self._speak(root, slice(begun, rows.n), logits, rows, sampler)

    def _copy(self, pairs: list[tuple[int, int]]) -> None:
        if pairs:
            self.speaks.copy(pairs)

    def _speak(
        self, root: int, some: slice, logits: torch.Tensor, rows: Rows, sampler: Sampler
    ) -> None:
        """Draw a token for the rows of a slice; those that finish leave."""
        drawn = sampler.draw(logits, rows.who[some], rows.said[some])
        self.gauge.num_said += some.stop - some.start
        why = rows.record(some, *(d.cpu().numpy() for d in drawn))
        over = np.nonzero(why != GOES_ON)[0]
        if len(over):
            for slot in (some.start + over).tolist():
                self.blocks.end(slot, root, rows.computed(slot))
            self.blocks.move(*rows.retire(some.start + over, why[over]))

    # ------------------------------------------------------------ reading

    @torch.inference_mode()
    def read(
        self,
        root: int,
        rows: Sequence[np.ndarray],
        first_wanted: Sequence[int],
        answer: Callable[[Chunk, np.ndarray], np.ndarray],
        halt: Event,
    ) -> list[np.ndarray]:
        """answer(chunk, wanted places) for one pass after another over whole rows of tokens.

        Wanted are the places of a row from `first_wanted` to its end, in the order of the rows.
        """
        found = []
        at = 0
        while at < len(rows) and not halt.is_set():
            segments: list[Segment] = []
            copies = []
            begun = at
            while at < len(rows) and at - begun < self.max_rows:
                tokens = rows[at]
                match = self.blocks.match(root, tokens, first_wanted[at])
                if segments and self.blocks.cost(match, [len(tokens)]) > self.blocks.room():
                    break
                pair = self.blocks.begin(at - begun, root, tokens, match, len(tokens))
                if pair is not None:
                    copies.append(pair)
                segments.append((at - begun, match.num_tokens, tokens, first_wanted[at]))
                self.gauge.num_reused += match.num_tokens
                at += 1
            self._copy(copies)
            found += [answer(chunk, wanted) for chunk, wanted in self._chunks(segments)]
            self.blocks.computed()
            for row, _, tokens, _ in segments:
                self.blocks.end(row, root, tokens)
        return found

    def _chunks(self, segments: Sequence[Segment]) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Segments cut into passes of bounded size, with the places wanted of each."""
        most = max(1, min(READ_TOKENS, WANTED_LOGITS // self.speaks.vocab_size))
        parts: list[tuple[int, int, np.ndarray, int]] = []
        size = 0
        for row, first, tokens, wanted in segments:
            while first < len(tokens):
                piece = tokens[first : first + most - size]
                parts.append((row, first, piece, max(0, wanted - first)))
                first, size = first + len(piece), size + len(piece)
                if size == most:
                    yield self._chunk(parts)
                    parts, size = [], 0
        if parts:
            yield self._chunk(parts)

    def _chunk(self, parts: list[tuple[int, int, np.ndarray, int]]) -> tuple[Chunk, np.ndarray]:
        num = np.array([len(piece) for _, _, piece, _ in parts])
        tokens = np.concatenate([piece for _, _, piece, _ in parts]).astype(np.int64)
        self.gauge.num_read += len(tokens)
        rows = np.array([row for row, _, _, _ in parts])
        first = np.array([first for _, first, _, _ in parts])
        begins = np.cumsum(num) - num
        wanted = [
            np.arange(begin + skipped, begin + n)
            for begin, n, (_, _, _, skipped) in zip(begins, num, parts, strict=True)
        ]
        return Chunk(tokens, rows, first, num), np.concatenate(wanted)


class Hidden:
    """What `ContinuousBatch.read` answers with hidden states: float32 (wanted, width) a pass."""

    def __init__(self, batch: ContinuousBatch) -> None:
        self.batch = batch

    def __call__(self, chunk: Chunk, wanted: np.ndarray) -> np.ndarray:
        return self.batch.speaks.hidden(chunk, self.batch.blocks.table, wanted).cpu().numpy()


class Scores:
    """And with log-probabilities: float32 (wanted,), of `targets` (all of them, in order)."""

    def __init__(self, batch: ContinuousBatch, targets: np.ndarray) -> None:
        self.batch, self.targets, self.at = batch, targets.astype(np.int64), 0

    def __call__(self, chunk: Chunk, wanted: np.ndarray) -> np.ndarray:
        logits = self.batch.speaks.logits(chunk, self.batch.blocks.table, wanted)
        some = torch.from_numpy(self.targets[self.at : self.at + len(wanted)])[:, None]
        self.at += len(wanted)
        logp = logits.gather(1, some.to(logits.device))[:, 0] - logits.logsumexp(-1)
        return logp.cpu().numpy()
