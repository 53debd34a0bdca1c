"""Weighted likelihoods with a twist: NFT, A-LoL, sets of answers, SuperHF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from askesis.errors import must_fit
from askesis.formulas.divergences import kl, kl_estimate
from askesis.formulas.leftover import Importance, leftover_lunch
from askesis.formulas.means import masked, weighted_mean
from askesis.formulas.nft import nft
from askesis.formulas.policy_gradient import sequence_ratio, token_ratio
from askesis.formulas.set_likelihood import beta_mml, mle_augmented
from askesis.formulas.supervised import anchored_nll
from askesis.learn.objectives.rows import (
    LAZY,
    Mean,
    as_rows,
    averaging,
    by_row,
    one_of,
    per_row,
    per_token,
    row_sum,
    share,
)

Ratio = Literal["token", "sequence"]


@dataclass(frozen=True, kw_only=True)
class NegativeAware:
    """Negative-aware fine-tuning (NFT, card [222]).

    ratio: "token" (the code's default) or "sequence".
    negative_coef: weight of wrong answers, at least 0; 0 is rejection-sampling fine-tuning.
    floor: what the implied ratio of a wrong token is held above, at least 0 (code: 1).
    least: group accuracies are clamped into [least, 1 - least], in (0, 0.5) (code: 0.02).
    mean, max_tokens: as `ClippedPolicyGradient`; the code sums tokens and divides by 1000.
    coef: what the loss is multiplied by.
    The column priority is made before (see `askesis.formulas.nft.priority`).
    """

    ratio: Ratio = "token"
    negative_coef: float = 1.0
    floor: float = 1.0
    least: float = 0.02
    mean: Mean = "token"
    max_tokens: int = field(default=1, metadata=LAZY)
    coef: float = 1.0

    needs = frozenset({"weight", "logp_old", "correct", "accuracy", "priority"})
    uses = frozenset({"logp"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "ratio": one_of(self.ratio, Ratio),
                "negative_coef": (self.negative_coef >= 0, "at least 0"),
                "floor": (self.floor > 0, "above 0"),
                "least": (0 < self.least < 0.5, "in (0, 0.5)"),
                "mean": one_of(self.mean, Mean),
                "max_tokens": (self.max_tokens >= 1, "at least 1"),
            },
        )

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, correct = batch.column("weight"), per_token(batch, "correct")
        make = token_ratio if self.ratio == "token" else sequence_ratio
        ratio = by_row(batch, make, out.logp, batch.column("logp_old"), weight)
        accuracy = per_token(batch, "accuracy")
        loss = nft(ratio, correct, accuracy, self.negative_coef, self.floor, self.least)
        weighed, count = averaging(batch, weight, self.mean, norm, self.max_tokens)
        weighed = weighed * per_token(batch, "priority")
        held = (correct == 0) & (1 - accuracy * ratio < self.floor * (1 - accuracy))
        return weighted_mean(loss, weighed, count), {
            "ratio/deviation": share((ratio - 1).abs(), weight, norm["tokens"]),
            "held_fraction": share(held.to(loss.dtype), weight, norm["tokens"]),
        }


@dataclass(frozen=True, kw_only=True)
class LeftoverLunch:
    """Advantage-leftover lunch and its variants (A-LoL, card [82]).

    importance: "sequence" (A-LoL), "token" ("A-LoL seq"), "none" (A-LoL ref-free; with rewards in
        place of advantages R-LoL and weighted behaviour cloning), "gold" (reward-GOLD).
    clip: how far the importance weight may go from 1, in (0, 1]; 0.9 in the paper.
    kl_coef: of the log-ratio to the reference (A-LoL KL), at least 0; goes with "none".
    coef: what the loss is multiplied by. The advantage is a number per sample.
    """

    importance: Importance = "sequence"
    clip: float = field(default=0.9, metadata=LAZY)
    kl_coef: float = 0.0
    coef: float = 1.0

    uses = frozenset({"logp"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "importance": one_of(self.importance, Importance),
                "clip": (0 < self.clip <= 1, "in (0, 1]"),
                "kl_coef": (
                    self.kl_coef == 0 or (self.kl_coef > 0 and self.importance == "none"),
                    '0, or above 0 with importance "none"',
                ),
            },
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        reads = self.importance in ("sequence", "token") or self.kl_coef
        return frozenset({"weight", "advantage"} | ({"logp_reference"} if reads else set()))

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, advantage = batch.column("weight"), per_row(batch, "advantage")
        reference = batch.column("logp_reference") if "logp_reference" in self.needs else None
        columns = [out.logp, weight] + ([] if reference is None else [reference])
        logp, mask, *others = as_rows(batch, *columns)
        loss = leftover_lunch(
            logp,
            mask,
            advantage,
            norm["sequences"],
            others[0] if others else None,
            self.importance,
            self.clip,
            self.kl_coef,
        )
        metrics = {"logp": share(out.logp, weight, norm["tokens"])}
        if reference is not None:
            gap = masked(out.logp, weight) - masked(reference, weight)
            metrics["kl_reference"] = share(gap, weight, norm["tokens"])
        return loss, metrics


@dataclass(frozen=True, kw_only=True)
class SetLikelihood:
    """Several correct answers to one task in a sample (card [248]).

    beta: in [0, 1]: 1 is MML (one likely answer is enough), between is beta-MML, 0 is MLE-augmented
        (every answer alike, summed). 0.25 is one of the paper's.
    coef: what the loss is multiplied by. The loss is a mean over sets.
    """

    beta: float = 0.25
    coef: float = 1.0

    needs = frozenset({"weight"})
    uses = frozenset({"logp"})
    atom = "set"

    def __post_init__(self) -> None:
        must_fit(self, {"beta": (0 <= self.beta <= 1, "in [0, 1]")})

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = batch.column("weight")
        logp = row_sum(batch, out.logp, (weight != 0).to(out.logp.dtype))
        if self.beta == 0:
            loss = mle_augmented(logp, norm["samples"])
        else:
            loss = beta_mml(logp, batch.sample, batch.num_samples, self.beta, norm["samples"])
        top = torch.full((batch.num_samples,), -torch.inf, device=logp.device, dtype=logp.dtype)
        top = top.scatter_reduce(0, batch.sample, logp.detach(), "amax")
        return loss, {
            "logp/mean": logp.detach().sum() / norm["sequences"],
            "logp/best": top.sum() / norm["samples"],
        }


@dataclass(frozen=True, kw_only=True)
class AnchoredLikelihood:
    """Likelihood of the best of many, with a leash to where the model came from (SuperHF, [197]).

    kl: "sampled": estimator k3 on the learnt tokens from the column logp_reference, whose gradient
        is the forward divergence's where the tokens are the policy's own; "exact": KL(reference ||
        policy) over the vocabulary, as in the paper's code.
    kl_coef: lambda, at least 0; 0.23 in the paper's LLaMA runs.
    coef: what the loss is multiplied by. Both terms are means over the learnt tokens.
    """

    kl: Literal["sampled", "exact"] = "sampled"
    kl_coef: float = 0.23
    coef: float = 1.0

    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "kl": one_of(self.kl, Literal["sampled", "exact"]),
                "kl_coef": (self.kl_coef >= 0, "at least 0"),
            },
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        sampled = {"logp_reference"} if self.kl == "sampled" else set()
        return frozenset({"weight"} | sampled)

    @property
    def uses(self) -> frozenset[str]:
        """What it asks of the model."""
        exact = {"logits", "logits_reference"} if self.kl == "exact" else set()
        return frozenset({"logp"} | exact)

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = batch.column("weight")
        nll = -weighted_mean(out.logp, weight, norm["tokens"])
        if self.kl == "sampled":
            reference = masked(batch.column("logp_reference"), weight)
            each, real = kl_estimate(masked(out.logp, weight), reference, "k3"), weight
        else:
            reference, policy, real = out.logits_reference.detach(), out.logits, weight
            if weight.ndim == 2:  # position t predicts token t + 1
                last, real = weight.shape[1] - 1, weight[:, 1:]
                reference, policy = reference[:, :last], policy[:, :last]
            each = kl(reference, policy)
        distance = weighted_mean(each, (real != 0).to(each.dtype), norm["tokens"])
        return anchored_nll(nll, distance, self.kl_coef), {
            "nll": nll.detach(),
            "kl_reference": distance.detach(),
        }
