"""A vLLM server over HTTP: prompts and answers as token ids, weights in place through a folder.

Everything goes through the OpenAI client library. The server must see the folder that weights are
written to (the same machine, or a shared disk) and run with VLLM_SERVER_DEV_MODE=1 for weights in
place and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 for adapters.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from askesis.engines.vllm_rows import Answer, Ask, Stops
from askesis.engines.vllm_weights import save_weights
from askesis.errors import ModelError
from askesis.protocols import Gauge
from askesis.records import NO_LOGP

MOST_BIAS = 100.0  # the completions endpoint cuts larger ones
RETRIES = 3


class HttpVllm:
    """A running vLLM server at a URL.

    max_rows: requests that are open at a time; timeout_s: for one answer.
    """

    def __init__(self, url: str, *, max_rows: int, timeout_s: float) -> None:
        self.url, self.max_rows, self.timeout_s = url.rstrip("/"), max_rows, timeout_s
        self._folder = tempfile.TemporaryDirectory(prefix="askesis-vllm-weights-")
        self._updates = 0
        served = self._ask_once("get", "/v1/models")
        first = (served.get("data") or [{}])[0] if isinstance(served, dict) else {}
        self._name = first.get("id", "")
        self.context_length = int(first.get("max_model_len") or 0)
        if not self._name or not self.context_length:
            raise ModelError(f"{self.url} is no vLLM server", found="no model with its length")
        self.processed = self._is_processed()

    # ------------------------------------------------------------ backend

    def run(self, asks: Sequence[Ask], gauge: Gauge, stops: Stops) -> list[Answer]:
        """Answer all rows, `max_rows` at a time. The first failure ends the others."""
        gauge.running, gauge.waiting = 0, len(asks)
        try:
            return _run(self._answers(asks, gauge, stops))
        finally:
            gauge.running = gauge.waiting = 0

    def put(self, weights: dict[str, Any]) -> None:
        self._updates += 1
        directory = Path(self._folder.name) / str(self._updates)
        directory.mkdir()
        save_weights(weights, directory)
        body = {"method": "reload_weights", "kwargs": {"weights_path": str(directory)}}
        self._ask_once("post", "/collective_rpc", body, "weights in place")
        (directory / "model.safetensors").unlink()
        self.forget()

    def add_adapter(self, name: str, directory: str) -> None:
        body = {"lora_name": name, "lora_path": directory}
        self._ask_once("post", "/v1/load_lora_adapter", body, "adapters")

    def drop_adapter(self, name: str) -> None:
        self._ask_once("post", "/v1/unload_lora_adapter", {"lora_name": name}, "adapters")

    def forget(self) -> None:
        self._ask_once("post", "/reset_prefix_cache", {}, "emptying its cache")

    def close(self) -> None:
        self._folder.cleanup()

    # ------------------------------------------------------------ how it works

    async def _answers(self, asks: Sequence[Ask], gauge: Gauge, stops: Stops) -> list[Answer]:
        slots = asyncio.Semaphore(self.max_rows)
        async with self._client() as client:

            async def one(ask: Ask) -> Answer:
                async with slots:
                    gauge.waiting, gauge.running = gauge.waiting - 1, gauge.running + 1
                    answer = await self._answer(client, ask, stops)
                    gauge.running -= 1
                    return answer

            tasks = [asyncio.create_task(one(ask)) for ask in asks]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

    async def _answer(self, client: Any, ask: Ask, stops: Stops) -> Answer:
        settings = dict(ask.settings)
        if "logit_bias" in settings:
            settings["logit_bias"] = {str(t): b for t, b in settings["logit_bias"].items()}
        if ask.row >= 0 and stops.strings and stops.strings[ask.row]:
            settings |= {"stop": list(stops.strings[ask.row]), "include_stop_str_in_output": True}
        body = {
            "model": ask.adapter or self._name,
            "prompt": ask.tokens,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            **settings,
        }
        told = await self._guarded(client.post("/v1/completions", cast_to=object, body=body))
        try:
            return _read(ask, told)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self.url} answered nonsense",
                expected="a completion with token ids and log-probabilities, as of vLLM 0.32",
                found=repr(error),
            ) from error

    def _client(self) -> Any:
        try:
            from openai import AsyncOpenAI
        except ImportError:
            raise ModelError(
                "a vLLM server is asked through the library openai, which is not installed",
                hint="pip install openai",
            ) from None
        return AsyncOpenAI(
            base_url=self.url, api_key="none", max_retries=RETRIES, timeout=self.timeout_s
        )

    def _ask_once(self, method: str, path: str, body: Any = None, what: str = "") -> Any:
        async def once() -> Any:
            async with self._client() as client:
                if method == "get":
                    return await self._guarded(client.get(path, cast_to=object))
                return await self._guarded(client.post(path, cast_to=str, body=body), what)

        return _run(once())

    async def _guarded(self, call: Any, what: str = "") -> Any:
        """An answer, or one line that says why there is none."""
        import openai

        try:
            return await call
        except openai.APITimeoutError:
            raise ModelError(
                f"{self.url} did not answer within {self.timeout_s:g} s",
                hint="Give it more time with `timeout_s=`",
            ) from None
        except openai.APIConnectionError as error:
            raise ModelError(
                f"there is no vLLM server at {self.url}",
                found=str(error.__cause__ or error),
                hint="Start one with `vllm serve MODEL`, or give `vllm?python=` an interpreter",
            ) from None
        except openai.APIStatusError as error:
            told = error.body if isinstance(error.body, dict) else {}
            if error.status_code == 404 and "message" not in told:  # no such page
                needed = "VLLM_SERVER_DEV_MODE=1 and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
                raise ModelError(
                    f"the vLLM server at {self.url} does not offer {what or 'completions'}",
                    hint=f"Start it with {needed} in its environment" if what else "Is it vLLM?",
                ) from None
            raise ModelError(
                f"the vLLM server at {self.url} refused",
                found=f"{error.status_code}: {told.get('message', error.message)}"[:300],
            ) from None

    def _is_processed(self) -> bool:
        """Whether it reports log-probabilities after filters: with top_k 1 they are 0 then."""
        settings = {"temperature": 1.0, "top_k": 1, "max_tokens": 1, "logprobs": 0, "seed": 1}
        (answer,) = self.run([Ask(-1, [0], settings)], Gauge(), Stops((), None))
        return bool(abs(answer.logp[0]) < 1e-6)


def _read(ask: Ask, told: Any) -> Answer:
    choice = told["choices"][0]
    tokens = [int(t) for t in choice["token_ids"]]
    usage = told.get("usage") or {}
    reused = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    answer = Answer(tokens, NO_LOGP, num_reused=int(reused))
    if "logprob_token_ids" in ask.settings:
        wanted = f"token_id:{ask.settings['logprob_token_ids'][0]}"
        answer.last = float(choice["logprobs"]["top_logprobs"][0][wanted])
    else:
        answer.logp = np.array(choice["logprobs"]["token_logprobs"], np.float32)
        if len(answer.logp) != len(tokens):
            raise ValueError(f"{len(answer.logp)} log-probabilities of {len(tokens)} tokens")
    if ask.settings.get("prompt_logprobs") is not None:
        read = choice["prompt_logprobs"][1:]
        found = [place[str(t)]["logprob"] for place, t in zip(read, ask.tokens[1:], strict=True)]
        answer.read = np.array(found, np.float32)
    return answer


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; on a thread of its own where this one already runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    found: list[Any] = []
    failed: list[BaseException] = []

    def there() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=there, name="vllm")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
