"""What servers with the OpenAI interface take.

They differ in what they know beyond it, and in what their log-probabilities mean. A `Dialect`
holds the differences as data; request bodies are plain JSON values.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ModelError, nearest
from askesis.requests import Sampling
from askesis.rng import uniforms

OPENAI_URL = "https://api.openai.com/v1"
MOST_BIAS = 100.0  # what the interface allows


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of server knows.

    limit: its name for the most new tokens. seed_bits: how large a seed may be (0: takes none).
    knows: settings beyond temperature, top-p and bias: "top_k", "min_p", "allowed", "n".
    keeps_stop_strings: it can be told to leave the stop string in the text; where it cannot, it
    is not told of stop strings and we cut the text (an ending could not be told from a stop
    string otherwise). token_ids: it takes prompts as token ids and tells those it drew.
    logp: what its log-probabilities are under: the "model" at temperature one, or "unknown",
    where they count only for sampling that changes nothing.
    """

    limit: str = "max_tokens"
    seed_bits: int = 31
    knows: frozenset[str] = frozenset()
    keeps_stop_strings: bool = False
    token_ids: bool = False
    logp: str = "unknown"
    as_generation_config: bool = False


DIALECTS: dict[str, Dialect] = {
    "openai": Dialect("max_completion_tokens", 53, frozenset({"n"})),
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html; its log-probabilities
    # are "raw" (before temperature and filters) unless the server was told otherwise.
    "vllm": Dialect(
        "max_tokens",
        53,
        frozenset({"top_k", "min_p", "allowed", "n"}),
        keeps_stop_strings=True,
        token_ids=True,
        logp="model",
    ),
    # `transformers serve` samples only where the generation configuration says so.
    "transformers": Dialect(
        "max_tokens", 31, frozenset({"top_k", "min_p"}), as_generation_config=True
    ),
    "plain": Dialect(),
}


def dialect(server: str, url: str) -> Dialect:
    """The dialect by name; "auto" is "openai" at api.openai.com and "plain" elsewhere."""
    if server == "auto":
        server = "openai" if url == OPENAI_URL else "plain"
    if server not in DIALECTS:
        raise ModelError(
            f"there is no kind of server {server!r}", hint=nearest(server, ["auto", *DIALECTS])
        )
    return DIALECTS[server]


def checked_url(url: str) -> str:
    """The address without a slash at its end; ModelError where it is none."""
    if not url.startswith(("http://", "https://")):
        raise ModelError(
            "the url of an endpoint", expected="http://HOST:PORT/v1 or https://...", found=url
        )
    return url.rstrip("/")


def key_for(url: str, key_env: str) -> str:
    """The key from the environment. A server of one's own may ask for none."""
    key = os.environ.get(key_env, "")
    if not key and url == OPENAI_URL:
        raise ModelError(
            f"no key for {url}",
            expected=f"it in the environment variable {key_env}",
            hint=f"export {key_env}=..., or name your own server: engine openai?url=http://HOST/v1",
        )
    return key or "none"


# ---------------------------------------------------------------- requests


def check_sampling(s: Sampling, of: Dialect, vocab_size: int) -> None:
    """ModelError for settings that mean nothing, or for a top-k that this server does not know.

    Settings that are declared as capabilities are not looked at here
    (`askesis.engines.settings`).
    """
    wrong = ""
    if not 0 <= s.temperature < math.inf:
        wrong = f"temperature {s.temperature}; expected 0 or more"
    elif s.top_k < 0:
        wrong = f"top_k {s.top_k}; expected 0 (off) or more"
    elif not 0 < s.top_p <= 1:
        wrong = f"top_p {s.top_p}; expected above 0 and at most 1 (off)"
    elif not 0 <= s.min_p <= 1:
        wrong = f"min_p {s.min_p}; expected 0 (off) to 1"
    elif s.allowed is not None and not s.allowed:
        wrong = "no allowed tokens; expected at least one"
    elif any(not -MOST_BIAS <= b <= MOST_BIAS for b in (s.bias or {}).values()):
        wrong = f"a bias beyond {MOST_BIAS:g}; endpoints take -{MOST_BIAS:g} to {MOST_BIAS:g}"
    else:
        outside = [t for t in (*(s.allowed or ()), *(s.bias or {})) if not 0 <= t < vocab_size]
        if outside:
            wrong = f"token {outside[0]}; expected ids from 0 to {vocab_size - 1}"
    if wrong:
        raise ModelError(f"cannot sample with {wrong}")
    if s.top_k and "top_k" not in of.knows:
        raise ModelError(
            f"cannot sample with top_k {s.top_k}: it is not part of the OpenAI interface",
            hint="If the server knows it, say which server it is: engine openai?server=vllm",
        )


def settings_body(s: Sampling, of: Dialect, limit: int | None, key: int) -> dict[str, Any]:
    """The sampling settings as JSON. All of them are sent, for servers take what is missing from
    defaults of their own; a greedy answer does not depend on the seed, so it gets none. limit
    None leaves the number of new tokens to the server."""
    if of.as_generation_config:
        return _generation_config(s, of, limit, key)
    body: dict[str, Any] = {"temperature": s.temperature, "top_p": s.top_p}
    if limit is not None:
        body[of.limit] = limit
    if of.seed_bits and s.temperature:
        body["seed"] = _seed(key, of)
    if "top_k" in of.knows:
        body["top_k"] = s.top_k
    if "min_p" in of.knows:
        body["min_p"] = s.min_p
    if s.allowed is not None:
        body["allowed_token_ids"] = [int(t) for t in s.allowed]
    if s.bias:
        body["logit_bias"] = {str(int(t)): float(b) for t, b in s.bias.items()}
    stops = [string for string in s.stop if string]
    if stops and of.keeps_stop_strings:
        body |= {"stop": stops, "include_stop_str_in_output": True}
    return body


def _generation_config(s: Sampling, of: Dialect, limit: int | None, key: int) -> dict[str, Any]:
    config: dict[str, Any] = {"do_sample": s.temperature > 0}
    if limit is not None:
        config["max_new_tokens"] = limit
    if not s.temperature:
        return {"generation_config": json.dumps(config)}
    config |= {"temperature": s.temperature, "top_p": s.top_p, "top_k": s.top_k, "min_p": s.min_p}
    return {"generation_config": json.dumps(config), "seed": _seed(key, of)}


def _seed(key: int, of: Dialect) -> int:
    """A seed as large as the server takes them; keys that are near give seeds that are not."""
    u = float(uniforms(np.array([key], np.uint64), np.array([0]))[0])  # 53 bits of it
    return int(u * 2.0**of.seed_bits)
