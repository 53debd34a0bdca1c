"""Between turns of text and token ids.

The task's prompt is the first user message. Of what was said since, the speaker's own turns are
assistant messages and everybody else's (worlds, critics, opponents) user messages. The last own
turn that carries tokens stands as it was read and said; only what came after is tokenised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from askesis.errors import ModelError
from askesis.models.tokenizer import ASSISTANT, END, NUM_BYTES, PAD, USER, VOCAB_SIZE
from askesis.records import Start, Turn

HINT = "\n\nHint (not part of the task): "
CLOSERS = ("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "<|endoftext|>", "</s>")


def question(start: Start) -> str:
    """The first user message: the task's prompt, and the privileged text set apart from it."""
    hint = "" if start.privileged is None else HINT + start.privileged
    return start.task.prompt + hint


def split_turns(
    start: Start, turns: Sequence[Turn], role: str
) -> tuple[Turn | None, list[tuple[str, str]]]:
    """The last own turn with tokens (None: there is none), and the messages after it.

    Without such a turn the messages begin with the question. Messages are (role, text) with
    role "user" or "assistant".
    """
    said = [*start.prefix, *turns]
    last = None
    for i in range(len(said) - 1, -1, -1):
        if said[i].role == role and len(said[i].context) and len(said[i].tokens):
            last = i
            break
    later = said if last is None else said[last + 1 :]
    messages = [("assistant" if t.role == role else "user", t.text) for t in later]
    if last is None:
        return None, [("user", question(start)), *messages]
    return said[last], messages


class ByteRenderer:
    """Renderer of the byte vocabulary: `<|user|> prompt <|assistant|> answer <|end|>`."""

    vocab_size = VOCAB_SIZE
    end_token = END
    pad_token = PAD
    stop_tokens = (END,)

    def __init__(self, context_length: int = 512) -> None:
        self.context_length = context_length

    def encode(self, text: str) -> np.ndarray:
        """UTF-8 bytes as ids; no text can produce a mark."""
        return np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """Text of the byte tokens; marks are left out, broken UTF-8 becomes U+FFFD."""
        tokens = np.asarray(tokens)
        return tokens[tokens < NUM_BYTES].astype(np.uint8).tobytes().decode("utf-8", "replace")

    def render(self, start: Start, turns: Sequence[Turn] = (), role: str = "policy") -> np.ndarray:
        """Token ids that `role` reads, int32 (T,). ModelError where a first prompt is too long."""
        last, messages = split_turns(start, turns, role)
        parts: list[np.ndarray] = []
        if last is not None:
            parts += [last.context, last.tokens]
            if last.tokens[-1] != END:
                parts.append(_id(END))
        for speaker, text in messages:
            body = self.encode(text)
            if speaker == "assistant":
                parts += [_id(ASSISTANT), body, _id(END)]
            else:
                parts += [_id(USER), body]
        parts.append(_id(ASSISTANT))
        tokens = np.concatenate(parts).astype(np.int32, copy=False)
        if last is None and not turns:
            check_fits(tokens, self.context_length, start)
        return tokens


class ChatRenderer:
    """Renderer for any Hugging Face tokeniser: its chat template, or a plain one of ours.

    Where templates rewrite the past, earlier own turns are kept as they were read and said, and
    only the closing of the turn and what follows come from the template.
    """

    def __init__(
        self,
        tokenizer: Any,
        context_length: int,
        vocab_size: int,
        stop_tokens: Sequence[int] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.context_length, self.vocab_size = context_length, vocab_size
        self._plain = not getattr(tokenizer, "chat_template", None)
        self._sentinel = "\u2042askesis\u2042"
        self.end_token, self._end_text = self._end()
        pad = tokenizer.pad_token_id
        self.pad_token = self.end_token if pad is None else pad
        known = [tokenizer.convert_tokens_to_ids(c) for c in CLOSERS if c in tokenizer.get_vocab()]
        found = [self.end_token, tokenizer.eos_token_id, *stop_tokens, *known]
        self.stop_tokens = tuple(dict.fromkeys(int(t) for t in found if t is not None))

    def encode(self, text: str) -> np.ndarray:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return np.array(ids, np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        return self.tokenizer.decode(np.asarray(tokens).tolist(), skip_special_tokens=True)

    def render(self, start: Start, turns: Sequence[Turn] = (), role: str = "policy") -> np.ndarray:
        """Token ids that `role` reads, int32 (T,). ModelError where a first prompt is too long."""
        last, messages = split_turns(start, turns, role)
        if last is None:
            tokens = self._tokens(self._text(messages, True), first=True)
            if not turns:
                check_fits(tokens, self.context_length, start)
            return tokens
        opening = [("user", "?"), ("assistant", self._sentinel)]
        tail = self._text([*opening, *messages], True).split(self._sentinel, 1)[1]
        if int(last.tokens[-1]) in self.stop_tokens:
            tail = tail.removeprefix(self._end_text)
        return np.concatenate([last.context, last.tokens, self._tokens(tail)]).astype(np.int32)

    def _text(self, messages: list[tuple[str, str]], to_speak: bool) -> str:
        merged: list[tuple[str, str]] = []
        for role, text in messages:  # many templates refuse two messages of one role in a row
            if merged and merged[-1][0] == role:
                merged[-1] = (role, f"{merged[-1][1]}\n\n{text}")
            else:
                merged.append((role, text))
        if self._plain:
            lines = [
                f"{'Answer' if role == 'assistant' else 'Question'}: {text}"
                + (self._eos_text() if role == "assistant" else "")
                for role, text in merged
            ]
            return "\n".join([*lines, "Answer:"] if to_speak else lines)
        chat = [{"role": role, "content": text} for role, text in merged]
        return self.tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=to_speak
        )

    def _tokens(self, text: str, first: bool = False) -> np.ndarray:
        specials = self._plain and first  # templates write their own beginning
        ids = self.tokenizer(text, add_special_tokens=specials)["input_ids"]
        return np.array(ids, np.int32)

    def _eos_text(self) -> str:
        return self.tokenizer.eos_token or ""

    def _end(self) -> tuple[int, str]:
        """The token that closes an assistant's turn, and its spelling."""
        tokenizer = self.tokenizer
        tail = self._text([("user", "?"), ("assistant", self._sentinel)], False)
        after = self._tokens(tail.split(self._sentinel, 1)[-1])
        special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
        if len(after) and int(after[0]) in special:
            return int(after[0]), tokenizer.convert_ids_to_tokens(int(after[0]))
        if tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokeniser has no token that ends a turn",
                expected="an eos token or a chat template that closes turns",
                hint="Set `eos_token` in the model's tokenizer_config.json",
            )
        return int(tokenizer.eos_token_id), self._eos_text()


def check_fits(tokens: np.ndarray, context_length: int, start: Start) -> None:
    """ModelError where a prompt leaves no room to say anything."""
    if len(tokens) >= context_length:
        raise ModelError(
            f"the prompt of task {start.task.id!r} does not fit the model",
            expected=f"fewer than {context_length} tokens",
            found=f"{len(tokens)}",
            hint="Use a model with a longer context, or shorter tasks",
        )


def _id(token: int) -> np.ndarray:
    return np.array([token], np.int32)
