"""The engine of models that are functions: recipes and search have exact tests on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from askesis.engines.settings import check_settings
from askesis.models.scripted import ScriptedModel
from askesis.protocols import Gauge
from askesis.records import StopReason
from askesis.requests import Said, SayTokens
from askesis.rng import uniforms


class ScriptedEngine:
    """Speaks for a `ScriptedModel`. Its log-probabilities are zero: it is certain, whatever the
    temperature."""

    name = "scripted"
    capabilities = frozenset({"say", "stop_strings", "replayable"})

    def __init__(self, model: Any) -> None:
        self.model = model
        self.gauge = Gauge()

    @classmethod
    def refusal(cls, model: Any) -> str:
        return "" if isinstance(model, ScriptedModel) else "it is no script"

    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order. A context without room left says nothing."""
        check_settings(self.name, self.capabilities, requests)
        return [self._say(r) for r in requests]

    def _say(self, request: SayTokens) -> Said:
        renderer = self.model.renderer
        noise = float(uniforms(np.array([request.key], np.uint64), np.array([0]))[0])
        text = self.model.script(renderer.decode(request.context), noise)
        stop = StopReason.ENDED
        cuts = [text.find(s) + len(s) for s in request.sampling.stop if s and s in text]
        if cuts:
            text, stop = text[: min(cuts)], StopReason.STOP_STRING
        tokens = renderer.encode(text)
        if stop is StopReason.ENDED:
            tokens = np.append(tokens, np.int32(renderer.end_token))
        ends = np.nonzero(np.isin(tokens, request.stop_tokens))[0]
        if len(ends) and int(ends[0]) + 1 < len(tokens):
            tokens, stop = tokens[: int(ends[0]) + 1], StopReason.ENDED
        room = max(0, renderer.context_length - len(request.context))
        limit = request.sampling.max_tokens
        if limit is not None and limit <= room:
            tokens, stop = _cut(tokens, stop, limit, StopReason.LENGTH)
        else:
            tokens, stop = _cut(tokens, stop, room, StopReason.CONTEXT)
        self.gauge.num_read += len(request.context)
        self.gauge.num_said += len(tokens)
        zeros = np.zeros(len(tokens), np.float32)
        return Said(tokens, zeros, zeros, stop)

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """A script has no weights."""

    def clear(self) -> None:
        """A script has no caches."""

    def close(self) -> None:
        """A script holds nothing."""


def _cut(
    tokens: np.ndarray, stop: StopReason, limit: int, why: StopReason
) -> tuple[np.ndarray, StopReason]:
    """The first `limit` tokens, and why it is over."""
    return (tokens, stop) if len(tokens) <= limit else (tokens[:limit], why)
