"""A small model behind a loopback endpoint that speaks token ids as vLLM's server does."""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

import numpy as np

from askesis.engines.native import NativeEngine
from askesis.models.renderers import ByteRenderer
from askesis.models.tiny import tiny_model
from askesis.records import StopReason
from askesis.requests import Sampling, SayTokens, ScoreTokens
from tests.engines.endpoint import Exchange, Loopback

CONTEXT_LENGTH = 64


def remote_model(seed: int = 0) -> Any:
    """The row of the table of models that names the endpoint; one server lasts for all tests."""
    from askesis.models.remote import RemoteModel

    renderer = ByteRenderer(CONTEXT_LENGTH)
    return RemoteModel("policy", "small", renderer, url=_server().url, speaks="tokens")


def remote_engine(model: Any, max_rows: int = 8) -> Any:
    from askesis.engines.openai import OpenAIEngine

    return OpenAIEngine(model, server="vllm", max_concurrency=max_rows, cache="off")


@cache
def _server() -> Loopback:
    model = tiny_model(
        "served", hidden_size=32, intermediate_size=48, num_hidden_layers=1, head_dim=8,
        max_position_embeddings=CONTEXT_LENGTH, initializer_range=0.4,
    )  # fmt: skip
    engine, lock = NativeEngine(model, known_bytes=1 << 20), threading.Lock()

    def behave(exchange: Exchange) -> None:
        with lock:
            exchange.json(_answer(engine, exchange.body))

    os.environ["NO_PROXY"] = "127.0.0.1"  # asked directly, whatever this machine's user has set
    server = Loopback(behave)
    server.__enter__()
    return server


def _answer(engine: Any, body: dict[str, Any]) -> dict[str, Any]:
    prompt = np.array(body["prompt"], np.int32)
    if "prompt_logprobs" in body:
        (scores,) = engine.score([ScoreTokens(prompt[:1], prompt[1:])])
        told = [{str(t): {"logprob": float(s)}} for t, s in zip(prompt[1:], scores, strict=True)]
        choice = {"token_ids": [0], "finish_reason": "length", "prompt_logprobs": [None, *told]}
        return {"choices": [{"index": 0, "text": "", **choice}]}
    settings = Sampling(
        temperature=body["temperature"],
        top_k=body["top_k"],
        top_p=body["top_p"],
        min_p=body["min_p"],
        max_tokens=body["max_tokens"],
        stop=tuple(body.get("stop", ())),
        allowed=tuple(body["allowed_token_ids"]) if "allowed_token_ids" in body else None,
        bias={int(t): b for t, b in body.get("logit_bias", {}).items()} or None,
    )
    ends = tuple(body["stop_token_ids"])
    (said,) = engine.say([SayTokens(prompt, settings, body.get("seed", 0), ends)])
    told = {"token_logprobs": said.logp_model.tolist()}
    over = said.stop in (StopReason.LENGTH, StopReason.CONTEXT)
    choice = {"token_ids": said.tokens.tolist(), "finish_reason": "length" if over else "stop"}
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(said.tokens)}
    return {"choices": [{"index": 0, "text": "", "logprobs": told, **choice}], "usage": usage}
