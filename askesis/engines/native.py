"""Our own sampler for small dense decoders: continuous batching over a cache of known prefixes.

Requests with equal contexts share one reading of it, and a context that continues an earlier one
pays for its new tokens only. Rows that finish leave at once and waiting ones enter, so memory
depends on how many run, not on how many wait. The same ordered requests after `clear` give the
same bytes (for one number of threads); what a key says does not depend on its neighbours beyond
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from threading import Event
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import check_read, check_score, groups_of
from askesis.engines.blocks import BLOCK, Blocks
from askesis.engines.continuous import ContinuousBatch, Hidden, Scores
from askesis.engines.packed import Packed
from askesis.engines.passes import MixedPass, Pass, TensorPass
from askesis.engines.sources import Source, config_of
from askesis.errors import ModelError
from askesis.models.decoder import Decoder
from askesis.models.heads import heads_of, read_head
from askesis.protocols import Gauge
from askesis.requests import EMPTY_SAID, ReadTokens, Said, SayTokens, ScoreTokens

CACHE_BYTES = 1 << 30
KNOWN_BYTES = 1 << 27
SMALL_MODEL = 20_000_000  # parameters up to which cores work on rows, not on parts of a product
WORTH_A_THREAD = 32  # rows below which another thread does not pay
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class NativeEngine:
    """Speaks for dense decoders of the Llama, Mistral, Qwen2 and Qwen3 shapes.

    max_rows: rows that run at a time, over all threads. dtype: of the matrix products, "" takes
    the module's own; "bfloat16" is faster on processors that have it and costs up to 0.1 nats.
    cache_bytes bounds the key-value cache, and with it the rows of large models; known_bytes what
    is kept of rows that are over, for requests that continue them.
    """

    name = "native"
    capabilities = frozenset(
        {
            *("say", "score", "hidden", "logp", "exact_logp", "replayable"),
            *("allowed", "bias", "stop_strings", "min_p", "named_weights", "mixture"),
        }
    )

    def __init__(
        self,
        model: Any,
        *,
        max_rows: int = 512,
        dtype: str = "",
        cache_bytes: int = CACHE_BYTES,
        known_bytes: int = KNOWN_BYTES,
    ) -> None:
        if max_rows < 1:
            raise ModelError("max_rows must be at least 1", found=str(max_rows))
        self.model, self.max_rows = model, max_rows
        self.cache_bytes, self.known_bytes = cache_bytes, known_bytes
        self.dtype = _dtype(dtype, next(model.module.parameters()).dtype)
        self._sources: dict[str, list[tuple[float, Source]]] = {
            "": [(1.0, Source(model, self.dtype))]
        }
        self._roots: dict[str, int] = {}
        self._last_root = 0
        self._batches: list[ContinuousBatch] = []
        self._threads: ThreadPoolExecutor | None = None
        if "value" in heads_of(model.module):
            self.capabilities = self.capabilities | {"value"}

    @classmethod
    def refusal(cls, model: Any) -> str:
        module = getattr(model, "module", None)
        if isinstance(module, Decoder):
            return ""
        if module is None or not hasattr(model, "config"):
            return "it is no decoder of the Llama, Mistral, Qwen2 or Qwen3 shape"
        try:
            config_of(model)
        except ModelError as error:
            return f"it wants {error.expected}, and this has {error.found}"
        except AttributeError:
            return f"{type(module).__name__} has no configuration it knows"
        return ""

    @property
    def gauge(self) -> Gauge:
        gauges = [batch.gauge for batch in self._batches]
        return Gauge(
            num_said=sum(g.num_said for g in gauges),
            num_read=sum(g.num_read for g in gauges),
            num_reused=sum(g.num_reused for g in gauges),
            running=sum(g.running for g in gauges),
            waiting=sum(g.waiting for g in gauges),
        )

    # ------------------------------------------------------------ contract

    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order. A context without room left says nothing."""
        answers: list[Said] = [EMPTY_SAID] * len(requests)
        renderer = self.model.renderer
        for name, places in _by_weights(requests):
            some = [requests[i] for i in places]
            root = self._use(name, len(some))
            groups = [members for _, members in groups_of(some, np.arange(len(some)))]
            shares = self._shares(root, [r.context for r in some], groups)
            halt, mine = Event(), [[some[i] for i in share] for share in shares]
            calls = [
                partial(batch.say, root, renderer, part, halt)
                for batch, part in zip(self._batches, mine, strict=False)
            ]
            for share, said in zip(shares, self._side_by_side(calls, halt), strict=True):
                for i, answer in zip(share, said, strict=True):
                    answers[places[i]] = answer
        return answers

    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        """float32 (N,) log-probabilities of each target, under the model at temperature one.

        ModelError where a row does not fit the context.
        """
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(requests)
        for request in requests:
            check_score(request, self.model.renderer.context_length)
        for name, places in _by_weights(requests):
            some = [i for i in places if len(requests[i].target)]
            rows = [_row(requests[i].context, requests[i].target[:-1]) for i in some]
            first = [len(requests[i].context) - 1 for i in some]
            targets = [requests[i].target for i in some]
            scored = self._read(name, rows, first, targets)
            for i, logp in zip(some, scored, strict=True):
                found[i] = logp
        return found

    def hidden(self, requests: Sequence[ReadTokens]) -> list[np.ndarray]:
        """float32 (width,) behind the last norm, after each context."""
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(requests)
        for request in requests:
            check_read(request, self._context_length)
        for name, places in _by_weights(requests):
            rows = [_row(requests[i].context) for i in places]
            read = self._read(name, rows, [len(row) - 1 for row in rows], None)
            for i, state in zip(places, read, strict=True):
                found[i] = state[0]
        return found

    def value(self, requests: Sequence[ReadTokens]) -> list[float]:
        """The value head after each context."""
        states = self.hidden(requests)
        found = [0.0] * len(requests)
        for name, places in _by_weights(requests):
            ((_, source),) = self._sources[name]
            read = torch.from_numpy(np.stack([states[i] for i in places])).to(source.model.device)
            values = read_head("value", read, source.heads())
            for i, value in zip(places, values.tolist(), strict=True):
                found[i] = float(value)
        return found

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Speak with a copy of these weights from the next request on, as `name`."""
        self._sources[name] = [(1.0, Source(self.model, self.dtype, weights))]
        self._roots.pop(name, None)

    def attach(self, model: Any, name: str) -> None:
        """Speak for another model of the same shape, with what it weighs at the time."""
        self._sources[name] = [(1.0, Source(model, self.dtype))]
        self._roots.pop(name, None)
        if "value" in getattr(model, "heads", ()):
            self.capabilities = self.capabilities | {"value"}

    def drop(self, name: str) -> None:
        """Forget the weights of that name."""
        del self._sources[name]
        self._roots.pop(name, None)

    def mixture(self, members: Sequence[tuple[float, Any, Any]]) -> NativeEngine:
        """An engine for (coefficient, model, pinned weights or None) of several models together.

        It speaks with the distribution proportional to exp(sum of coefficient times
        log-probability). ModelError where they do not share a vocabulary.
        """
        return _Mixture(self, members)

    def clear(self) -> None:
        """Forget everything that was computed from weights or contexts."""
        for sources in self._sources.values():
            for _, source in sources:
                source.forget()
        for batch in self._batches:
            batch.blocks.clear()
        self._roots.clear()

    def close(self) -> None:
        """Free caches and threads."""
        self.clear()
        self._batches = []
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    # ------------------------------------------------------------ how it works

    @property
    def _context_length(self) -> int:
        return min(
            self.model.renderer.context_length,
            *(s.config.context_length for _, s in self._sources[""]),
        )

    def _use(self, name: str, num_rows: int) -> int:
        """Make ready to speak with the weights of a name; the root of what they computed."""
        if name not in self._sources:
            raise ModelError(f"engine {self.name!r} has no weights {name!r}")
        packed = []
        for _, source in self._sources[name]:
            weights, anew = source.packed()
            packed.append(weights)
            if anew or name not in self._roots:
                self._last_root -= 1
                self._roots[name] = self._last_root
        self._open_batches(self._num_threads(num_rows), packed)
        for batch in self._batches:
            batch.speaks.use(packed)
        return self._roots[name]

    def _num_threads(self, num_rows: int) -> int:
        num = torch.get_num_threads()
        if self.model.device.type != "cpu" or self.model.num_parameters > SMALL_MODEL:
            num = 1
        return max(1, min(num, num_rows // WORTH_A_THREAD, self.max_rows))

    def _shares(
        self, root: int, rows: Sequence[np.ndarray], groups: Sequence[np.ndarray]
    ) -> list[list[int]]:
        """The requests of each thread, a function of the requests, of what is known, and of how
        many threads there are.

        Requests with one context stay together unless they are more than a fair share, and go
        where most of their context is known unless that thread has enough to do.
        """
        num = self._num_threads(len(rows))
        if num == 1:
            return [list(range(len(rows)))]
        shares: list[list[int]] = [[] for _ in range(num)]
        fair = -(-len(rows) // num)
        for members in groups:
            context = rows[members[0]]
            known = [b.blocks.match(root, context, len(context) - 1) for b in self._batches[:num]]
            best = max(range(num), key=lambda i: known[i].num_tokens)
            for first in range(0, len(members), fair):
                some = members[first : first + fair].tolist()
                least = min(range(num), key=lambda i: len(shares[i]))
                there = known[best].num_tokens > known[least].num_tokens
                if there and len(shares[best]) + len(some) <= 1.1 * fair:
                    least = best
                shares[least].extend(some)
        return [sorted(share) for share in shares]

    def _open_batches(self, num: int, packed: Sequence[Packed]) -> None:
        """One running batch a thread; together they hold `max_rows` rows and the cache."""
        if len(self._batches) >= num:
            return
        configs = [p.config for p in packed]
        a_block = sum(
            c.num_layers * c.num_kv_heads * BLOCK * self.dtype.itemsize
            * (c.head_size + -(-c.head_size // BLOCK) * BLOCK)
            for c in configs
        )  # fmt: skip
        threads = self._num_threads(self.max_rows * WORTH_A_THREAD)
        row_blocks = -(-min(c.context_length for c in configs) // BLOCK)
        num_blocks = max(2 * row_blocks, self.cache_bytes // a_block // threads)
        num_rows = max(1, self.max_rows // threads)
        num_blocks = min(
            num_blocks, (num_rows + 1) * row_blocks + self.known_bytes // a_block // threads
        )
        while len(self._batches) < num:
            blocks = Blocks(
                num_blocks, num_rows, row_blocks, self.known_bytes // a_block // threads
            )
            passes: list[Pass] = [_pass(p, num_blocks) for p in packed]
            coefficients = [c for c, _ in self._sources[""]]
            speaks = passes[0]
            if isinstance(self, _Mixture):
                speaks = MixedPass(list(zip(coefficients, passes, strict=True)))
            self._batches.append(ContinuousBatch(speaks, blocks))

    def _read(
        self,
        name: str,
        rows: list[np.ndarray],
        first: list[int],
        targets: list[np.ndarray] | None,
    ) -> list[np.ndarray]:
        """Per row, from place `first` on: log-probabilities of targets, or hidden states."""
        if not rows:
            return []
        root = self._use(name, len(rows))
        shares = self._shares(root, rows, [np.array([i]) for i in range(len(rows))])
        halt = Event()

        def read(batch: ContinuousBatch, share: list[int]) -> list[np.ndarray]:
            answer: Hidden | Scores = Hidden(batch)
            if targets is not None:
                answer = Scores(batch, np.concatenate([targets[i] for i in share]))
            some, wanted = [rows[i] for i in share], [first[i] for i in share]
            return batch.read(root, some, wanted, answer, halt)

        calls = [
            partial(read, batch, share) for batch, share in zip(self._batches, shares, strict=False)
        ]
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(rows)
        for share, parts in zip(shares, self._side_by_side(calls, halt), strict=True):
            everything = np.concatenate(parts)
            at = 0
            for i in share:
                num = len(rows[i]) - first[i]
                found[i] = everything[at : at + num].copy()
                at += num
        return found

    def _side_by_side(self, calls: Sequence[Callable[[], Any]], halt: Event) -> list[Any]:
        """What the calls say, each on a thread of its own that does not split its products."""
        try:
            if len(calls) == 1:
                return [calls[0]()]
            threads = torch.get_num_threads()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(threads, "native", torch.set_num_threads, (1,))
            waits = [self._threads.submit(call) for call in calls]
            try:
                return [wait.result() for wait in waits]
            finally:
                halt.set()  # after a failure or Ctrl-C the others end at their next step
                for wait in waits:
                    wait.exception()
                torch.set_num_threads(threads)  # what the threads set is the default of later ones
        except BaseException:
            self._batches = []  # rows that did not end hold their blocks
            raise


class _Mixture(NativeEngine):
    """Several models over one tokeniser, spoken for together."""

    capabilities = NativeEngine.capabilities - {"hidden", "named_weights", "mixture"}

    def __init__(self, of: NativeEngine, members: Sequence[tuple[float, Any, Any]]) -> None:
        first = members[0][1]
        super().__init__(
            first,
            max_rows=of.max_rows,
            dtype=str(of.dtype).removeprefix("torch."),
            cache_bytes=of.cache_bytes,
            known_bytes=of.known_bytes,
        )
        self.capabilities = _Mixture.capabilities
        sizes = {member.renderer.vocab_size for _, member, _ in members}
        if len(sizes) > 1:
            raise ModelError(
                "the models of a mixture must share a vocabulary",
                found=f"vocabularies of {', '.join(map(str, sorted(sizes)))} tokens",
            )
        for _, member, _ in members:
            reason = self.refusal(member)
            if reason:
                raise ModelError(f"the native engine does not cover {member.name!r}: {reason}")
        self._sources = {
            "": [(c, Source(member, self.dtype, pinned)) for c, member, pinned in members]
        }


def _pass(packed: Packed, num_blocks: int) -> Pass:
    """The fastest pass this machine has."""
    if packed.device.type == "cpu" and find_spec("numba") is not None:
        from askesis.engines.compiled_pass import CompiledPass

        return CompiledPass(packed, num_blocks)
    return TensorPass(packed, num_blocks)


def _by_weights(requests: Sequence[Any]) -> list[tuple[str, list[int]]]:
    """Places of the requests for each set of weights, in order of first mention."""
    found: dict[str, list[int]] = {}
    for i, request in enumerate(requests):
        found.setdefault(request.weights, []).append(i)
    return list(found.items())


def _row(*parts: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate(parts), np.int32)


def _dtype(dtype: str, own: torch.dtype) -> torch.dtype:
    if not dtype:
        return own if own in DTYPES.values() else torch.float32
    if dtype not in DTYPES:
        raise ModelError(f"the native engine has no dtype {dtype!r}", expected=", ".join(DTYPES))
    return DTYPES[dtype]
