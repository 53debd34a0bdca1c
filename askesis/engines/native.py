"""Our own sampler for small dense decoders: continuous batching over a key-value cache.

Requests with equal contexts share one reading of it. Rows that finish leave at once and waiting
ones enter, so memory depends on how many run, not on how many wait. The same ordered requests
give the same bytes (for one number of threads); what a key says does not depend on its
neighbours beyond rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import by_tokens, check_score, groups_of, padded_right, wholes_of
from askesis.engines.continuous import READ_TOKENS, ContinuousBatch
from askesis.engines.packed import Packed
from askesis.errors import ModelError
from askesis.models.decoder import Decoder
from askesis.protocols import Gauge
from askesis.requests import EMPTY_SAID, Said, SayTokens, ScoreTokens

CACHE_BYTES = 1 << 30
SMALL_MODEL = 20_000_000  # parameters up to which cores work on rows, not on parts of a product
WORTH_A_THREAD = 32  # rows below which another thread does not pay
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class NativeEngine:
    """Speaks for a model whose module is our `Decoder`.

    max_rows: rows that run at a time, over all threads. dtype: of the matrix products, None
    takes the module's own; "bfloat16" is faster on processors that have it and costs up to 0.1
    nats. cache_bytes bounds the key-value cache, and with it the rows of large models.
    `num_read` and `num_said` count prompt tokens read (shared ones once) and tokens drawn.
    """

    name = "native"
    capabilities = frozenset(
        {
            *("say", "score", "logp", "exact_logp", "replayable"),
            *("allowed", "bias", "stop_strings", "min_p"),
        }
    )

    def __init__(
        self,
        model: Any,
        *,
        max_rows: int = 512,
        dtype: str | torch.dtype | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if max_rows < 1:
            raise ModelError("max_rows must be at least 1", found=str(max_rows))
        self.model, self.max_rows, self.cache_bytes = model, max_rows, cache_bytes
        self.dtype = _dtype(dtype, model.module.head.dtype)
        self._packed: Packed | None = None
        self._packed_of: tuple[Any, ...] = ()
        self._pinned: Mapping[str, torch.Tensor] | None = None
        self._batches: list[ContinuousBatch] = []
        self._threads: ThreadPoolExecutor | None = None

    @classmethod
    def refusal(cls, model: Any) -> str:
        module = getattr(model, "module", None)
        if isinstance(module, Decoder):
            return ""
        return f"{type(module).__name__} is no decoder of the Llama, Mistral, Qwen2 or Qwen3 shape"

    @property
    def gauge(self) -> Gauge:
        return Gauge(
            sum(batch.num_said for batch in self._batches),
            sum(batch.num_read for batch in self._batches),
        )

    # ------------------------------------------------------------ contract

    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order. A context without room left says nothing."""
        if not requests:
            return []
        packed, renderer = self._weights(), self.model.renderer
        shares = self._shares(requests)
        self._open_batches(len(shares))
        halt = Event()

        def one(number: int) -> list[Said]:
            mine = [requests[i] for i in shares[number]]
            return self._batches[number].say(packed, renderer, mine, halt)

        answers: list[Said] = [EMPTY_SAID] * len(requests)
        for share, said in zip(shares, self._side_by_side(one, len(shares), halt), strict=True):
            for i, answer in zip(share, said, strict=True):
                answers[i] = answer
        return answers

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

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Speak with these weights from the next request on, whatever the model learns."""
        self._pinned = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self._packed = None

    def clear(self) -> None:
        """Forget everything that was computed from weights or contexts."""
        self._packed = None

    def close(self) -> None:
        """Free caches and threads."""
        self._packed, self._batches = None, []
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    # ------------------------------------------------------------ how it works

    @torch.inference_mode()
    def _weights(self) -> Packed:
        """Packed weights, made anew where the model's have changed since."""
        config = self.model.module.config
        if self._pinned is not None:
            if self._packed is None:
                self._packed = Packed(config, self._pinned, self.dtype)
            return self._packed
        parameters = self.model.module.parameters()
        state = (self.model.version, *((p.data_ptr(), p._version) for p in parameters))
        if self._packed is None or state != self._packed_of:
            self._packed = Packed(config, self.model.module.state_dict(), self.dtype)
            self._packed_of = state
        return self._packed

    def _shares(self, requests: Sequence[SayTokens]) -> list[list[int]]:
        """The requests of each thread, a function of the requests and of how many threads there
        are. Requests with one context stay together unless they are more than a fair share."""
        module = self.model.module
        num = torch.get_num_threads()
        if module.head.device.type != "cpu" or self.model.num_parameters > SMALL_MODEL:
            num = 1
        num = max(1, min(num, len(requests) // WORTH_A_THREAD, self.max_rows))
        if num == 1:
            return [list(range(len(requests)))]
        shares: list[list[int]] = [[] for _ in range(num)]
        fair = -(-len(requests) // num)
        for _, members in groups_of(requests, np.arange(len(requests))):
            for first in range(0, len(members), fair):
                least = min(shares, key=len)
                least.extend(members[first : first + fair].tolist())
        return [sorted(share) for share in shares if share]

    def _open_batches(self, num: int) -> None:
        """One running batch a thread; together they hold `max_rows` rows at most."""
        c = self.model.module.config
        a_row = c.num_layers * 2 * c.num_kv_heads * c.context_length * c.head_size * 4
        rows = max(1, min(self.max_rows, self.cache_bytes // a_row) // num)
        while len(self._batches) < num:
            self._batches.append(ContinuousBatch(rows))
        for batch in self._batches:
            batch.max_rows = rows

    def _side_by_side(
        self, call: Callable[[int], list[Said]], num: int, halt: Event
    ) -> list[list[Said]]:
        """call(0), call(1), ... each on a thread of its own that does not split its products."""
        if num == 1:
            return [call(0)]
        threads = torch.get_num_threads()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(threads, "native", torch.set_num_threads, (1,))
        waits = [self._threads.submit(call, i) for i in range(num)]
        try:
            return [wait.result() for wait in waits]
        finally:
            halt.set()  # after a failure or Ctrl-C the others end at their next step
            for wait in waits:
                wait.exception()
            torch.set_num_threads(threads)  # what the threads set is the default of later ones


def _dtype(dtype: str | torch.dtype | None, own: torch.dtype) -> torch.dtype:
    if dtype is None:
        return own
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found is None or found not in DTYPES.values():
        raise ModelError(f"the native engine has no dtype {dtype!r}", expected=", ".join(DTYPES))
    return found
