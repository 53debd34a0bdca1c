"""Any causal language model of the transformers library, adapters included.

Its forward is the library's, the loop around it is ours: the same sampler and the same noise
as the native engine, exact log-probabilities, contexts shared, finished rows dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import (
    by_tokens,
    check_read,
    check_score,
    groups_of,
    padded_left,
    padded_right,
    wholes_of,
)
from askesis.engines.module_passes import one_step, whole_rows
from askesis.engines.rows import GOES_ON, Rows
from askesis.engines.sampler import Sampler
from askesis.engines.weight_sets import Speaker, WeightSets
from askesis.errors import ModelError
from askesis.models.language_model import LanguageModel, logp_from
from askesis.protocols import Gauge
from askesis.requests import ReadTokens, Said, SayTokens, ScoreTokens

READ_ELEMENTS = 1 << 26  # of the logits or hidden states of one batch: 256 MiB in float32


class TransformersEngine:
    """Speaks for any language model of the table, through its transformers module.

    max_rows: rows that run at a time. Rows of one batch start together; batches are formed from
    requests of similar length.
    """

    name = "transformers"
    capabilities = frozenset(
        {
            *("say", "score", "hidden", "logp", "exact_logp", "replayable"),
            *("allowed", "bias", "stop_strings", "min_p", "named_weights"),
        }
    )

    def __init__(self, model: Any, *, max_rows: int = 128) -> None:
        if max_rows < 1:
            raise ModelError("max_rows must be at least 1", found=str(max_rows))
        self.model, self.max_rows = model, max_rows
        self.gauge = Gauge()
        self._sets = WeightSets(model)
        self._note_heads()

    @classmethod
    def refusal(cls, model: Any) -> str:
        return "" if isinstance(model, LanguageModel) else "it is no language model"

    # ------------------------------------------------------------ contract

    @torch.inference_mode()
    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order. A context without room left says nothing."""
        return self._by_module(requests, self._say)

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        """float32 (N,) log-probabilities of each target, under the model at temperature one.

        ModelError where a row does not fit the context.
        """
        for request in requests:
            check_score(request, self.model.renderer.context_length)
        return self._by_module(requests, self._score)

    @torch.inference_mode()
    def hidden(self, requests: Sequence[ReadTokens]) -> list[np.ndarray]:
        """float32 (width,) behind the last norm, after each context."""
        return [state.float().cpu().numpy() for state in self._read(requests)]

    @torch.inference_mode()
    def value(self, requests: Sequence[ReadTokens]) -> list[float]:
        """What the value head says after each context."""
        states, found = self._read(requests), [0.0] * len(requests)
        for name in dict.fromkeys(r.weights for r in requests):
            places = [i for i, r in enumerate(requests) if r.weights == name]
            some = torch.stack([states[i] for i in places])
            values = self._sets.read_head(name, "value", some).tolist()
            for i, value in zip(places, values, strict=True):
                found[i] = value
        return found

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Speak with a copy of these weights from the next request on, as `name`."""
        self._sets.load(weights, name)
        self._note_heads()

    def attach(self, model: Any, name: str) -> None:
        """Speak for another entry, with what it weighs at the time."""
        self._sets.attach(model, name)
        self._note_heads()

    def drop(self, name: str) -> None:
        """Forget the weights of that name."""
        self._sets.drop(name)
        self._note_heads()

    def clear(self) -> None:
        """Nothing is cached between requests."""

    def close(self) -> None:
        """Let go of private copies."""
        self._sets.close()

    # ------------------------------------------------------------ how it works

    def _note_heads(self) -> None:
        plain = type(self).capabilities
        self.capabilities = plain | {"value"} if "value" in self._sets.heads else plain

    def _by_module(self, requests: Sequence[Any], serve: Callable[..., list[Any]]) -> list[Any]:
        """serve(module, requests, adapter of each) for the requests of each module, in order."""
        speakers = self._sets.speakers(r.weights for r in requests)
        parts: dict[int, list[int]] = {}
        for i, request in enumerate(requests):
            parts.setdefault(id(speakers[request.weights].module), []).append(i)
        found: list[Any] = [None] * len(requests)
        for places in parts.values():
            some = [requests[i] for i in places]
            heard: list[Speaker] = [speakers[r.weights] for r in some]
            adapters = np.array([s.adapter for s in heard], object)
            for i, answer in zip(places, serve(heard[0].module, some, adapters), strict=True):
                found[i] = answer
        return found

    def _say(self, module: Any, requests: Sequence[SayTokens], adapters: np.ndarray) -> list[Said]:
        vocab_size = module.get_output_embeddings().weight.shape[0]
        capacity = min(self.max_rows, len(requests))
        renderer = self.model.renderer
        rows = Rows(requests, renderer, capacity, vocab_size)
        sampler = Sampler(requests, vocab_size, self.model.device, renderer.vocab_size)
        batch: list[tuple[np.ndarray, np.ndarray]] = []
        room = capacity
        self.gauge.waiting = len(rows.to_say)
        for context, members in _groups(requests, rows.to_say, adapters):
            for first in range(0, len(members), capacity):
                some = members[first : first + capacity]
                if len(some) > room:
                    self._run(module, batch, rows, sampler, adapters)
                    batch, room = [], capacity
                batch.append((context, some))
                room -= len(some)
        if batch:
            self._run(module, batch, rows, sampler, adapters)
        return rows.answers

    def _run(
        self,
        module: Any,
        batch: list[tuple[np.ndarray, np.ndarray]],
        rows: Rows,
        sampler: Sampler,
        adapters: np.ndarray,
    ) -> None:
        """Read the contexts of a batch once each, then say tokens until every row is over."""
        device = self.model.device
        tokens, mask = padded_left([context for context, _ in batch], device)
        members = [some for _, some in batch]
        self.gauge.num_read += sum(len(context) for context, _ in batch)
        self.gauge.running = sum(map(len, members))
        self.gauge.waiting -= self.gauge.running
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        of = adapters[[some[0] for some in members]]
        out = one_step(module, tokens, mask, positions, None, of)
        source = torch.from_numpy(np.repeat(np.arange(len(batch)), [len(m) for m in members]))
        source = source.to(device)
        cache = out.past_key_values
        if len(source) != len(batch):
            cache.batch_select_indices(source)
        mask, logits = mask[source], out.logits[:, -1].float()[source]
        rows.add(np.concatenate(members))
        while True:
            some = slice(0, rows.n)
            drawn = sampler.draw(logits, rows.who[some], rows.said[some])
            said, logp_sampling, logp_model = (d.cpu().numpy() for d in drawn)
            self.gauge.num_said += len(said)
            why = rows.record(some, said, logp_sampling, logp_model)
            over = np.nonzero(why != GOES_ON)[0]
            if len(over):
                places = np.arange(rows.n)
                to, moved = rows.retire(over, why[over])
                places[to] = moved
                self.gauge.running = rows.n
                kept = torch.from_numpy(places[: rows.n]).to(device)
                if not rows.n:
                    return
                cache.batch_select_indices(kept)
                mask = mask[kept]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            newest = torch.from_numpy(rows.last[: rows.n]).to(device)[:, None]
            positions = torch.from_numpy(rows.length[: rows.n] - 1).to(device)[:, None]
            of = adapters[rows.who[: rows.n]]
            out = one_step(module, newest, mask, positions, cache, of)
            cache, logits = out.past_key_values, out.logits[:, -1].float()

    def _score(
        self, module: Any, requests: Sequence[ScoreTokens], adapters: np.ndarray
    ) -> list[np.ndarray]:
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(requests)
        wholes, wanted = wholes_of(requests)
        most = max(1, READ_ELEMENTS // module.get_output_embeddings().weight.shape[0])
        for batch in by_tokens(wanted, wholes, most):
            tokens, lengths = padded_right([wholes[i] for i in batch], self.model.device)
            self.gauge.num_read += sum(len(wholes[i]) for i in batch)
            logits = whole_rows(module, tokens, lengths, adapters[batch]).logits
            logp = logp_from(logits.float(), tokens).cpu().numpy()
            for row, i in zip(logp, batch, strict=True):
                begin = len(requests[i].context)
                found[i] = row[begin : begin + len(requests[i].target)].copy()
        return found

    def _read(self, requests: Sequence[ReadTokens]) -> list[torch.Tensor]:
        """The hidden state after each context, (width,) on the model's device."""
        for request in requests:
            check_read(request, self.model.renderer.context_length)
        return self._by_module(requests, self._hidden)

    def _hidden(
        self, module: Any, requests: Sequence[ReadTokens], adapters: np.ndarray
    ) -> list[torch.Tensor]:
        found: list[Any] = [None] * len(requests)
        contexts = [r.context for r in requests]
        order = sorted(range(len(requests)), key=lambda i: len(contexts[i]))
        config = module.config.get_text_config()
        # Every layer's states exist at a time, and the logits of positions nobody asked for
        # where the architecture cannot leave them out.
        each = (config.num_hidden_layers + 1) * config.hidden_size + config.vocab_size
        for batch in by_tokens(order, contexts, max(1, READ_ELEMENTS // each)):
            tokens, lengths = padded_right([contexts[i] for i in batch], self.model.device)
            self.gauge.num_read += sum(len(contexts[i]) for i in batch)
            out = whole_rows(module, tokens, lengths, adapters[batch], hidden=True)
            last = torch.arange(len(batch), device=tokens.device)
            states = out.hidden_states[-1][last, lengths - 1]
            for state, i in zip(states, batch, strict=True):
                found[i] = state
        return found


def _groups(
    requests: Sequence[SayTokens], asked: np.ndarray, adapters: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """As `groups_of`, the rows of different adapters apart."""
    found = []
    for adapter in dict.fromkeys(adapters[asked]):
        found += groups_of(requests, asked[adapters[asked] == adapter])
    return sorted(found, key=lambda group: -len(group[0]))
