"""Models and contexts that are just enough for a learner."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from askesis.models.entry import Entry
from askesis.records import Sample, Sequence
from askesis.rng import Streams

torch.set_num_threads(1)
VOCAB, PAD = 11, 10


class TinyNet(nn.Module):
    """Embedding, running mean of what came before, one hidden layer: causal and smooth."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embed = nn.Embedding(VOCAB, 6, dtype=dtype)
        self.inner = nn.Linear(6, 8, dtype=dtype)
        self.outer = nn.Linear(8, VOCAB, dtype=dtype)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        seen = self.embed(tokens).cumsum(1)
        counts = torch.arange(1, tokens.shape[1] + 1, dtype=seen.dtype)
        return self.outer(torch.tanh(self.inner(seen / counts[:, None])))


class Net(Entry):
    """`outputs` as a language model gives it: (B, T) log-probabilities, 0 at position 0."""

    def __init__(self, dtype: torch.dtype = torch.float32, name: str = "policy") -> None:
        renderer = SimpleNamespace(pad_token=PAD, context_length=64)
        super().__init__(name, TinyNet(dtype), renderer)
        self.num_batches = 0

    def outputs(self, batch: Any, uses: frozenset[str]) -> Any:
        self.num_batches += 1
        logp = torch.log_softmax(self.module(batch.tokens[:, :-1]), -1)
        logp = logp.gather(-1, batch.tokens[:, 1:, None])[..., 0]
        return SimpleNamespace(logp=torch.cat([logp.new_zeros(len(logp), 1), logp], 1))


class Learning:
    """A context: named randomness, a meter, a shelf."""

    def __init__(self, seed: int = 0, shelf: Any = None) -> None:
        self.streams, self.shelf = Streams(seed), shelf
        self.counts: Counter[str] = Counter()
        self.meter = SimpleNamespace(
            add=lambda k, n: self.counts.update({k: n}),
            trained=lambda n, size: self.counts.update({"trained": n}),
        )

    def generator(self, *place: object) -> np.random.Generator:
        return self.streams.generator(*place)


def samples(num: int, seed: int = 0, signed: bool = False, model: str = "policy") -> list[Sample]:
    """Sequences of 3 to 20 tokens that follow a rule (each token is the last plus one)."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(num):
        length = int(rng.integers(3, 21))
        tokens = ((int(rng.integers(10)) + np.arange(length)) % 10).astype(np.int32)
        weight = np.ones(length, np.float32)
        weight[: int(rng.integers(1, 3))] = 0
        if signed:
            weight *= np.float32(rng.normal())
        found.append(Sample(model, (Sequence(tokens, {"weight": weight}),), sources=(f"a{i}",)))
    return found


def gradients(model: Entry) -> torch.Tensor:
    return torch.cat([p.grad.reshape(-1) for p in model.module.parameters()])
