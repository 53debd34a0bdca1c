"""Batched `act` for control policies over arrays."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from askesis.errors import ModelError
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
        self._speaks = model  # the model, or a copy of it with pinned weights

    @classmethod
    def refusal(cls, model: Any) -> str:
        return "" if isinstance(model, ArrayPolicy) else "it is no policy over arrays"

    def act(self, requests: Sequence[Act]) -> list[Action]:
        """One action per request, in order. Log-probabilities are those of the distribution that
        was drawn from: among legal actions, at the request's temperature (0: the most likely).

        ModelError for settings that mean nothing, and where the policy's numbers are not finite.
        """
        if not requests:
            return []
        for request in requests:
            _check(request, self.model.num_actions)
        observations = np.stack([np.asarray(r.observation, np.float32).ravel() for r in requests])
        found, values = self._speaks.act(observations)
        if not np.isfinite(found).all():
            raise ModelError(
                "the model's probabilities are not numbers",
                expected="finite logits",
                found="NaN or infinity",
                hint="Its weights or an observation are broken: load an earlier snapshot",
            )
        logp = found.astype(np.float64)
        for i, request in enumerate(requests):
            if request.legal is not None:
                logp[i, ~np.asarray(request.legal, bool)] = -np.inf
            if request.temperature == 0:
                best = int(logp[i].argmax())
                logp[i] = -np.inf
                logp[i, best] = 0.0
            else:
                logp[i] /= request.temperature
            logp[i] -= np.logaddexp.reduce(logp[i])
        keys = np.array([r.key & (2**64 - 1) for r in requests], np.uint64)
        noise = uniforms(keys, np.zeros(len(requests), np.uint64))
        cumulative = np.exp(logp).cumsum(-1)
        chosen = (cumulative <= noise[:, None] * cumulative[:, -1:]).sum(-1)
        self.gauge.num_said += len(requests)
        return [Action(int(a), float(logp[i, a]), float(values[i])) for i, a in enumerate(chosen)]

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Act with a copy of these weights instead of the model's own."""
        self._speaks = copy.copy(self.model)
        self._speaks.module = copy.deepcopy(self.model.module)
        self._speaks.load(weights)

    def clear(self) -> None:
        """Nothing is cached."""

    def close(self) -> None:
        """Let go of pinned weights."""
        self._speaks = self.model


def _check(request: Act, num_actions: int) -> None:
    wrong = ""
    if not 0 <= request.temperature < float("inf"):
        wrong = f"temperature {request.temperature}; expected 0 or more"
    elif request.legal is not None:
        legal = np.asarray(request.legal, bool)
        if legal.shape != (num_actions,):
            wrong = f"legal actions of shape {legal.shape}; expected ({num_actions},)"
        elif not legal.any():
            wrong = "no legal action; expected at least one"
    if wrong:
        raise ModelError(f"cannot act with {wrong}")
