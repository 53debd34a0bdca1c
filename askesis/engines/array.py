"""Batched `act` for control policies over arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from askesis.models.array_policy import ArrayPolicy
from askesis.protocols import Gauge
from askesis.requests import Act, Action
from askesis.rng import uniforms


class ArrayEngine:
    """Acts for an `ArrayPolicy`: one forward for all observations of a batch."""

    name = "array"
    capabilities = frozenset({"act", "logp", "exact_logp", "replayable"})

    def __init__(self, model: Any) -> None:
        self.model = model
        self.gauge = Gauge()

    @classmethod
    def refusal(cls, model: Any) -> str:
        return "" if isinstance(model, ArrayPolicy) else "it is no policy over arrays"

    def act(self, requests: Sequence[Act]) -> list[Action]:
        observations = np.stack([np.asarray(r.observation, np.float32).ravel() for r in requests])
        logp, values = self.model.act(observations)
        logp = logp.astype(np.float64)
        for i, request in enumerate(requests):
            if request.legal is not None:
                logp[i, ~request.legal] = -np.inf
            logp[i] /= max(request.temperature, 1e-6)
            logp[i] -= np.logaddexp.reduce(logp[i])
        keys = np.array([r.key for r in requests], np.uint64)
        noise = uniforms(keys, np.zeros(len(requests), np.uint64))
        cumulative = np.exp(logp).cumsum(-1)
        chosen = (cumulative <= noise[:, None] * cumulative[:, -1:]).sum(-1)
        return [Action(int(a), float(logp[i, a]), float(values[i])) for i, a in enumerate(chosen)]

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Act with these weights instead of the model's own."""
        own = deepcopy(self.model)
        own.load(weights)
        self.model = own

    def clear(self) -> None:
        """Nothing is cached."""

    def close(self) -> None:
        """Nothing is held."""
