"""Pairs by a known difference of rewards: regression on log-ratios, with an exploration bonus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from askesis.errors import must_fit
from askesis.formulas.pair_regression import optimism, pair_regression
from askesis.formulas.preference import preference_margin
from askesis.learn.objectives.rows import pairs, row_sum


@dataclass(frozen=True, kw_only=True)
class PairRegression:
    """Log-ratios fitted to differences of rewards (RLHF-Sharpening, REBEL, and XPO's bonus).

    beta: above 0; the policy it ends at is the reference times exp(reward / beta).
    bonus_coef: alpha, at least 0: what the reference itself says shall become unlikely, so that
        what it rarely says is found (XPO). The rejected side must then be drawn from the reference.
    coef: what the loss is multiplied by.
    The column margin is the difference of rewards, which may be negative; the reference is whose
    log-probabilities are in the column logp_reference.
    """

    beta: float = 0.5
    bonus_coef: float = 0.0
    coef: float = 1.0

    needs = frozenset({"weight", "logp_reference", "margin"})
    uses = frozenset({"logp"})
    atom = "pair"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "beta": (0 < self.beta < float("inf"), "above 0"),
                "bonus_coef": (0 <= self.bonus_coef < float("inf"), "at least 0"),
            },
        )

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, num = batch.column("weight"), norm["samples"]
        first, second = pairs(batch, row_sum(batch, out.logp, weight))
        reference = batch.column("logp_reference").to(out.logp.dtype)
        of_first, of_second = pairs(batch, row_sum(batch, reference, weight))
        margin = preference_margin(first, second, of_first, of_second)
        gap = batch.sample_columns["margin"].to(margin.dtype)
        loss = pair_regression(margin, gap, self.beta, num)
        if self.bonus_coef:
            loss = loss + optimism(second, self.bonus_coef, num)
        found = margin.detach()
        return loss, {
            "margin": (self.beta * found).sum() / num,
            "accuracy": (found * gap > 0).to(found.dtype).sum() / num,
            "logp/chosen": first.detach().sum() / num,
            "logp/rejected": second.detach().sum() / num,
        }
