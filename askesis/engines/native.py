"""Our own sampler for small dense decoders: continuous batching over a key-value cache.

Requests with equal contexts share one reading of it. Rows that finish leave at once and waiting
ones enter, so memory depends on how many run, not on how many wait. The same ordered requests
give the same bytes; what a key says does not depend on its neighbours beyond rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import Waiting, by_tokens, check_score, padded_right, wholes_of
from askesis.engines.packed import Cache, Packed
from askesis.engines.rows import GOES_ON, Rows
from askesis.engines.sampler import Sampler
from askesis.errors import ModelError
from askesis.models.decoder import Decoder
from askesis.requests import Said, SayTokens, ScoreTokens

READ_TOKENS = 8192  # padded tokens of prompts read in one pass
CACHE_BYTES = 1 << 30
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class NativeEngine:
    """Speaks for a model whose module is our `Decoder`.

    max_rows: rows that run at a time. dtype: of the matrix products, None takes the module's
    own; "bfloat16" is faster on processors that have it and costs up to 0.1 nats. cache_bytes
    bounds the key-value cache, and with it the rows of large models.
    """

    name = "native"
    capabilities = frozenset(
        {"say", "score", "allowed", "bias", "stop_strings", "exact_logp", "replayable"}
    )

    def __init__(
        self,
        model: Any,
        *,
        max_rows: int = 512,
        dtype: str | torch.dtype | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if not isinstance(model.module, Decoder):
            raise ModelError(
                f"the native engine does not cover model {model.name!r}",
                expected="a dense decoder of the Llama, Mistral, Qwen2 or Qwen3 shape",
                found=type(model.module).__name__,
                hint="Use `--engine transformers`, which runs any causal language model",
            )
        if max_rows < 1:
            raise ModelError("max_rows must be at least 1", found=str(max_rows))
        self.model, self.max_rows, self.cache_bytes = model, max_rows, cache_bytes
        self.dtype = _dtype(dtype, model.module.head.dtype)
        self._packed: Packed | None = None
        self._packed_of: tuple[Any, ...] = ()
        self._pinned: Mapping[str, torch.Tensor] | None = None
        self._cache: Cache | None = None
        self.num_read = 0  # prompt tokens read, shared ones once
        self.num_said = 0  # tokens drawn

    # ------------------------------------------------------------ contract

    @torch.inference_mode()
    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order. A context without room left says nothing."""
        if not requests:
            return []
        packed, renderer = self._weights(), self.model.renderer
        capacity = self._capacity(len(requests))
        rows = Rows(requests, renderer, capacity, packed.config.vocab_size)
        sampler = Sampler(requests, packed.config.vocab_size, packed.device)
        waiting = Waiting(requests, rows.to_say)
        cache = self._cache_for(capacity, rows.longest())
        few = max(1, capacity // 8)
        while rows.n or waiting.num:
            if waiting.num and (rows.n == 0 or capacity - rows.n >= few):
                self._admit(waiting.take(capacity - rows.n), rows, sampler, cache)
            if rows.n:
                some = slice(0, rows.n)
                tokens = torch.from_numpy(rows.last[some]).to(packed.device)
                positions = torch.from_numpy(rows.length[some] - 1).to(packed.device)
                logits = packed.logits(packed.step(tokens, positions, cache))
                self._speak(some, logits, rows, sampler, cache)
        return rows.answers

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        """float32 (N,) log-probabilities of each target, under the model at temperature one.

        ModelError where a row does not fit the context.
        """
        packed = self._weights()
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(requests)
        for request in requests:
            check_score(request, self.model.renderer.context_length)
        wholes, wanted = wholes_of(requests)
        for batch in by_tokens(wanted, wholes, READ_TOKENS):
            tokens, _ = padded_right([wholes[i] for i in batch], packed.device)
            logp = packed.logp(tokens).cpu().numpy()
            for row, i in zip(logp, batch, strict=True):
                begin = len(requests[i].context)
                found[i] = row[begin : begin + len(requests[i].target)].copy()
        return found

    def load(self, weights: Mapping[str, Any]) -> None:
        """Speak with these weights from the next request on, whatever the model learns."""
        self._pinned = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self._packed = None

    def clear(self) -> None:
        """Forget everything that was computed from weights or contexts."""
        self._packed = None

    def close(self) -> None:
        """Free the cache."""
        self._packed = self._cache = None

    # ------------------------------------------------------------ how it works

    def _weights(self) -> Packed:
        """Packed weights, made anew where the model's have changed since."""
        if self._pinned is not None:
            if self._packed is None:
                self._packed = Packed(self.model.module.config, self._pinned, self.dtype)
            return self._packed
        parameters = list(self.model.module.parameters())
        state = (self.model.version, *((p.data_ptr(), p._version) for p in parameters))
        if self._packed is None or state != self._packed_of:
            weights = self.model.module.state_dict()
            self._packed = Packed(self.model.module.config, weights, self.dtype)
            self._packed_of = state
        return self._packed

    def _capacity(self, num_requests: int) -> int:
        c = self.model.module.config
        a_row = c.num_layers * 2 * c.num_kv_heads * c.context_length * c.head_size * 4
        return max(1, min(self.max_rows, num_requests, self.cache_bytes // a_row))

    def _cache_for(self, num_rows: int, num_columns: int) -> Cache:
        """The kept cache where it is large enough, else a new one, in steps of 64 columns."""
        kept, packed = self._cache, self._weights()
        if kept is None or kept.num_rows < num_rows or kept.num_columns < num_columns:
            columns = -(-num_columns // 64) * 64
            if kept is not None:
                num_rows, columns = max(num_rows, kept.num_rows), max(columns, kept.num_columns)
            self._cache = kept = None  # free it before the larger one is made
            self._cache = Cache(packed.config, num_rows, columns, packed.device)
        assert self._cache is not None
        return self._cache

    def _admit(
        self, groups: list[tuple[np.ndarray, np.ndarray]], rows: Rows, sampler: Sampler,
        cache: Cache,
    ) -> None:
        """Read the contexts of groups of requests once each, and let their rows begin."""
        packed = self._weights()
        contexts = [context for context, _ in groups]
        for batch in by_tokens(range(len(groups)), contexts, READ_TOKENS):
            tokens, lengths = padded_right([contexts[i] for i in batch], packed.device)
            self.num_read += int(lengths.sum())
            x, kept = packed.read(tokens, lengths)
            members = [groups[i][1] for i in batch]
            source = torch.from_numpy(
                np.repeat(np.arange(len(batch)), [len(m) for m in members])
            ).to(packed.device)
            some = rows.add(np.concatenate(members))
            cache.fill(some.start, kept, source)
            self._speak(some, packed.logits(x)[source], rows, sampler, cache)

    def _speak(
        self, some: slice, logits: torch.Tensor, rows: Rows, sampler: Sampler, cache: Cache
    ) -> None:
        """Draw a token for the rows of a slice; those that finish leave."""
        drawn = sampler.draw(logits, rows.who[some], rows.said[some])
        tokens, logp_sampling, logp_model = (d.cpu().numpy() for d in drawn)
        self.num_said += len(tokens)
        why = rows.record(some, tokens, logp_sampling, logp_model)
        over = np.nonzero(why != GOES_ON)[0]
        if len(over):
            to, source = rows.retire(some.start + over, why[over])
            if len(to):
                span = int(rows.length[to].max())
                device = cache.data.device
                cache.move(
                    torch.from_numpy(to).to(device), torch.from_numpy(source).to(device), span
                )


def _dtype(dtype: str | torch.dtype | None, own: torch.dtype) -> torch.dtype:
    if dtype is None:
        return own
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found not in DTYPES.values():
        raise ModelError(f"the native engine has no dtype {dtype!r}", expected=", ".join(DTYPES))
    return found
