"""What is added to a policy gradient: divergence from a reference, entropy, a value head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import Tensor

from askesis.errors import must_fit
from askesis.formulas.divergences import kl_estimate
from askesis.formulas.means import masked, weighted_mean
from askesis.formulas.policy_gradient import token_ratio
from askesis.formulas.values import value_loss
from askesis.learn.objectives.rows import LAZY, Mean, averaging, before, one_of, per_token, share

Kind = Literal["k1", "k2", "k3", "exact"]
To = Literal["reference", "old"]


@dataclass(frozen=True, kw_only=True)
class KLToReference:
    """Divergence of the policy from a reference, in the loss.

    kind: "k3" (GRPO), "k2", "k1": from the sampled tokens and the column logp_reference; "exact":
        over the vocabulary, from the reference's own forward. As losses they differ: see
        `askesis.formulas.divergences`. k1 teaches nothing on-policy.
    corrected: multiply estimates by the ratio to the policy that sampled; with k1 and k3 the value
        is then unbiased over several updates on the same samples, and the gradient is that of
        KL(policy || reference). Reads the column logp_old.
    to: "reference", or "old": the policy before the round's updates, from the column logp_old. With
        k3, corrected, and coef 1 / eta it makes the round one step of mirror descent: the least of
        -E[ratio A] + KL / eta is where ratio is proportional to exp(eta A).
    mean, max_tokens: as `ClippedPolicyGradient`. coef: beta; 0.04 in GRPO, 1e-3 is common.
    """

    kind: Kind = "k3"
    corrected: bool = False
    to: To = "reference"
    mean: Mean = "sequence"
    max_tokens: int = field(default=1, metadata=LAZY)
    coef: float = 0.04

    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "kind": one_of(self.kind, Kind),
                "corrected": (not (self.corrected and self.kind == "exact"), "false for exact"),
                "to": (
                    self.to in get_args(To) and (self.to, self.kind) != ("old", "exact"),
                    "reference or old, not old with exact",
                ),
                "mean": one_of(self.mean, Mean),
                "max_tokens": (self.max_tokens >= 1, "at least 1"),
            },
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        if self.kind == "exact":
            return frozenset({"weight"})
        old = {"logp_old"} if self.corrected else set()
        return frozenset({"weight", self._compared} | old)

    @property
    def _compared(self) -> str:
        return "logp_old" if self.to == "old" else "logp_reference"

    @property
    def uses(self) -> frozenset[str]:
        """What it asks of the model; "kl" asks the trainer for a reference too."""
        return frozenset({"kl"} if self.kind == "exact" else {"logp"})

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = batch.column("weight")
        if self.kind == "exact":
            each = out.kl
        else:
            logp = masked(out.logp, weight)
            reference = masked(batch.column(self._compared), weight)
            each = kl_estimate(logp, reference, self.kind)
        metrics = {f"kl_{self.to}": share(each, weight, norm["tokens"])}
        if self.corrected:
            each = each * token_ratio(out.logp, batch.column("logp_old"), weight)
        weighed, count = averaging(batch, weight, self.mean, norm, self.max_tokens)
        return weighted_mean(each, weighed, count), metrics


@dataclass(frozen=True, kw_only=True)
class EntropyBonus:
    """Minus the entropy of the distributions that predict the learnt tokens.

    mean, max_tokens: as `ClippedPolicyGradient`. coef: alpha, above 0 raises the entropy; 1e-3 to
    1e-2 is usual; card [240] uses one and does not print its size.
    """

    mean: Mean = "token"
    max_tokens: int = field(default=1, metadata=LAZY)
    coef: float = 1e-3

    needs = frozenset({"weight"})
    uses = frozenset({"entropy"})
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
        weight = batch.column("weight")
        weighed, count = averaging(batch, weight, self.mean, norm, self.max_tokens)
        metrics = {"entropy": share(out.entropy, weight, norm["tokens"])}
        return -weighted_mean(out.entropy, weighed, count), metrics


@dataclass(frozen=True, kw_only=True)
class ValueLoss:
    """Squared error of the value head before each learnt token, with PPO's clip.

    clip: how far a value may move from the old one before it stops learning, above 0, in units of
        the returns (0: no clip; the column value_old is not read). 0.2 is usual.
    mean, max_tokens: as `ClippedPolicyGradient`. coef: 0.5 to 1 is usual (the loss has a half in
        it).
    """

    clip: float = 0.2
    mean: Mean = "token"
    max_tokens: int = field(default=1, metadata=LAZY)
    coef: float = 1.0

    uses = frozenset({"value"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "clip": (self.clip >= 0, "at least 0"),
                "mean": one_of(self.mean, Mean),
                "max_tokens": (self.max_tokens >= 1, "at least 1"),
            },
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        return frozenset({"weight", "returns"} | ({"value_old"} if self.clip else set()))

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, returns, tokens = (
            batch.column("weight"),
            per_token(batch, "returns"),
            norm["tokens"],
        )
        value = before(out.value)
        weighed, count = averaging(batch, weight, self.mean, norm, self.max_tokens)
        metrics = {
            "value": share(value, weight, tokens),
            "value/error": share((value - returns).square(), weight, tokens),
        }
        if not self.clip:
            return value_loss(value, returns, weighed, count), metrics
        old = per_token(batch, "value_old")
        moved = ((value - old).abs() > self.clip).to(value.dtype)
        metrics["value/clip_fraction"] = share(moved, weight, tokens)
        return value_loss(value, returns, weighed, count, old, self.clip), metrics
