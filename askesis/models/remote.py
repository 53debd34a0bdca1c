"""A model behind an endpoint: a row of the table of models that has a name and no weights.

openai:gpt-4.1-mini                                    messages to $OPENAI_BASE_URL
openai:my-judge?url=http://127.0.0.1:8000/v1           messages to a server of one's own
openai:policy?url=http://127.0.0.1:8000/v1&tokenizer=DIR   token ids, for servers such as vLLM

Two ways to speak. With *messages* (the default) the server applies its own template and its
tokens are never seen: here a text is its bytes, in the byte vocabulary of the tiny model. With
*token ids* a tokeniser on this machine makes exactly the ids that the server reads.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from askesis.errors import ModelError
from askesis.models.entry import Entry
from askesis.models.renderers import ByteRenderer
from askesis.models.tokenizer import ASSISTANT, END, NUM_BYTES, USER
from askesis.plan import ModelSpec
from askesis.specs import make, split_options

PREFIX = "openai:"
CONTEXT_BYTES = 1 << 20  # how much text a conversation may have before we refuse to send it


class MessageRenderer(ByteRenderer):
    """The byte vocabulary as an envelope for messages: what was rendered can be read back."""

    def messages(self, tokens: np.ndarray) -> list[dict[str, str]]:
        """The messages that rendered to `tokens`, as {"role", "content"} with roles user and
        assistant; neighbours of one role are joined by an empty line, as many servers ask.

        Raises ModelError where `tokens` is no conversation that waits for the assistant.
        """
        tokens = np.asarray(tokens)
        marks = np.nonzero(tokens >= NUM_BYTES)[0]
        if not len(marks) or marks[0] != 0 or int(tokens[-1]) != ASSISTANT:
            raise _no_conversation()
        found: list[dict[str, str]] = []
        for mark, end in pairwise(marks):
            kind, text = int(tokens[mark]), self.decode(tokens[mark + 1 : end])
            if kind == END and not text:  # closes an assistant's message
                continue
            if kind not in (USER, ASSISTANT):
                raise _no_conversation()
            role = "user" if kind == USER else "assistant"
            if found and found[-1]["role"] == role:
                found[-1]["content"] += "\n\n" + text
            else:
                found.append({"role": role, "content": text})
        return found


def _no_conversation() -> ModelError:
    return ModelError(
        "a chat endpoint answers whole conversations; it cannot go on within a turn",
        expected="messages, the last of them somebody else's",
        hint="Use a server that takes token ids: openai:NAME?tokenizer=DIR",
    )


class RemoteModel(Entry):
    """A model that somebody else serves. It cannot be learnt, and has nothing to save.

    remote_name: what the server calls it. url: where it is ("": the engine's). speaks: "messages"
    or "tokens"; the renderer is a `MessageRenderer` for messages.
    """

    def __init__(
        self,
        name: str,
        remote_name: str,
        renderer: Any = None,
        *,
        url: str = "",
        speaks: Literal["messages", "tokens"] = "messages",
    ) -> None:
        renderer = renderer or MessageRenderer(CONTEXT_BYTES)
        super().__init__(name, None, renderer, trainable=False)
        self.remote_name, self.url, self.speaks = remote_name, url, speaks

    def save(self, directory: Path) -> None:
        """There is nothing to write."""
        directory.mkdir(parents=True, exist_ok=True)

    def save_state(self, directory: Path) -> None:
        self.save(directory)

    def load_state(self, directory: Path) -> None:
        """There is nothing to load."""


def open_remote(name: str, spec: ModelSpec) -> RemoteModel:
    """The model of a source "openai:NAME?option=value". ModelError for what it cannot have."""
    found = [f"lora_rank {spec.lora_rank}"] if spec.lora_rank else []
    found += [f"heads {', '.join(spec.heads)}"] if spec.heads else []
    found += [f"base {spec.base!r}"] if spec.base else []
    if found:
        raise ModelError(
            f"model {name!r} is behind an endpoint and has no weights here",
            found=found[0],
            hint="Leave that away, or give a directory or a hub name as its source",
        )
    source, options = split_options(spec.source, "model", ModelError)
    remote_name = source.removeprefix(PREFIX)
    if not remote_name:
        raise ModelError(
            f"the source of model {name!r} names no model",
            expected="openai:NAME, as the server calls it",
            found=spec.source,
        )
    return make(source, "model", ModelError, _opened, (name, remote_name), options)


def _opened(
    name: str, remote_name: str, *, url: str = "", tokenizer: str = "", context: int = 0
) -> RemoteModel:
    if context < 0:
        raise ModelError("context must be a number of tokens", found=str(context))
    if not tokenizer:
        renderer = MessageRenderer(context or CONTEXT_BYTES)
        return RemoteModel(name, remote_name, renderer, url=url)
    renderer = _token_renderer(tokenizer, context)
    return RemoteModel(name, remote_name, renderer, url=url, speaks="tokens")


def _token_renderer(source: str, context: int) -> Any:
    """The renderer of a tokeniser in a directory or on the hub; the configuration beside it
    tells the context's length and the vocabulary's size."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    from askesis.models.load import renderer_for

    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        config = AutoConfig.from_pretrained(source)
    except Exception as error:  # transformers raises many kinds
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise ModelError(
            f"cannot open the tokeniser {source!r}",
            expected="a directory or hub name with the tokeniser and config.json of the model",
            found=f"{type(error).__name__}: {first[:160]}",
        ) from error
    try:
        ends = GenerationConfig.from_pretrained(source).eos_token_id
    except OSError:  # that file may be missing
        ends = None
    stops = () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)
    renderer = renderer_for(tokenizer, config, stops)
    if context:
        renderer.context_length = context
    return renderer
