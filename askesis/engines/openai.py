"""Any endpoint with the OpenAI interface: a judge, a teacher or an opponent that others serve.

Requests go out many at a time and come back in order. Answers are taken as they come, so the
engine is not replayable; but every answer that was paid for is kept on disk under all that
determines it, and is not asked for again: a run that is repeated or resumed hears the same.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from askesis.engines.answers_on_disk import AnswersOnDisk, default_directory
from askesis.engines.asking import NO_USAGE, Answer, Asking, Desk
from askesis.engines.batching import check_score
from askesis.engines.dialects import (
    OPENAI_URL,
    check_sampling,
    checked_url,
    dialect,
    key_for,
    settings_body,
)
from askesis.engines.endpoint import CHAT, COMPLETIONS, Endpoint
from askesis.engines.readings import attributed, read_message, read_score, read_tokens
from askesis.engines.settings import check_settings
from askesis.errors import ModelError
from askesis.models.remote import RemoteModel
from askesis.protocols import Gauge
from askesis.records import NO_LOGP, NO_TOKENS, StopReason
from askesis.requests import EMPTY_SAID, Said, SayTokens, ScoreTokens


class OpenAIEngine:
    """Speaks for a `RemoteModel` through an endpoint.

    How it speaks is the model's: *messages* (a text is its bytes; max_tokens counts the server's
    tokens, of which one is several bytes) or *token ids* (openai:NAME?tokenizer=DIR).

    url: the endpoint, up to and with /v1 ("": the model's, else $OPENAI_BASE_URL, else OpenAI's).
    key_env: the environment variable that holds the key. server: openai, vllm, transformers,
    plain (nothing beyond the interface), or auto. system: a system message put first. logprobs:
    ask for log-probabilities (None: where ids are spoken and the server is vllm). echo: the
    server can tell log-probabilities of a prompt (vllm always), so the engine can score.
    group: requests with one context go out as one request for n answers; each is charged for the
    prompt once, and its usage stands at the first. extra: a JSON object of further fields of
    every request, which stand above ours; null takes one away. price_in, price_out: per million
    tokens read and written, in your currency.

    max_concurrency requests run at a time; a try may last timeout_s; a failed one is repeated
    `retries` times with pauses that double from backoff_s, none begun after patience_s.

    cache: the directory of paid answers ("": $ASKESIS_CACHE/answers; "off": none). Equal keys in
    equal contexts say the same thing, so they are asked once. At temperature 0 the key plays no
    part: an equal question is answered from disk whoever asks it.

    A request that fails finally has a ModelError in place of its `Said`.
    """

    name = "openai"

    def __init__(
        self,
        model: Any,
        *,
        url: str = "",
        key_env: str = "OPENAI_API_KEY",
        server: str = "auto",
        system: str = "",
        logprobs: bool | None = None,
        echo: bool = False,
        group: bool = False,
        extra: str = "",
        price_in: float = 0.0,
        price_out: float = 0.0,
        max_concurrency: int = 16,
        timeout_s: float = 60.0,
        retries: int = 5,
        backoff_s: float = 0.5,
        patience_s: float = 600.0,
        cache: str = "",
    ) -> None:
        self.model, self.renderer = model, model.renderer
        self.url = checked_url(url or model.url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        self.dialect = dialect(server, self.url)
        self.speaks_ids = model.speaks == "tokens"
        at_least_0 = {"price_in": price_in, "price_out": price_out, "retries": retries}
        above_0 = {"timeout_s": timeout_s, "patience_s": patience_s, "backoff_s": backoff_s}
        for option, value in at_least_0.items():
            _check(option, value, value >= 0, "0 or more")
        for option, value in {**above_0, "max_concurrency": max_concurrency}.items():
            _check(option, value, value > 0, "more than 0")
        self._check_options(system, echo, group)
        tells_ids = self.speaks_ids and self.dialect.token_ids
        self.echo = echo or tells_ids
        self.logprobs = tells_ids if logprobs is None else logprobs
        self.system, self.extra = system, _object(extra)
        self.gauge = Gauge()
        disk = None if cache == "off" else AnswersOnDisk(Path(cache or default_directory()))
        endpoint = Endpoint(
            self.url,
            key_for(self.url, key_env),
            self.gauge,
            max_concurrency=max_concurrency,
            timeout_s=timeout_s,
            retries=retries,
            backoff_s=backoff_s,
            patience_s=patience_s,
        )
        self.desk = Desk(
            endpoint, disk, self.gauge, price_in=price_in, price_out=price_out, group=group
        )

    @classmethod
    def refusal(cls, model: Any) -> str:
        if not isinstance(model, RemoteModel):
            return "it is not behind an endpoint (source openai:NAME)"
        if importlib.util.find_spec("openai") is None:
            return "the openai library is not installed (pip install 'askesis[openai]')"
        return ""

    @property
    def capabilities(self) -> frozenset[str]:
        found = {"say", "stop_strings"}
        if self.logprobs:
            found.add("logp")
        if self.speaks_ids:
            found |= {"bias", *({"allowed"} & self.dialect.knows)}
        if self.echo:
            found.add("score")
        return frozenset(found | ({"min_p"} & self.dialect.knows))

    @property
    def cost(self) -> float:
        """What this engine has spent so far."""
        return self.desk.cost

    # ------------------------------------------------------------ contract

    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order; a failed one is a ModelError.

        Raises ModelError for settings that the endpoint cannot sample under, and where it is not
        there or does not let us in.
        """
        answers: list[Any] = [None] * len(requests)
        askings, places = [], []
        check_settings(self.name, self.capabilities, requests)
        for i, request in enumerate(requests):
            check_sampling(request.sampling, self.dialect, self.renderer.vocab_size)
            if not len(request.context):
                raise ModelError(
                    "cannot speak after an empty context", hint="Give at least one token"
                )
            answers[i] = self._without_asking(request)
            if answers[i] is None:
                askings.append(self._asking(request))
                places.append(i)
        for i, answer in zip(places, self._answered(askings), strict=True):
            is_said = isinstance(answer.value, Said)
            answers[i] = replace(answer.value, usage=answer.usage) if is_said else answer.value
        return answers

    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        """float32 (N,) per request, as the server tells them for a prompt; a failed one is a
        ModelError. Raises ModelError where the endpoint cannot (see `echo`)."""
        if not self.echo:
            raise ModelError(
                f"the endpoint {self.url} cannot tell the probability of a given text",
                hint="Speak token ids to a server that can: source openai:NAME?tokenizer=DIR, "
                "engine openai?server=vllm",
            )
        answers: list[Any] = [NO_LOGP] * len(requests)
        askings, places = [], []
        for i, request in enumerate(requests):
            if len(request.target):
                askings.append(self._asking_score(request))
                places.append(i)
        for i, answer in zip(places, self._answered(askings), strict=True):
            answers[i] = answer.value
        return answers

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """The weights are the server's."""

    def clear(self) -> None:
        """Nothing computed is kept here; paid answers on disk stay."""

    def close(self) -> None:
        """Close the connections."""
        self.desk.endpoint.close()

    # ------------------------------------------------------------ what is asked

    def _answered(self, askings: Sequence[Asking | ModelError]) -> list[Answer]:
        good = iter(self.desk.answer([a for a in askings if isinstance(a, Asking)]))
        return [next(good) if isinstance(a, Asking) else Answer(a, NO_USAGE) for a in askings]

    def _room(self, request: SayTokens) -> int:
        return int(self.renderer.context_length) - len(request.context)

    def _without_asking(self, request: SayTokens) -> Said | None:
        """The answer where there is no room to say anything, or nothing to be said."""
        if self._room(request) < 1:
            return EMPTY_SAID
        if request.sampling.max_tokens == 0:
            return Said(NO_TOKENS, NO_LOGP, NO_LOGP, StopReason.LENGTH)
        return None

    def _limit(self, request: SayTokens) -> int | None:
        """The most new tokens, in the server's tokens."""
        most = request.sampling.max_tokens
        if not self.speaks_ids:
            return most
        return self._room(request) if most is None else min(most, self._room(request))

    def _asking(self, request: SayTokens) -> Asking | ModelError:
        sampling = request.sampling
        body: dict[str, Any] = {"model": self.model.remote_name}
        body |= settings_body(sampling, self.dialect, self._limit(request), request.key)
        if self.speaks_ids:
            path = COMPLETIONS
            body["prompt"] = request.context.tolist()
            body |= {"logprobs": 1} if self.logprobs else {}
            if self.dialect.token_ids:  # its own idea of an end is not ours
                stops = [int(t) for t in request.stop_tokens]
                body |= {"return_token_ids": True, "stop_token_ids": stops, "ignore_eos": True}
        else:
            path = CHAT
            try:
                messages = self.renderer.messages(request.context)
            except ModelError as error:
                return error
            first = [{"role": "system", "content": self.system}] if self.system else []
            body["messages"] = first + messages
            body |= {"logprobs": True} if self.logprobs else {}
        key = request.key if sampling.temperature else None
        num_read = len(request.context)
        read = partial(self._said, request)
        return Asking(
            path, self._with_extra(body), key, read, lambda said: (num_read, len(said.tokens))
        )

    def _said(self, request: SayTokens, choice: Mapping[str, Any]) -> Said:
        sampling, renderer = request.sampling, self.renderer
        if self.speaks_ids:
            read = read_tokens(choice, sampling, renderer, self.dialect, self.logprobs)
        else:
            read = read_message(choice, sampling, renderer, self.logprobs)
        stop = read.stop
        most = sampling.max_tokens
        if stop is StopReason.LENGTH and self.speaks_ids and (most or np.inf) > self._room(request):
            stop = StopReason.CONTEXT
        return Said(read.tokens, *attributed(read, sampling, self.dialect), stop)

    def _asking_score(self, request: ScoreTokens) -> Asking:
        check_score(request, int(self.renderer.context_length))
        whole = [*request.context.tolist(), *request.target.tolist()]
        body: dict[str, Any] = {"model": self.model.remote_name, "prompt": whole}
        body |= {"max_tokens": 1, "temperature": 0.0}
        body |= {"prompt_logprobs": 0} if self.dialect.token_ids else {"echo": True, "logprobs": 1}

        def read(choice: Mapping[str, Any]) -> np.ndarray:
            return read_score(choice, request.context, request.target, self.dialect)

        extra = self._with_extra(body)
        return Asking(COMPLETIONS, extra, None, read, lambda _: (len(whole), 0))

    def _with_extra(self, body: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in (body | self.extra).items() if v is not None}

    def _check_options(self, system: str, echo: bool, group: bool) -> None:
        if group and "n" not in self.dialect.knows:
            raise ModelError(
                "option group asks for several answers at a time, which not every server gives",
                hint="Say which server it is, server=vllm, or leave group away",
            )
        if echo and not self.speaks_ids:
            raise ModelError(
                "option echo needs a model that speaks token ids",
                hint="Name a tokeniser: source openai:NAME?tokenizer=DIR",
            )
        if system and self.speaks_ids:
            raise ModelError("option system is for chat endpoints; here the prompt is token ids")


def _check(option: str, value: float, is_good: bool, expected: str) -> None:
    if not is_good:
        raise ModelError(f"engine option {option}", expected=expected, found=str(value))


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ModelError("engine option extra", expected="a JSON object", found=repr(text))
    return found
