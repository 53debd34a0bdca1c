"""Pairs: DPO and its relatives with a reference, SimPO, ORPO and CPL without; KTO without pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from askesis.errors import must_fit
from askesis.formulas.means import masked
from askesis.formulas.preference import (
    hinge,
    ipo,
    kto,
    preference_margin,
    robust_dpo,
    soft_label_dpo,
)
from askesis.formulas.preference_free import (
    contrastive_preference,
    discounted_sum,
    orpo_term,
    simpo,
)
from askesis.learn.objectives.rows import LAZY, one_of, pairs, per_row, row_mean, row_sum

Loss = Literal["logistic", "ipo", "hinge", "robust"]


@dataclass(frozen=True, kw_only=True)
class Preference:
    """DPO and what is made from the same margin: IPO, hinge, robust, soft labels, step pairs, SPIN.

    loss: "logistic" (DPO, SPIN, CREAM, UPO, Step-APO, online DPO), "ipo", "hinge", "robust".
    beta: inverse temperature, above 0 (for ipo: tau). 0.1; 0.3 for Step-APO.
    smoothing: with logistic, the probability that a pair is the wrong way round, in [0, 0.5]; with
        robust the known share of such pairs, below 0.5.
    soft_labels: logistic: each pair's own probability, from the column label (CREAM [181], UPO
        [92]).
    pair_beta: each pair's own beta, from the column beta; logistic and hinge (card [186]).
    gap_coef: alpha, of the column advantage_gap in Step-APO (card [24]), at least 0; logistic.
    nll_coef: of the likelihood of the chosen answer, a mean per pair of its mean per token, at
        least 0: 0.1 in SPaR (card [75]), 0.25 in card [186].
    coef: what the loss is multiplied by.
    The reference is whose log-probabilities are in the column logp_reference: base (DPO), the
    round's start (online DPO), the opponent that wrote the rejected answer (SPIN).
    """

    loss: Loss = "logistic"
    beta: float = field(default=0.1, metadata=LAZY)
    smoothing: float = field(default=0.0, metadata=LAZY)
    soft_labels: bool = field(default=False, metadata=LAZY)
    pair_beta: bool = field(default=False, metadata=LAZY)
    gap_coef: float = field(default=0.0, metadata=LAZY)
    nll_coef: float = 0.0
    coef: float = 1.0

    uses = frozenset({"logp"})
    atom = "pair"

    def __post_init__(self) -> None:
        plain = self.loss == "logistic"
        must_fit(
            self,
            {
                "loss": one_of(self.loss, Loss),
                "beta": (self.beta > 0, "above 0"),
                "smoothing": (
                    self.smoothing == 0
                    or (plain and 0 < self.smoothing <= 0.5 and not self.soft_labels)
                    or (self.loss == "robust" and 0 < self.smoothing < 0.5),
                    "0, or in (0, 0.5] with logistic and no soft_labels or with robust",
                ),
                "soft_labels": (plain or not self.soft_labels, "false unless logistic"),
                "pair_beta": (
                    not self.pair_beta or self.loss in ("logistic", "hinge"),
                    "false unless logistic or hinge",
                ),
                "gap_coef": (
                    self.gap_coef == 0 or (plain and self.gap_coef > 0),
                    "0, or above 0 with logistic",
                ),
                "nll_coef": (self.nll_coef >= 0, "at least 0"),
            },
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        wanted = {
            "weight": True,
            "logp_reference": True,
            "label": self.soft_labels,
            "beta": self.pair_beta,
            "advantage_gap": self.gap_coef > 0,
        }
        return frozenset(name for name, is_read in wanted.items() if is_read)

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, num = batch.column("weight"), norm["samples"]
        chosen, rejected = pairs(batch, row_sum(batch, out.logp, weight))
        # in the precision of the policy: sums of rows must not depend on how far they are padded
        reference = batch.column("logp_reference").to(out.logp.dtype)
        reference_chosen, reference_rejected = pairs(batch, row_sum(batch, reference, weight))
        margin = preference_margin(chosen, rejected, reference_chosen, reference_rejected)
        beta: Any = batch.sample_columns["beta"] if self.pair_beta else self.beta
        loss = self._loss(margin, beta, batch, num)
        if self.nll_coef:
            likely, _ = pairs(batch, row_mean(batch, out.logp, weight))
            loss = loss - self.nll_coef * likely.sum() / num
        found = margin.detach()
        return loss, {
            "margin": (beta * found).sum() / num,
            "accuracy": (found > 0).to(loss.dtype).sum() / num,
            "reward/chosen": (beta * (chosen - reference_chosen)).detach().sum() / num,
            "reward/rejected": (beta * (rejected - reference_rejected)).detach().sum() / num,
            "logp/chosen": chosen.detach().sum() / num,
            "logp/rejected": rejected.detach().sum() / num,
        }

    def _loss(self, margin: Tensor, beta: Any, batch: Any, num: float) -> Tensor:
        if self.loss == "ipo":
            return ipo(margin, beta, num)
        if self.loss == "hinge":
            return hinge(margin, beta, num)
        if self.loss == "robust":
            return robust_dpo(margin, beta, self.smoothing, num)
        label = batch.sample_columns["label"] if self.soft_labels else 1 - self.smoothing
        offset: Any = 0.0
        if self.gap_coef:
            offset = self.gap_coef * batch.sample_columns["advantage_gap"]
        return soft_label_dpo(margin, beta, num, label, offset)


@dataclass(frozen=True, kw_only=True)
class KTO:
    """Answers that are good or bad, without pairs (Kahneman-Tversky optimisation).

    beta: above 0. desirable_coef, undesirable_coef: at least 0; with n_D good and n_U bad answers
    the paper wants desirable_coef * n_D about equal to undesirable_coef * n_U, or a third more.
    coef: what the loss is multiplied by. The column label is 1 for good; kl is the reference point,
    estimated before the step (0 is a fair start).
    """

    beta: float = 0.1
    desirable_coef: float = 1.0
    undesirable_coef: float = 1.0
    coef: float = 1.0

    needs = frozenset({"weight", "logp_reference", "label", "kl"})
    uses = frozenset({"logp"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "beta": (self.beta > 0, "above 0"),
                "desirable_coef": (self.desirable_coef >= 0, "at least 0"),
                "undesirable_coef": (self.undesirable_coef >= 0, "at least 0"),
            },
        )

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, num = batch.column("weight"), norm["sequences"]
        gap = masked(out.logp, weight) - masked(batch.column("logp_reference"), weight)
        ratio = row_sum(batch, gap, weight)
        good, kl = per_row(batch, "label") > 0.5, per_row(batch, "kl").clamp(min=0)
        loss = kto(ratio, good, kl, self.beta, num, self.desirable_coef, self.undesirable_coef)
        right = ((ratio > kl) == good).to(loss.dtype)
        return loss, {
            "accuracy": right.sum() / num,
            "reward": self.beta * ratio.detach().sum() / num,
        }


@dataclass(frozen=True, kw_only=True)
class SimPO:
    """Preference by mean log-probability per token with a margin, without a reference.

    beta: above 0; 2 to 2.5 in the paper, 10 for stronger models. gamma: the margin, at least 0, 0.5
    to 1.6. coef: what the loss is multiplied by.
    """

    beta: float = 2.0
    gamma: float = 1.0
    coef: float = 1.0

    needs = frozenset({"weight"})
    uses = frozenset({"logp"})
    atom = "pair"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {"beta": (self.beta > 0, "above 0"), "gamma": (self.gamma >= 0, "at least 0")},
        )

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        chosen, rejected = pairs(batch, row_mean(batch, out.logp, batch.column("weight")))
        loss = simpo(chosen, rejected, self.beta, self.gamma, norm["samples"])
        return loss, _mean_metrics(chosen, rejected, norm["samples"])


@dataclass(frozen=True, kw_only=True)
class ORPO:
    """Likelihood of the chosen answer plus an odds ratio, without a reference.

    odds_coef: lambda, at least 0; 0.1 to 0.5 in the paper. coef: what the loss is multiplied by.
    The likelihood is a mean per pair of the chosen answer's mean per token.
    """

    odds_coef: float = 0.1
    coef: float = 1.0

    needs = frozenset({"weight"})
    uses = frozenset({"logp"})
    atom = "pair"

    def __post_init__(self) -> None:
        must_fit(self, {"odds_coef": (self.odds_coef >= 0, "at least 0")})

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        num = norm["samples"]
        chosen, rejected = pairs(batch, row_mean(batch, out.logp, batch.column("weight")))
        loss = -chosen.sum() / num + self.odds_coef * orpo_term(chosen, rejected, num)
        return loss, _mean_metrics(chosen, rejected, num)


@dataclass(frozen=True, kw_only=True)
class ContrastivePreference:
    """Contrastive preference learning on segments, turns or trajectories (CPL, card [201]).

    alpha: temperature of the regret, above 0; 0.1, or 0.2 with a reference.
    bias: what the losing segment's score is multiplied by, in (0, 1]; 0.5, or 0.75 with a
        reference.
    gamma: discount per learnt token, in (0, 1]; 1 in the authors' code.
    reference: read the column logp_reference and use log-ratios (CPL-KL).
    coef: what the loss is multiplied by.
    """

    alpha: float = 0.1
    bias: float = 0.5
    gamma: float = 1.0
    reference: bool = False
    coef: float = 1.0

    uses = frozenset({"logp"})
    atom = "pair"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "alpha": (self.alpha > 0, "above 0"),
                "bias": (0 < self.bias <= 1, "in (0, 1]"),
                "gamma": (0 < self.gamma <= 1, "in (0, 1]"),
            },
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        return frozenset({"weight"} | ({"logp_reference"} if self.reference else set()))

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, num = batch.column("weight"), norm["samples"]
        logp = masked(out.logp, weight)
        if self.reference:
            logp = logp - masked(batch.column("logp_reference"), weight)
        chosen, rejected = pairs(batch, self.alpha * discounted_sum(logp, weight, self.gamma))
        loss = contrastive_preference(chosen, rejected, self.bias, num)
        found = (chosen - rejected).detach()
        return loss, {
            "margin": found.sum() / num,
            "accuracy": (found > 0).to(loss.dtype).sum() / num,
        }


def _mean_metrics(chosen: Tensor, rejected: Tensor, num: float) -> dict[str, Tensor]:
    found = (chosen - rejected).detach()
    return {
        "margin": found.sum() / num,
        "accuracy": (found > 0).to(found.dtype).sum() / num,
        "logp/chosen": chosen.detach().sum() / num,
        "logp/rejected": rejected.detach().sum() / num,
    }
