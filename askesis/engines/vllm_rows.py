"""Between our requests and vLLM's: settings and limits one way, tokens and reasons back.

Names of settings are those of vLLM's `SamplingParams`, which its completions endpoint shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from askesis.engines.sampler import check_sampling
from askesis.engines.stopping import StopStrings
from askesis.errors import ModelError
from askesis.protocols import Gauge
from askesis.records import NO_LOGP, StopReason
from askesis.requests import EMPTY_SAID, Said, Sampling, SayTokens, ScoreTokens

COLDEST = 0.01  # vLLM raises lower temperatures to this one


@dataclass(slots=True)
class Ask:
    """One row for vLLM. `adapter` names LoRA weights it has; `row` is the request it serves."""

    row: int
    tokens: list[int]
    settings: dict[str, Any]
    adapter: str = ""


@dataclass(slots=True)
class Answer:
    """What vLLM said to one row.

    logp: of the said tokens; read: of every prompt token but the first, under the model at
    temperature one, where that was asked; last: of the one token asked for by id. num_reused:
    prompt tokens found in its prefix cache.
    """

    tokens: list[int]
    logp: np.ndarray
    read: np.ndarray = field(default_factory=lambda: NO_LOGP)
    last: float = 0.0
    num_reused: int = 0


class Backend(Protocol):
    """A running vLLM, in this process or behind a URL.

    processed: log-probabilities it reports are those of the sampling distribution (else those of
    the model). context_length: most tokens of prompt and answer together.
    """

    processed: bool
    context_length: int

    def run(self, asks: Sequence[Ask], gauge: Gauge, stops: Stops) -> list[Answer]: ...

    def put(self, weights: dict[str, Any]) -> None:
        """Replace the weights in place; what was computed from the old ones is forgotten."""
        ...

    def add_adapter(self, name: str, directory: str) -> None: ...

    def drop_adapter(self, name: str) -> None: ...

    def forget(self) -> None:
        """Empty the prefix cache."""
        ...

    def close(self) -> None: ...


class Stops:
    """Where stop strings end what the requests of one `say` say."""

    def __init__(self, requests: Sequence[SayTokens], renderer: Any) -> None:
        self._check = StopStrings(requests, renderer)
        self._renderer = renderer
        self.strings = [tuple(s for s in r.sampling.stop if s) for r in requests]

    def over(self, row: int, tokens: Sequence[int]) -> bool:
        """Whether the newest of `tokens` completes a stop string of request `row`."""
        if not self.strings[row] or not len(tokens):
            return False
        said = np.asarray(tokens, np.int32)[None]
        return bool(self._check(np.array([row]), np.array([said.shape[1]]), said)[0])

    def end(self, row: int, tokens: Sequence[int]) -> int:
        """How many tokens there are until the first stop string is complete; 0: none is."""
        strings = self.strings[row]
        if not strings or not any(s in self._text(tokens) for s in strings):
            return 0
        sizes = range(1, len(tokens) + 1)
        return next(n for n in sizes if any(s in self._text(tokens[:n]) for s in strings))

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._renderer.decode(np.asarray(tokens, np.int32))
        return text


NO_STOPS = Stops((), None)


def check_settings(sampling: Sampling, vocab_size: int, most_bias: float) -> None:
    """ModelError for settings that mean nothing, or that vLLM would read otherwise than we do."""
    check_sampling(sampling, vocab_size)
    if 0 < sampling.temperature < COLDEST:
        raise ModelError(
            f"vLLM cannot sample with temperature {sampling.temperature}",
            expected=f"0 (the most likely token), or {COLDEST} and more",
        )
    if sampling.top_p < 1 and sampling.min_p > 0 and sampling.temperature > 0:
        raise ModelError(
            f"vLLM cannot sample with top_p {sampling.top_p} and then min_p {sampling.min_p}",
            found="it applies min_p first, which is another distribution",
            hint="Leave one of them away, or use `--engine transformers`",
        )
    worst = max((abs(b) for b in (sampling.bias or {}).values()), default=0.0)
    if worst > most_bias:
        raise ModelError(
            "a vLLM server cannot sample with such a bias",
            expected=f"biases from -{most_bias:g} to {most_bias:g}",
            found=f"{worst:g}",
        )


def is_plain(sampling: Sampling) -> bool:
    """Whether the sampling distribution is the model's own, or all on its most likely token."""
    if sampling.allowed is not None or sampling.bias:
        return False
    filtered = sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0
    return sampling.temperature == 0 or (sampling.temperature == 1 and not filtered)


def say_settings(request: SayTokens, limit: int) -> dict[str, Any]:
    """vLLM's settings for one row of at most `limit` tokens."""
    sampling = request.sampling
    settings: dict[str, Any] = {
        "temperature": sampling.temperature,
        "max_tokens": limit,
        "seed": request.key & (2**63 - 1),
        "logprobs": 0,  # of the said token alone
        "ignore_eos": True,  # what ends a turn is the request's to say
    }
    if sampling.top_k:
        settings["top_k"] = sampling.top_k
    if sampling.top_p < 1:
        settings["top_p"] = sampling.top_p
    if sampling.min_p:
        settings["min_p"] = sampling.min_p
    if request.stop_tokens:
        settings["stop_token_ids"] = [int(t) for t in request.stop_tokens]
    if sampling.allowed is not None:
        settings["allowed_token_ids"] = [int(t) for t in sampling.allowed]
    if sampling.bias:
        settings["logit_bias"] = {int(t): float(b) for t, b in sampling.bias.items()}
    return settings


def score_ask(request: ScoreTokens, row: int, adapter: str) -> Ask:
    """A row to score: all but its last token is read, the last is asked for by its id.

    So a row that fills the whole context can be scored, though vLLM insists on saying one more.
    """
    whole = [*map(int, request.context), *map(int, request.target)]
    settings = {
        "temperature": 0.0,
        "max_tokens": 1,
        "ignore_eos": True,
        "prompt_logprobs": 0,
        "logprobs": 1,
        "logprob_token_ids": [whole[-1]],
    }
    return Ask(row, whole[:-1], settings, adapter)


def scored(request: ScoreTokens, answer: Answer) -> np.ndarray:
    """float32 (N,) log-probabilities of the target."""
    found = np.append(answer.read[len(request.context) - 1 :], np.float32(answer.last))
    return found.astype(np.float32)


def limits_of(
    requests: Sequence[SayTokens], context_length: int
) -> tuple[list[int], list[StopReason]]:
    """How many tokens each request may say, and why it ends where it says them all."""
    limits, reasons = [], []
    for request in requests:
        room = max(0, context_length - len(request.context))
        wanted = request.sampling.max_tokens
        fits = wanted is not None and wanted <= room and room > 0
        limits.append(max(0, wanted or 0) if fits else room)
        reasons.append(StopReason.LENGTH if fits else StopReason.CONTEXT)
    return limits, reasons


def unsaid(reason: StopReason) -> Said:
    """The answer to a request that has no room or no allowance."""
    return Said(EMPTY_SAID.tokens, NO_LOGP, NO_LOGP, reason)


def end_of(
    request: SayTokens, row: int, answer: Answer, stops: Stops, otherwise: StopReason
) -> tuple[int, StopReason]:
    """How many tokens of an answer count, and why it ends there."""
    said = stops.end(row, answer.tokens)
    if said:
        ended = answer.tokens[said - 1] in request.stop_tokens
        return said, StopReason.ENDED if ended else StopReason.STOP_STRING
    if answer.tokens and answer.tokens[-1] in request.stop_tokens:
        return len(answer.tokens), StopReason.ENDED
    return len(answer.tokens), otherwise
