"""Policies over arrays: a small multi-layer perceptron from observations to actions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from askesis.models.entry import Entry


class ArrayPolicy(Entry):
    """A softmax policy with a value head over flat observations.

    observation_size and num_actions give the shapes; width is that of the one hidden layer; the
    first weights are a function of `seed` alone.
    """

    def __init__(
        self,
        name: str,
        observation_size: int,
        num_actions: int,
        width: int = 32,
        seed: int = 0,
        trainable: bool = True,
    ) -> None:
        self.num_actions = num_actions
        body = nn.Sequential(nn.Linear(observation_size, width), nn.Tanh())
        module = nn.ModuleDict(
            {"body": body, "policy": nn.Linear(width, num_actions), "value": nn.Linear(width, 1)}
        )
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                bound = parameter.shape[-1] ** -0.5
                parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * bound)
        super().__init__(name, module, None, trainable)

    def logits_and_value(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(..., observation) -> logits (..., actions) and value (...)."""
        hidden = self.module["body"](observation.float())
        return self.module["policy"](hidden), self.module["value"](hidden)[..., 0]

    @torch.no_grad()
    def act(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities (N, actions) and values (N,) for a batch of observations."""
        logits, value = self.logits_and_value(torch.as_tensor(observations))
        return torch.log_softmax(logits, -1).numpy(), value.numpy()

    def outputs(self, batch: Any, uses: frozenset[str] = frozenset({"logp"})) -> Any:
        """Log-probabilities of `batch.arrays["action"]` at `batch.arrays["observation"]`.

        logp, entropy and value are (N,), logits (N, actions).
        """
        observation = torch.as_tensor(batch.arrays["observation"])
        action = torch.as_tensor(batch.arrays["action"]).long()
        logits, value = self.logits_and_value(observation)
        whole = torch.log_softmax(logits, -1)
        logp = whole.gather(-1, action[..., None])[..., 0]
        entropy = -(whole.exp() * whole).sum(-1)
        return SimpleNamespace(logp=logp, logits=logits, value=value, entropy=entropy)
