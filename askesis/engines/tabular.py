"""The engine of the smallest model: exact, replayable, with a value head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from askesis.models.tabular import TabularModel
from askesis.protocols import Gauge
from askesis.records import StopReason
from askesis.requests import EMPTY_SAID, ReadTokens, Said, SayTokens, ScoreTokens
from askesis.rng import uniforms


class TabularEngine:
    """Speaks for a `TabularModel`, all rows in step. Exact, replayable, with a value head."""

    name = "tabular"
    capabilities = frozenset(
        {"say", "score", "value", "logp", "allowed", "exact_logp", "replayable"}
    )

    def __init__(self, model: Any) -> None:
        self.model = model
        self.gauge = Gauge()
        self.table: torch.Tensor | None = None  # pinned weights, None: the model's own

    @classmethod
    def refusal(cls, model: Any) -> str:
        return "" if isinstance(model, TabularModel) else "it is no table of logits"

    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        said: list[Said] = [EMPTY_SAID] * len(requests)
        rows = [_Row(i, r, self.model.renderer) for i, r in enumerate(requests)]
        live = [row for row in rows if row.room > 0]
        while live:
            model_logp, sampling_logp = self._next(live)
            keys = np.array([r.request.key for r in live], np.uint64)
            noise = uniforms(keys, np.array([len(r.tokens) for r in live]))
            choice = _draw(sampling_logp, noise)
            for i, row in enumerate(live):
                row.add(int(choice[i]), sampling_logp[i, choice[i]], model_logp[i, choice[i]])
            for row in live:
                if row.stop is not None:
                    said[row.index] = row.said()
            live = [row for row in live if row.stop is None]
        return said

    def _next(self, rows: list[_Row]) -> tuple[np.ndarray, np.ndarray]:
        contexts = [np.append(r.request.context, np.array(r.tokens, np.int32)) for r in rows]
        logits = self._logits(contexts)
        model_logp = torch.log_softmax(logits, -1)
        for i, row in enumerate(rows):
            sampling = row.request.sampling
            if sampling.allowed is not None:
                kept = logits[i, list(sampling.allowed)]
                logits[i] = -torch.inf
                logits[i, list(sampling.allowed)] = kept
            if sampling.temperature == 0:
                best = int(logits[i].argmax())
                logits[i] = -torch.inf
                logits[i, best] = 0.0
            else:
                logits[i] /= sampling.temperature
        return model_logp.numpy(), torch.log_softmax(logits, -1).numpy()

    def _logits(self, contexts: Sequence[np.ndarray]) -> torch.Tensor:
        if self.table is None:
            return self.model.next_logits(contexts)
        logits = self.table[torch.tensor([int(c[-1]) for c in contexts])].clone()
        logits[:, self.model.renderer.pad_token] = -torch.inf
        return logits

    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        found = []
        for request in requests:
            seen = np.concatenate([request.context, request.target])
            contexts = [seen[: len(request.context) + i] for i in range(len(request.target))]
            if not contexts:
                found.append(np.zeros(0, np.float32))
                continue
            logp = torch.log_softmax(self._logits(contexts), -1)
            found.append(logp[range(len(contexts)), request.target.astype(int)].numpy())
        return found

    def value(self, requests: Sequence[ReadTokens]) -> list[float]:
        return self.model.values([r.context for r in requests])

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        self.table = weights["logits"].detach().clone()

    def clear(self) -> None:
        """Nothing is cached."""

    def close(self) -> None:
        """Nothing is held."""


class _Row:
    """One request while it is spoken."""

    def __init__(self, index: int, request: SayTokens, renderer: Any) -> None:
        self.index, self.request = index, request
        self.tokens: list[int] = []
        self.sampling_logp: list[float] = []
        self.model_logp: list[float] = []
        self.stop: StopReason | None = None
        self.room = renderer.context_length - len(request.context)
        self.limit = request.sampling.max_tokens or self.room

    def add(self, token: int, sampling_logp: float, model_logp: float) -> None:
        self.tokens.append(token)
        self.sampling_logp.append(sampling_logp)
        self.model_logp.append(model_logp)
        if token in self.request.stop_tokens:
            self.stop = StopReason.ENDED
        elif len(self.tokens) >= self.limit:
            self.stop = StopReason.LENGTH
        elif len(self.tokens) >= self.room:
            self.stop = StopReason.CONTEXT

    def said(self) -> Said:
        assert self.stop is not None
        return Said(
            np.array(self.tokens, np.int32),
            np.array(self.sampling_logp, np.float32),
            np.array(self.model_logp, np.float32),
            self.stop,
        )


def _draw(logp: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Inverse-CDF choice per row: (N, V) log-probabilities, (N,) uniforms -> (N,) ids."""
    cumulative = np.exp(logp.astype(np.float64)).cumsum(-1)
    threshold = noise[:, None] * cumulative[:, -1:]
    return (cumulative <= threshold).sum(-1)
