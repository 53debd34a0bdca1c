"""vLLM as an engine: in this process, behind a URL, or as a server that it starts itself.

vllm                            in this process (vLLM installed in this environment)
vllm?python=/path/to/python     a server of our own in another environment, ended with the engine
vllm?url=http://127.0.0.1:8000  a server that somebody else runs

Weights are replaced in place as soon as they have changed, without a restart; adapters are served
as adapters over the base, several in one batch. Log-probabilities are exact: vLLM reports those of
the sampling distribution, and where that is not the model's own, what was said is read once more.
The noise is vLLM's own, seeded per row by the request's key, so it says other things than the
other engines say for the same key.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import check_score
from askesis.engines.vllm_http import MOST_BIAS, HttpVllm
from askesis.engines.vllm_local import ADAPTERS, BLOCK, LocalVllm, check_installed, rank_for
from askesis.engines.vllm_rows import (
    NO_STOPS,
    Ask,
    Backend,
    Stops,
    check_settings,
    end_of,
    is_plain,
    limits_of,
    say_settings,
    score_ask,
    scored,
    unsaid,
)
from askesis.engines.vllm_server import VllmServer
from askesis.engines.vllm_weights import WeightSet, checkpoint, save_checkpoint
from askesis.errors import ModelError
from askesis.models.language_model import LanguageModel
from askesis.protocols import Gauge
from askesis.requests import Said, SayTokens, ScoreTokens

CPU_CACHE_BYTES = 1 << 30
HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)  # of vLLM's attention on a CPU
DTYPES = ("float32", "bfloat16", "float16")


class VllmEngine:
    """Speaks for language models through vLLM, which opens at the first request.

    max_rows: rows that run at a time. dtype: of vLLM's weights and products, "" the model's own.
    cache_bytes: of the key-value cache; 0 is what the rows need but 1 GiB at most on a CPU, and on
    a GPU what memory_fraction of its memory leaves beside the weights. eager: without compilation
    (true on a CPU by default).
    merge: adapters are merged into the weights, one set at a time, instead of served as such.
    url, python: a server in place of this process; timeout_s: for one of its answers, and for it
    to come up.

    Full weights under several names take turns in place; each turn costs a reload and the prefix
    cache. Beyond temperatures below 0.01, and top_p together with min_p, which are refused, all
    settings of a request are honoured.
    """

    name = "vllm"
    capabilities = frozenset(
        {
            *("say", "score", "logp", "exact_logp", "allowed", "bias", "stop_strings", "min_p"),
            *("named_weights", "replayable"),
        }
    )

    def __init__(
        self,
        model: Any,
        *,
        max_rows: int = 256,
        dtype: str = "",
        cache_bytes: int = 0,
        memory_fraction: float = 0.5,
        eager: bool | None = None,
        merge: bool = False,
        url: str = "",
        python: str = "",
        timeout_s: float = 600.0,
    ) -> None:
        if max_rows < 1:
            raise ModelError("max_rows must be at least 1", found=str(max_rows))
        if dtype and dtype not in DTYPES:
            raise ModelError(f"vLLM has no dtype {dtype!r}", expected=", ".join(DTYPES))
        if url and python:
            raise ModelError("vLLM is either at `url` or started with `python`, not both")
        if not url and not python:
            check_installed()
        own = str(next(model.module.parameters()).dtype).removeprefix("torch.")
        self.model, self.max_rows, self.dtype = model, max_rows, dtype or own
        self._cache_bytes, self._memory_fraction = cache_bytes, memory_fraction
        self._eager, self._merge = eager, merge
        self._url, self._python, self._timeout_s = url, python, timeout_s
        if url or python:  # which rows share a batch there is a matter of arrival
            self.capabilities = self.capabilities - {"replayable"}
        self._sets = {"": WeightSet(model, merge=merge)}
        self._backend: Backend | None = None
        self._server: VllmServer | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._rank = 0  # of the largest adapters vLLM was opened for, and the matrices they adapt
        self._layers: frozenset[str] = frozenset()
        self._holds: Any = None  # which whole weights vLLM has (`WeightSet.base`)
        self._num_labels = 0
        self.gauge = Gauge()

    @classmethod
    def refusal(cls, model: Any) -> str:
        if not isinstance(model, LanguageModel):
            return "it is no language model"
        if not getattr(model.config, "architectures", None):
            return "its configuration names no architecture"
        text = model.config.get_text_config()
        heads = getattr(text, "num_attention_heads", 1)
        size = getattr(text, "head_dim", None) or text.hidden_size // heads
        if not torch.cuda.is_available() and size not in HEAD_SIZES:
            return f"on a CPU vLLM has no attention for heads of {size} numbers"
        return ""

    # ------------------------------------------------------------ contract

    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order. A context without room left says nothing."""
        if not requests:
            return []
        renderer = self.model.renderer
        most_bias = MOST_BIAS if self._url or self._python else float("inf")
        for sampling in {id(r.sampling): r.sampling for r in requests}.values():
            check_settings(sampling, renderer.vocab_size, most_bias)
        if any(not len(r.context) for r in requests):
            raise ModelError("cannot speak after an empty context", hint="Give at least one token")
        backend = self._opened({r.weights for r in requests})
        length = min(backend.context_length, renderer.context_length)
        limits, reasons = limits_of(requests, length)
        stops = Stops(requests, renderer)
        answers = [unsaid(reason) for reason in reasons]
        for names, rows in self._turns(requests):
            some = [i for i in rows if limits[i]]
            labels = self._use(names)
            asks = [
                Ask(
                    i,
                    requests[i].context.tolist(),
                    say_settings(requests[i], limits[i]),
                    labels[requests[i].weights],
                )
                for i in some
            ]
            again: list[int] = []
            for i, answer in zip(some, backend.run(asks, self.gauge, stops), strict=True):
                request = requests[i]
                self._count(len(request.context), answer.num_reused, len(answer.tokens))
                num, reason = end_of(request, i, answer, stops, reasons[i])
                tokens = np.array(answer.tokens[:num], np.int32)
                logp = answer.logp[:num]
                _check_numbers(logp)
                if not is_plain(request.sampling):
                    again.append(i)
                sampled = np.zeros_like(logp) if request.sampling.temperature == 0 else logp
                answers[i] = Said(tokens, sampled, logp, reason)
            self._read_again(requests, again, answers, labels)
        return answers

    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        """float32 (N,) log-probabilities of each target, under the model at temperature one.

        ModelError where a row does not fit the context.
        """
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(requests)
        for request in requests:
            check_score(request, self.model.renderer.context_length)
        wanted = [i for i, request in enumerate(requests) if len(request.target)]
        if not wanted:
            return found
        backend = self._opened({requests[i].weights for i in wanted})
        for names, places in self._turns([requests[i] for i in wanted]):
            labels = self._use(names)
            some = [wanted[place] for place in places]
            asks = [score_ask(requests[i], i, labels[requests[i].weights]) for i in some]
            for i, answer in zip(some, backend.run(asks, self.gauge, NO_STOPS), strict=True):
                self._count(len(requests[i].context) + len(requests[i].target) - 1, 0, 0)
                found[i] = scored(requests[i], answer)
                _check_numbers(found[i])
        return found

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Speak with a copy of these weights from the next request on, as `name`."""
        self._forget_set(name)
        self._sets[name] = WeightSet(self.model, weights, merge=self._merge)

    def attach(self, model: Any, name: str) -> None:
        """Speak for another model over the same base, with what it weighs at the time."""
        self._forget_set(name)
        self._sets[name] = WeightSet(model, merge=self._merge)

    def drop(self, name: str) -> None:
        """Forget the weights of that name."""
        self._forget_set(name)
        del self._sets[name]

    def clear(self) -> None:
        """Forget what was computed from contexts."""
        if self._backend is not None:
            self._backend.forget()

    def close(self) -> None:
        """Free vLLM, and end the server where this engine started it."""
        if self._backend is not None:
            self._backend.close()
        if self._server is not None:
            self._server.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._backend = self._server = self._folder = self._holds = None
        self._rank, self._layers = 0, frozenset()
        for some in self._sets.values():
            some.told, some.label = None, ""

    # ------------------------------------------------------------ how it works

    def _read_again(
        self,
        requests: Sequence[SayTokens],
        rows: list[int],
        answers: list[Said],
        labels: Mapping[str, str],
    ) -> None:
        """The model's own log-probabilities of rows whose settings were not the model's own."""
        rows = [i for i in rows if len(answers[i].tokens)]
        if not rows:
            return
        assert self._backend is not None
        if not self._backend.processed:
            raise ModelError(
                f"the vLLM server at {self._url} reports log-probabilities before filters",
                expected="those of the sampling distribution",
                hint="Start it with --logprobs-mode processed_logprobs, or sample at temperature 1",
            )
        reads = [ScoreTokens(requests[i].context, answers[i].tokens) for i in rows]
        asks = [
            score_ask(read, i, labels[requests[i].weights])
            for i, read in zip(rows, reads, strict=True)
        ]
        told = self._backend.run(asks, self.gauge, NO_STOPS)
        for i, read, answer in zip(rows, reads, told, strict=True):
            self._count(len(read.context) + len(read.target) - 1, 0, 0)
            was = answers[i]
            logp_model = scored(read, answer)
            _check_numbers(logp_model)
            answers[i] = Said(was.tokens, was.logp_sampling, logp_model, was.stop)

    def _count(self, num_prompt: int, num_reused: int, num_said: int) -> None:
        self.gauge.num_read += num_prompt - num_reused
        self.gauge.num_reused += num_reused
        self.gauge.num_said += num_said

    def _turns(self, requests: Sequence[Any]) -> list[tuple[list[str], list[int]]]:
        """Which names, and rows, are answered together: those over one base."""
        bases = {name: self._set(name).base() for name in {r.weights for r in requests}}
        turns: dict[tuple[Any, ...], tuple[list[str], list[int]]] = {}
        for i, request in enumerate(requests):
            names, rows = turns.setdefault(bases[request.weights], ([], []))
            if request.weights not in names:
                names.append(request.weights)
            rows.append(i)
        return list(turns.values())

    def _set(self, name: str) -> WeightSet:
        if name not in self._sets:
            raise ModelError(f"engine {self.name!r} has no weights {name!r}")
        return self._sets[name]

    def _use(self, names: Sequence[str]) -> dict[str, str]:
        """Make vLLM ready to speak with these sets; the adapter of each ("": none)."""
        assert self._backend is not None
        labels = {}
        for name in names:
            some = self._set(name)
            base = some.base()
            if self._holds != base:
                self._backend.put(checkpoint(some.model, some.whole()))
                self._holds = base
            if some.rank and some.told != some.state():
                self._tell(some)
            labels[name] = some.label
        return labels

    def _tell(self, some: WeightSet) -> None:
        """Give vLLM the adapters of a set anew, under a label it has not seen."""
        assert self._backend is not None
        self._take_back(some)
        self._num_labels += 1
        label = f"adapters-{self._num_labels}"
        some.save_adapters(self._place(label))
        self._backend.add_adapter(label, str(self._place(label)))
        some.told, some.label = some.state(), label

    def _take_back(self, some: WeightSet) -> None:
        """Let vLLM forget the adapters of a set, if it has them."""
        if some.label and self._backend is not None:
            self._backend.drop_adapter(some.label)
            shutil.rmtree(self._place(some.label), ignore_errors=True)
        some.told, some.label = None, ""

    def _forget_set(self, name: str) -> None:
        if name in self._sets:
            self._take_back(self._sets[name])

    def _place(self, name: str) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / name

    def _opened(self, names: set[str]) -> Backend:
        """vLLM, opened where it is not yet, and anew where it was opened without room for
        adapters that are wanted now."""
        wanted = [some for some in map(self._set, names) if some.rank]
        fits = all(s.rank <= self._rank and s.layers <= self._layers for s in wanted)
        if self._backend is not None and not fits and not self._url:
            self.close()
        if self._backend is not None:
            return self._backend
        self._folder = tempfile.TemporaryDirectory(prefix="askesis-vllm-")
        try:
            if self._url:
                self._backend = HttpVllm(
                    self._url, max_rows=self.max_rows, timeout_s=self._timeout_s
                )
                return self._backend
            first = self._set(min(names))
            base = first.base()
            directory = self._place("model")
            save_checkpoint(first.model, first.whole(), directory)
            adapted = [some for some in self._sets.values() if some.rank]
            self._rank = max((some.rank for some in adapted), default=0)
            self._layers = frozenset().union(*(some.layers for some in adapted))
            self._open(str(directory))
            self._holds = base
        except BaseException:
            self.close()
            raise
        assert self._backend is not None
        return self._backend

    def _open(self, directory: str) -> None:
        on_cpu = not torch.cuda.is_available()
        eager = on_cpu if self._eager is None else self._eager
        cache_bytes = self._cache_bytes or (self._enough() if on_cpu else 0)
        length = self.model.renderer.context_length
        if not self._python:
            self._backend = LocalVllm(
                directory,
                context_length=length,
                max_rows=self.max_rows,
                dtype=self.dtype,
                cache_bytes=cache_bytes,
                memory_fraction=self._memory_fraction,
                eager=eager,
                rank=self._rank,
                layers=self._layers,
            )
            return
        self._server = VllmServer(
            directory,
            self._python,
            self._server_options(length, cache_bytes, eager, on_cpu),
            wait_s=self._timeout_s,
        )
        self._backend = HttpVllm(
            self._server.url, max_rows=self.max_rows, timeout_s=self._timeout_s
        )

    def _enough(self) -> int:
        """Bytes of a key-value cache for twice the rows that run, CPU_CACHE_BYTES at most."""
        text = self.model.config.get_text_config()
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        a_token = text.num_hidden_layers * heads * size * 2 * 4
        blocks = -(-self.model.renderer.context_length // BLOCK)
        return min(CPU_CACHE_BYTES, 2 * (self.max_rows + 1) * blocks * BLOCK * a_token)

    def _server_options(
        self, context_length: int, cache_bytes: int, eager: bool, on_cpu: bool
    ) -> list[str]:
        """What `vllm serve` is told so that it keeps the engine's promises."""
        options = [
            *("--dtype", self.dtype, "--max-model-len", str(context_length)),
            *("--max-num-seqs", str(self.max_rows), "--generation-config", "vllm"),
            *("--logprobs-mode", "processed_logprobs", "--enable-prefix-caching"),
            "--enable-prompt-tokens-details",
        ]
        if cache_bytes:
            options += ["--kv-cache-memory-bytes", str(cache_bytes)]
        else:
            options += ["--gpu-memory-utilization", str(self._memory_fraction)]
        if eager:
            options += ["--enforce-eager"]
        if on_cpu:
            options += ["--block-size", str(BLOCK), "--no-enable-chunked-prefill"]
            options += ["--max-num-batched-tokens", str(max(context_length, 8192))]
        if self._rank:
            options += ["--enable-lora", "--max-loras", str(ADAPTERS)]
            options += ["--max-lora-rank", str(rank_for(self._rank))]
            options += ["--lora-target-modules", *sorted(self._layers)]
        return options


def _check_numbers(logp: np.ndarray) -> None:
    if not np.isfinite(logp).all():
        raise ModelError(
            "the model's probabilities are not numbers",
            expected="finite logits",
            found="NaN or infinity",
            hint="The weights are broken: load an earlier snapshot or lower the learning rate",
        )
