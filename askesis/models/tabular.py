"""The smallest language model: one row of logits per last token.

A bigram softmax over a little alphabet. Every probability can be written down by hand, so
recipes, objectives and search have exact golden tests on it, and a round costs microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from askesis.formulas.divergences import entropy
from askesis.models.entry import Entry
from askesis.records import Start, Turn


class CharRenderer:
    """One token per character of `alphabet`; the last id ends a turn, one more pads.

    What a speaker reads is the prompt followed by every turn's text, so with the bigram model
    the next token depends on the last character alone.
    """

    def __init__(self, alphabet: str, context_length: int = 64) -> None:
        self.alphabet = alphabet
        self.ids = {c: i for i, c in enumerate(alphabet)}
        self.end_token = len(alphabet)
        self.pad_token = len(alphabet) + 1
        self.vocab_size = len(alphabet) + 2
        self.context_length = context_length
        self.stop_tokens = (self.end_token,)

    def encode(self, text: str) -> np.ndarray:
        return np.array([self.ids[c] for c in text], np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        return "".join(self.alphabet[t] for t in tokens if t < len(self.alphabet))

    def render(self, start: Start, turns: Sequence[Turn] = (), role: str = "policy") -> np.ndarray:
        """The prompt, the privileged text if there is one, and all that was said."""
        said = "".join(t.text for t in (*start.prefix, *turns))
        return self.encode(start.task.prompt + (start.privileged or "") + said)


class _Bigram(nn.Module):
    def __init__(self, vocab_size: int, logits: Any = None) -> None:
        super().__init__()
        table = torch.zeros(vocab_size, vocab_size) if logits is None else torch.as_tensor(logits)
        self.logits = nn.Parameter(table.clone().float())
        self.value = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.logits[tokens]


class TabularModel(Entry):
    """A trainable bigram softmax, with a tabular value head.

    logits: (vocab, vocab) initial table, zeros (uniform) by default.
    """

    def __init__(
        self,
        name: str,
        alphabet: str,
        logits: Any = None,
        trainable: bool = True,
        context_length: int = 64,
    ) -> None:
        renderer = CharRenderer(alphabet, context_length)
        super().__init__(name, _Bigram(renderer.vocab_size, logits), renderer, trainable)

    def next_logits(self, contexts: Sequence[np.ndarray]) -> torch.Tensor:
        """Logits for the token after each context, (N, vocab), padding never allowed."""
        last = torch.tensor([int(c[-1]) for c in contexts])
        logits = self.module(last).detach().clone()
        logits[:, self.renderer.pad_token] = -torch.inf
        return logits

    def values(self, contexts: Sequence[np.ndarray]) -> list[float]:
        """The value head after each context."""
        last = torch.tensor([int(c[-1]) for c in contexts])
        return self.module.value.detach()[last].tolist()

    def outputs(self, batch: Any, uses: frozenset[str] = frozenset({"logp"})) -> Any:
        """Log-probabilities of each token given the one before it, (B, T), 0 at position 0.

        With "value" or "entropy" in `uses`, those too; entropy is aligned with `logp`.
        """
        tokens = batch.tokens
        logits = self.module(tokens[:, :-1]).clone()
        logits[..., self.renderer.pad_token] = -torch.inf
        all_logp = torch.log_softmax(logits, -1)
        target = tokens[:, 1:].clamp(max=self.renderer.end_token)
        logp = all_logp.gather(-1, target[..., None])[..., 0]
        first = torch.zeros(tokens.shape[0], 1, dtype=logp.dtype)
        found = SimpleNamespace(logp=torch.cat([first, logp], 1), logits=logits, value=None)
        if "value" in uses:
            found.value = self.module.value[tokens]
        if "entropy" in uses:
            found.entropy = torch.cat([first, entropy(logits)], 1)
        return found
