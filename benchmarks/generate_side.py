"""`transformers.generate` in the place of an engine: every request sends its whole prefix."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from askesis.models.sharing import transformers_module
from askesis.records import NO_LOGP, StopReason
from askesis.requests import Said, SayTokens


class ByGenerate:
    """Says what is asked with `generate`, in batches of at most `rows`, of similar length.

    Nothing is kept from one call to the next, and log-probabilities are not asked for, which
    spares it work. Noise is torch's own. Rows that are over ride to their batch's end. Every
    request must have the same temperature, and stop strings of one character.
    """

    def __init__(self, model: Any, rows: int = 256) -> None:
        self.renderer, self.rows = model.renderer, rows
        self.module = copy.deepcopy(transformers_module(model.module, model.config))
        self.module.generation_config.eos_token_id = None  # rows end by the tables below
        self.texts = [self.renderer.decode(np.array([t])) for t in range(self.renderer.vocab_size)]
        self.tables: dict[tuple[Any, ...], np.ndarray] = {}

    def __call__(self, requests: Sequence[SayTokens]) -> list[Said]:
        limits = np.array([r.sampling.max_tokens for r in requests])
        room = np.array([self.renderer.context_length - len(r.context) for r in requests])
        limits = np.minimum(limits, room)
        order = sorted(
            np.nonzero(limits > 0)[0].tolist(),
            key=lambda i: (limits[i] // 32, len(requests[i].context)),
        )
        nothing = Said(np.zeros(0, np.int32), NO_LOGP, NO_LOGP, StopReason.LENGTH)
        found = [nothing] * len(requests)
        for first in range(0, len(order), self.rows):
            places = order[first : first + self.rows]
            some = [requests[i] for i in places]
            for i, said in zip(places, self._batch(some, limits[places]), strict=True):
                found[i] = said
        return found

    def _batch(self, some: list[SayTokens], limits: np.ndarray) -> list[Said]:
        (temperature,) = {r.sampling.temperature for r in some}
        width = max(len(r.context) for r in some)
        tokens = torch.zeros(len(some), width, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, r in enumerate(some):
            tokens[row, width - len(r.context) :] = torch.from_numpy(r.context.astype(np.int64))
            mask[row, width - len(r.context) :] = 1
        over = torch.from_numpy(np.stack([self._over(r) for r in some]))
        ends, at = torch.from_numpy(limits) + width, torch.arange(len(some))
        with torch.inference_mode():
            out = self.module.generate(
                tokens,
                attention_mask=mask,
                do_sample=True,
                temperature=temperature,
                top_k=0,
                max_new_tokens=int(limits.max()),
                stopping_criteria=[
                    lambda ids, scores: over[at, ids[:, -1]] | (ids.shape[1] >= ends)
                ],
                pad_token_id=0,
            )[:, width:].numpy()
        return [self._cut(r, row[:limit]) for r, row, limit in zip(some, out, limits, strict=True)]

    def _over(self, request: SayTokens) -> np.ndarray:
        """bool (vocabulary,): tokens after which a request is over."""
        key = (request.stop_tokens, request.sampling.stop)
        if key not in self.tables:
            assert all(len(s) == 1 for s in request.sampling.stop)
            self.tables[key] = np.array(
                [
                    t in request.stop_tokens or any(s in text for s in request.sampling.stop)
                    for t, text in enumerate(self.texts)
                ]
            )
        return self.tables[key]

    def _cut(self, request: SayTokens, said: np.ndarray) -> Said:
        """What counts of a row: up to its first end."""
        ends = np.nonzero(self._over(request)[said])[0]
        kept = said[: ends[0] + 1] if len(ends) else said
        stop = StopReason.LENGTH
        if len(ends):
            ended = kept[-1] in request.stop_tokens
            stop = StopReason.ENDED if ended else StopReason.STOP_STRING
        return Said(kept.astype(np.int32), NO_LOGP, NO_LOGP, stop)
