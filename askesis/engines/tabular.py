"""The engine of the smallest model: exact, replayable, with a value head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import check_read, check_score
from askesis.engines.rows import GOES_ON, Rows
from askesis.engines.sampler import Sampler
from askesis.errors import ModelError, nearest
from askesis.models.tabular import TabularModel
from askesis.protocols import Gauge
from askesis.requests import ReadTokens, Said, SayTokens, ScoreTokens


class TabularEngine:
    """Speaks for a `TabularModel`, all rows in step, by table look-up."""

    name = "tabular"
    capabilities = frozenset(
        {
            *("say", "score", "value", "logp", "exact_logp", "replayable"),
            *("allowed", "bias", "stop_strings", "min_p", "named_weights", "mixture"),
        }
    )

    def __init__(self, model: Any) -> None:
        self.model = model
        self.gauge = Gauge()
        self._sets: dict[str, Any] = {"": model}  # an entry, or a mapping of pinned tensors

    @classmethod
    def refusal(cls, model: Any) -> str:
        return "" if isinstance(model, TabularModel) else "it is no table of logits"

    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order. A context without room left says nothing."""
        if not requests:
            return []
        renderer = self.model.renderer
        rows = Rows(requests, renderer, len(requests), renderer.vocab_size)
        sampler = Sampler(requests, renderer.vocab_size)
        rows.add(rows.to_say)
        rows.last[: rows.n] = [requests[i].context[-1] for i in rows.who[: rows.n]]
        self.gauge.num_read += sum(len(requests[i].context) for i in rows.to_say)
        tables, sets = self._tables("logits", requests)
        while rows.n:
            self.gauge.running = rows.n
            some, who = slice(0, rows.n), rows.who[: rows.n]
            logits = self._logits(tables, sets[who], rows.last[some])
            drawn = [d.numpy() for d in sampler.draw(logits, who, rows.said[some])]
            self.gauge.num_said += rows.n
            why = rows.record(some, *drawn)
            over = np.nonzero(why != GOES_ON)[0]
            if len(over):
                rows.retire(over, why[over])
        self.gauge.running = 0
        return rows.answers

    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        """float32 (N,) log-probabilities of each target, under the model at temperature one."""
        for request in requests:
            check_score(request, self.model.renderer.context_length)
        if not requests:
            return []
        lengths = [len(r.target) for r in requests]
        tables, sets = self._tables("logits", requests)
        read = [np.append(r.context[-1:], r.target[:-1]) for r in requests if len(r.target)]
        targets = np.concatenate([r.target for r in requests]).astype(np.int64)
        if not len(targets):
            return [np.zeros(0, np.float32) for _ in requests]
        logits = self._logits(tables, np.repeat(sets, lengths), np.concatenate(read))
        logp = torch.log_softmax(logits, -1).numpy()[np.arange(len(targets)), targets]
        return np.split(logp, np.cumsum(lengths)[:-1])

    def value(self, requests: Sequence[ReadTokens]) -> list[float]:
        """The value head after each context."""
        for request in requests:
            check_read(request, self.model.renderer.context_length)
        if not requests:
            return []
        tables, sets = self._tables("value", requests)
        return tables[sets, np.array([int(r.context[-1]) for r in requests])].tolist()

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Speak with a copy of these weights from the next request on, as `name`."""
        self._sets[name] = {key: tensor.detach().clone() for key, tensor in weights.items()}

    def attach(self, model: Any, name: str) -> None:
        """Speak for another table of the same alphabet, with what it weighs at the time."""
        self._sets[name] = model

    def drop(self, name: str) -> None:
        """Forget the weights of that name."""
        self._sets.pop(name, None)

    def mixture(self, members: Sequence[tuple[float, Any, Any]]) -> TabularEngine:
        """An engine for (coefficient, model, pinned weights or None) of several tables together.

        It speaks with the distribution proportional to exp(sum of coefficient times
        log-probability). ModelError where they do not share an alphabet.
        """
        return _Mixture(self.model, members)

    def clear(self) -> None:
        """Nothing is cached."""

    def close(self) -> None:
        """Let go of pinned tables."""
        self._sets = {"": self.model}

    def _tables(self, key: str, requests: Sequence[Any]) -> tuple[torch.Tensor, np.ndarray]:
        """The tensors of that name of the sets that are asked for, stacked; which set each request
        wants, (N,)."""
        names = {name: i for i, name in enumerate(dict.fromkeys(r.weights for r in requests))}
        found = []
        for name in names:
            if name not in self._sets:
                hint = nearest(name, self._sets)
                raise ModelError(f"engine {self.name!r} has no weights {name!r}", hint=hint)
            one = self._sets[name]
            tensor = one[key] if isinstance(one, Mapping) else getattr(one.module, key)
            found.append(tensor.detach())
        return torch.stack(found), np.array([names[r.weights] for r in requests])

    def _logits(self, tables: torch.Tensor, sets: np.ndarray, lasts: np.ndarray) -> torch.Tensor:
        """(N, vocab) after each last token; padding is never allowed."""
        logits = tables[sets, lasts]
        logits[:, self.model.renderer.pad_token] = -torch.inf
        return logits


class _Mixture(TabularEngine):
    """Several tables as one, composed anew at every request because they may have learnt."""

    capabilities = TabularEngine.capabilities - {"value", "named_weights", "mixture"}

    def __init__(self, model: Any, members: Sequence[tuple[float, Any, Any]]) -> None:
        super().__init__(model)
        self._members = list(members)
        for _, other, _ in members:
            if other.renderer.vocab_size != model.renderer.vocab_size:
                raise ModelError(
                    "the models of a mixture must share a vocabulary",
                    found=f"{model.renderer.vocab_size} and {other.renderer.vocab_size} tokens",
                )

    def _tables(self, key: str, requests: Sequence[Any]) -> tuple[torch.Tensor, np.ndarray]:
        """The composed table, in the place of the only set."""
        total: Any = 0.0
        real = self.model.renderer.pad_token  # what stands behind it is never said
        for coefficient, model, weights in self._members:
            tensor = model.module.logits if weights is None else weights["logits"]
            logits = tensor.detach()
            total = total + coefficient * torch.log_softmax(logits[:, :real], -1)
        padded = torch.cat([total, torch.zeros_like(total[:, :1])], 1)
        return padded[None], np.zeros(len(requests), np.int64)
