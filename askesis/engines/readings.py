"""What answers of servers with the OpenAI interface say.

They are read strictly, because anything may answer at an address: what is no answer is
`Nonsense`, which asking again may mend; a refusal is a ModelError, which it will not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.engines.dialects import Dialect
from askesis.errors import ModelError
from askesis.records import NO_LOGP, StopReason
from askesis.requests import Sampling


class Nonsense(Exception):
    """What came back is no answer; asking again may give one."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one choice says: ids, the server's log-probability of each (NO_LOGP where it told
    none), and why it stopped."""

    tokens: np.ndarray
    logp: np.ndarray
    stop: StopReason


def choices_of(answer: Any, num: int) -> list[dict[str, Any]]:
    """The `num` choices of an answer, in the order of their index. Raises Nonsense."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or len(choices) < num:
        raise Nonsense("an answer without choices" if not choices else "too few choices")
    if not all(isinstance(c, dict) for c in choices):
        raise Nonsense("choices that are no objects")
    if all(isinstance(c.get("index"), int) for c in choices):
        choices = sorted(choices, key=lambda c: c["index"])
    return choices[:num]


def usage_of(answer: Mapping[str, Any]) -> tuple[int, int] | None:
    """(tokens read, tokens written) as the server counted them; None where it did not."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens", 0)]
    if not all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in counts):
        return None
    return counts[0], counts[1]  # type: ignore[return-value]


def read_message(choice: Mapping[str, Any], s: Sampling, renderer: Any, logprobs: bool) -> Read:
    """A choice of the chat interface in byte tokens.

    A byte that begins one of the server's tokens carries that token's log-probability, the other
    bytes 0, so that sums over a text are the server's; the end mark carries that of the server's
    closing token where it is told, else 0. Raises Nonsense, and ModelError for a refusal.
    """
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Nonsense("a choice without a message")
    stop = _stop(choice)
    text = message.get("content")
    if text is None and stop is StopReason.LENGTH:  # all of it went into silent reasoning
        text = ""
    if text is None and isinstance(message.get("refusal"), str):
        raise ModelError("the endpoint refused to answer", found=message["refusal"][:160])
    if not isinstance(text, str):
        raise Nonsense("a message without text")
    tokens = renderer.encode(text)
    logp = _logp_of_bytes(choice, tokens) if logprobs else NO_LOGP
    if stop is StopReason.ENDED:
        tokens = np.append(tokens, np.int32(renderer.end_token))
    return _cut(Read(tokens, logp[: len(tokens)], stop), s, renderer)


def read_tokens(
    choice: Mapping[str, Any], s: Sampling, renderer: Any, of: Dialect, logprobs: bool
) -> Read:
    """A choice of the completions interface in the tokens of `renderer`.

    Exact where the server tells the ids it drew; elsewhere its text is tokenised again, which
    may give other tokens than it drew. Raises Nonsense, and ModelError for a refusal.
    """
    stop = _stop(choice)
    if of.token_ids:
        ids = choice.get("token_ids")
        if not isinstance(ids, list) or not all(_is_id(t, renderer.vocab_size) for t in ids):
            raise Nonsense("an answer without token ids")
        tokens = np.array(ids, np.int32)
    else:
        text = choice.get("text")
        if not isinstance(text, str):
            raise Nonsense("a choice without text")
        tokens = renderer.encode(text)
        if stop is StopReason.ENDED:
            tokens = np.append(tokens, np.int32(renderer.end_token))
    logp = NO_LOGP
    if logprobs:
        given = choice.get("logprobs")
        logp = _numbers(given.get("token_logprobs") if isinstance(given, dict) else None)
        if len(logp) != len(tokens):
            raise Nonsense(f"{len(tokens)} tokens with {len(logp)} log-probabilities")
    return _cut(Read(tokens, logp, stop), s, renderer)


def read_score(
    choice: Mapping[str, Any], context: np.ndarray, target: np.ndarray, of: Dialect
) -> np.ndarray:
    """float32 (N,): log-probabilities of `target` out of an answer that echoes the prompt."""
    whole = [int(t) for t in (*context, *target)]
    first = len(context)
    if of.token_ids:
        told = choice.get("prompt_logprobs")
        if not isinstance(told, list) or len(told) != len(whole):
            raise Nonsense("an answer without the prompt's log-probabilities")
        rows = [t if isinstance(t, dict) else {} for t in told]
        found = [rows[i].get(str(whole[i])) for i in range(first, len(whole))]
        return _numbers([f.get("logprob") if isinstance(f, dict) else None for f in found])
    given = choice.get("logprobs")
    told = given.get("token_logprobs") if isinstance(given, dict) else None
    if not isinstance(told, list) or len(told) < len(whole):
        raise Nonsense("an answer that does not echo the prompt's log-probabilities")
    return _numbers(told[first : len(whole)])


def attributed(read: Read, s: Sampling, of: Dialect) -> tuple[np.ndarray, np.ndarray]:
    """(under the sampling distribution, under the model): where the server's figures belong.

    NaN where a figure of that kind is not known.
    """
    if len(read.logp) != len(read.tokens):
        return NO_LOGP, NO_LOGP
    unknown = np.full(len(read.tokens), np.nan, np.float32)
    is_filtered = s.top_k > 0 or s.top_p < 1 or s.min_p > 0 or s.allowed is not None or s.bias
    if s.temperature == 1 and not is_filtered:
        return read.logp, read.logp
    model = read.logp if of.logp == "model" else unknown
    return (np.zeros_like(unknown) if s.temperature == 0 else unknown), model


# ---------------------------------------------------------------- pieces


_ENDINGS = {
    "stop": StopReason.ENDED,
    "eos": StopReason.ENDED,
    "eos_token": StopReason.ENDED,
    "stop_sequence": StopReason.ENDED,
    "length": StopReason.LENGTH,
    "max_tokens": StopReason.LENGTH,
}


def _stop(choice: Mapping[str, Any]) -> StopReason:
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason in _ENDINGS:
        return _ENDINGS[reason]
    if isinstance(reason, str) and reason:  # content_filter, tool_calls, abort, ...
        raise ModelError("the endpoint gave no answer", found=f"finish reason {reason[:60]!r}")
    raise Nonsense("a choice without a finish reason")


def _cut(read: Read, s: Sampling, renderer: Any) -> Read:
    """What was said until the first of its stop strings is complete."""
    strings = [string for string in s.stop if string]
    if not strings or not _holds(renderer, read.tokens, strings):
        return read
    low, high = 1, len(read.tokens)  # the fewest tokens whose text holds a string
    while low < high:
        middle = (low + high) // 2
        if _holds(renderer, read.tokens[:middle], strings):
            high = middle
        else:
            low = middle + 1
    return Read(read.tokens[:low], read.logp[:low], StopReason.STOP_STRING)


def _holds(renderer: Any, tokens: np.ndarray, strings: Sequence[str]) -> bool:
    text = renderer.decode(tokens)
    return any(string in text for string in strings)


def _logp_of_bytes(choice: Mapping[str, Any], text: np.ndarray) -> np.ndarray:
    """float32 (len(text) + 1,): the server's figures laid over the bytes and the end mark."""
    given = choice.get("logprobs")
    entries = given.get("content") if isinstance(given, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ModelError(
            "the endpoint answers without log-probabilities",
            hint="Do not ask for them: engine openai?logprobs=false",
        )
    numbers = _numbers([e.get("logprob") for e in entries])
    pieces = [_bytes_of(e) for e in entries]
    if not b"".join(pieces).startswith(text.astype(np.uint8).tobytes()):
        # Characters cut in two, or a silent part in front: whose figures these are is not known.
        return np.full(len(text) + 1, np.nan, np.float32)
    logp, place = np.zeros(len(text) + 1, np.float32), 0
    for piece, number in zip(pieces, numbers, strict=True):
        logp[min(place, len(text))] += number  # closing tokens fall on the end mark
        place += len(piece)
    return logp


def _bytes_of(entry: Mapping[str, Any]) -> bytes:
    told, token = entry.get("bytes"), entry.get("token")
    if isinstance(told, list) and all(_is_id(b, 256) for b in told):
        return bytes(told)
    if not isinstance(token, str):
        raise Nonsense("a log-probability without its token")
    return token.encode("utf-8", "replace")


def _numbers(values: Any) -> np.ndarray:
    """Finite numbers as float32; anything else is nonsense."""
    ok = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not ok:
        raise Nonsense("log-probabilities that are no numbers")
    return np.array(values, np.float32)


def _is_id(token: Any, vocab_size: int) -> bool:
    return isinstance(token, int) and not isinstance(token, bool) and 0 <= token < vocab_size
