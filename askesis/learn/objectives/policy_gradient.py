"""Policy gradients: REINFORCE, and the clipped ratio of PPO, GRPO, Dr. GRPO, DAPO and GSPO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from askesis.errors import must_fit
from askesis.formulas.means import masked, weighted_mean
from askesis.formulas.off_policy import Level, mismatch, truncated_weight
from askesis.formulas.policy_gradient import (
    clipped,
    is_clipped,
    reinforce,
    sequence_ratio,
    token_ratio,
)
from askesis.learn.objectives.rows import LAZY, Mean, averaging, by_row, one_of, per_token, share

Ratio = Literal["token", "sequence"]


@dataclass(frozen=True, kw_only=True)
class Reinforce:
    """The log-likelihood of tokens times their advantages, on-policy.

    mean: "token", "sequence", or "constant": the sum over tokens per sequence, divided by
        max_tokens. RLOO as printed is constant with max_tokens 1.
    max_tokens: see mean; at least 1.
    coef: what the loss is multiplied by.
    Advantages are made before (see `askesis.formulas.advantages`). Nothing is clipped and no ratio
    is made: more than one update on the same samples is off-policy and not corrected.
    """

    mean: Mean = "constant"
    max_tokens: int = field(default=1, metadata=LAZY)
    coef: float = 1.0

    needs = frozenset({"weight", "advantage"})
    uses = frozenset({"logp"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "mean": one_of(self.mean, Mean),
                "max_tokens": (self.max_tokens >= 1, "at least 1"),
            },
        )

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, advantage = batch.column("weight"), per_token(batch, "advantage")
        weighed, count = averaging(batch, weight, self.mean, norm, self.max_tokens)
        return reinforce(out.logp, advantage, weighed, count), {
            "advantage/size": share(advantage.abs(), weight, norm["tokens"]),
        }


@dataclass(frozen=True, kw_only=True)
class ClippedPolicyGradient:
    """The clipped surrogate of PPO and of everything made from it.

    ratio: "token" (PPO, GRPO, DAPO), or "sequence" (GSPO).
    clip_low, clip_high: how far the ratio may go below and above 1 before a token stops pushing;
        low in (0, 1], high above 0. 0.2 and 0.2; DAPO 0.2 and 0.28; GSPO 3e-4 and 4e-4.
    dual_clip: bounds the push of bad tokens that became likelier, above 1 (0: no bound).
    mean: "sequence" (GRPO, GSPO), "token" (DAPO, PPO), or "constant" (Dr. GRPO).
    max_tokens: of mean "constant": the generation allowance, at least 1.
    importance_cap: multiplies by the truncated importance weight from the sampler to the learner,
        at most this, at least 1 (0: no correction; the column logp_sampling is not read).
    importance_level: "token" or "sequence", see `askesis.formulas.off_policy`.
    coef: what the loss is multiplied by.
    """

    ratio: Ratio = "token"
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float = 0.0
    mean: Mean = "sequence"
    max_tokens: int = field(default=1, metadata=LAZY)
    importance_cap: float = 0.0
    importance_level: Level = field(default="token", metadata=LAZY)
    coef: float = 1.0

    uses = frozenset({"logp"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "ratio": one_of(self.ratio, Ratio),
                "mean": one_of(self.mean, Mean),
                "importance_level": one_of(self.importance_level, Level),
                "clip_low": (0 < self.clip_low <= 1, "in (0, 1]"),
                "clip_high": (self.clip_high > 0, "above 0"),
                "dual_clip": (self.dual_clip == 0 or self.dual_clip > 1, "above 1, or 0 for none"),
                "max_tokens": (self.max_tokens >= 1, "at least 1"),
                "importance_cap": (
                    self.importance_cap == 0 or self.importance_cap >= 1,
                    "at least 1, or 0 for none",
                ),
            },
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        found = frozenset({"weight", "advantage", "logp_old"})
        return found | {"logp_sampling"} if self.importance_cap else found

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, advantage = batch.column("weight"), per_token(batch, "advantage")
        old, tokens = batch.column("logp_old"), norm["tokens"]
        make = token_ratio if self.ratio == "token" else sequence_ratio
        ratio = by_row(batch, make, out.logp, old, weight)
        loss = clipped(ratio, advantage, self.clip_low, self.clip_high, self.dual_clip or None)
        stopped = is_clipped(ratio, advantage, self.clip_low, self.clip_high)
        gap = masked(out.logp.detach(), weight) - masked(old, weight)
        metrics = {
            "ratio": share(ratio, weight, tokens),
            "ratio/deviation": share((ratio - 1).abs(), weight, tokens),
            "clip_fraction": share(stopped.to(loss.dtype), weight, tokens),
            "kl_old": share(torch.expm1(gap) - gap, weight, tokens),
            "advantage/size": share(advantage.abs(), weight, tokens),
        }
        if self.importance_cap:
            sampled = batch.column("logp_sampling")
            cap = self.importance_cap
            truncated = partial(truncated_weight, cap=cap, level=self.importance_level)
            importance = by_row(batch, truncated, old, sampled, weight)
            loss = loss * importance
            metrics["importance"] = share(importance, weight, tokens)
            metrics["importance/capped"] = share((importance >= cap).to(loss.dtype), weight, tokens)
            apart = mismatch(old, sampled, weight, tokens)
            metrics |= {f"mismatch/{name}": value for name, value in apart.items()}
        weighed, count = averaging(batch, weight, self.mean, norm, self.max_tokens)
        return weighted_mean(loss, weighed, count), metrics
