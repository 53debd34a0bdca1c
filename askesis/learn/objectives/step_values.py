"""A value head that learns what a search found at the ends of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from askesis.errors import must_fit
from askesis.formulas.means import masked, weighted_mean


@dataclass(frozen=True, kw_only=True)
class StepValueLoss:
    """Squared error of the head, through tanh, after reading the last token of a step.

        L = (1 / sequences) * sum_t u_t ( tanh V_t - Q_t )^2

    Q is the column step_value, in [-1, 1], and u the column value_weight: the share of each step in
    its attempt, 0 where no step ends. Both mean something only at learnt tokens.
    coef: b, above 0; 0.1 or 0.01 in card [178].
    """

    coef: float = 0.1

    needs = frozenset({"weight", "step_value", "value_weight"})
    uses = frozenset({"value"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"coef": (0 < self.coef < float("inf"), "above 0")})

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = masked(batch.column("value_weight"), batch.column("weight"))
        value, num = torch.tanh(masked(out.value, weight)), norm["sequences"]
        target = batch.column("step_value").to(value.dtype)
        loss = weighted_mean((value - target).square(), weight, num)
        found = weighted_mean(value.detach(), weight, num)
        return loss, {"value": found, "value/error": loss.detach()}
