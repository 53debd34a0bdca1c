"""A model that is a function: it says what a table or a Python function says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from askesis.models.entry import Entry
from askesis.records import Start, Turn

Script = Callable[[str, float], str]


class TextRenderer:
    """Unicode code points as tokens; the prompt and everything said, one line each."""

    end_token = 0x110000
    pad_token = 0x110001
    vocab_size = 0x110002
    context_length = 1 << 20
    stop_tokens = (0x110000,)

    def encode(self, text: str) -> np.ndarray:
        return np.array([ord(c) for c in text], np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        return "".join(chr(t) for t in tokens if t < 0x110000)

    def render(self, start: Start, turns: Sequence[Turn] = (), role: str = "policy") -> np.ndarray:
        lines = [start.task.prompt, *([start.privileged] if start.privileged else [])]
        lines += [t.text for t in (*start.prefix, *turns)]
        return self.encode("\n".join(lines))


class ScriptedModel(Entry):
    """Says `script(what it reads, u)` where u in [0, 1) is the request's noise.

    A mapping from prompt to text works as a script too (unknown prompts are met with silence).
    """

    def __init__(self, name: str, script: Script | Mapping[str, str]) -> None:
        super().__init__(name, None, TextRenderer(), trainable=False)
        if isinstance(script, Mapping):
            table = dict(script)
            script = lambda text, u: table.get(text, "")
        self.script: Script = script

    def save(self, directory: Any) -> None:
        """There is nothing to write."""
        directory.mkdir(parents=True, exist_ok=True)

    def save_state(self, directory: Any) -> None:
        self.save(directory)

    def load_state(self, directory: Any) -> None:
        """There is nothing to load."""
