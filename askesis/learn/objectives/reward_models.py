"""Objectives of reward models and of students: heads on a model, log-ratios, distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from askesis.errors import must_fit
from askesis.formulas.distillation import distillation
from askesis.formulas.means import masked, weighted_mean
from askesis.formulas.reward_models import (
    bradley_terry,
    davidson,
    label_loss,
    plackett_luce,
    rao_kupper,
)
from askesis.learn.objectives.rows import (
    LAZY,
    Mean,
    as_rows,
    at_last,
    averaging,
    one_of,
    pairs,
    per_row,
    per_token,
    row_sum,
    share,
)

Ties = Literal["none", "rao_kupper", "davidson"]
Where = Literal["last", "weight"]


@dataclass(frozen=True, kw_only=True)
class PairwiseReward:
    """A reward model from pairs: Bradley-Terry with margins, or a model with ties.

    The score of an answer is the value head after its last learnt token.
    ties: "none" (the first row of a pair is the better one), "rao_kupper", "davidson" (the column
        outcome says who won: 1 the first row, -1 the second, 0 nobody).
    tie_width: Rao and Kupper's threshold, above 0, in units of the score; Davidson's log nu, any.
    margins: read the column margin: by how much better the chosen one is said to be.
    centre_coef: of the squared sum of both scores, at least 0; 0.01 pins the scores' zero. Margins
        and centring are for ties "none".
    coef: what the loss is multiplied by.
    """

    ties: Ties = "none"
    tie_width: float = field(default=1.0, metadata=LAZY)
    margins: bool = field(default=False, metadata=LAZY)
    centre_coef: float = field(default=0.0, metadata=LAZY)
    coef: float = 1.0

    uses = frozenset({"value"})
    atom = "pair"

    def __post_init__(self) -> None:
        plain = self.ties == "none"
        must_fit(
            self,
            {
                "ties": one_of(self.ties, Ties),
                "tie_width": (
                    self.tie_width > 0 or self.ties != "rao_kupper",
                    "above 0 for rao_kupper",
                ),
                "margins": (plain or not self.margins, 'false unless ties is "none"'),
                "centre_coef": (
                    self.centre_coef == 0 or (plain and self.centre_coef > 0),
                    '0, or above 0 where ties is "none"',
                ),
            },
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        wanted = {"weight": True, "outcome": self.ties != "none", "margin": self.margins}
        return frozenset(name for name, is_read in wanted.items() if is_read)

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        num = norm["samples"]
        first, second = pairs(batch, at_last(out.value, batch.column("weight")))
        gap = (first - second).detach()
        if self.ties == "none":
            margin: Any = batch.sample_columns["margin"] if self.margins else 0.0
            loss = bradley_terry(first, second, num, margin, self.centre_coef)
            right = gap > 0
        else:
            outcome = batch.sample_columns["outcome"]
            formula = rao_kupper if self.ties == "rao_kupper" else davidson
            loss = formula(first, second, outcome, self.tie_width, num)
            right = torch.sign(gap) == torch.sign(outcome)  # a tie is hardly ever met exactly
        return loss, {
            "margin": gap.sum() / num,
            "accuracy": right.to(gap.dtype).sum() / num,
            "score": (first + second).detach().sum() / (2 * num),
        }


@dataclass(frozen=True, kw_only=True)
class RankedReward:
    """A reward model from rankings: Plackett-Luce over the rows of a sample, best first.

    The score of an answer is the value head after its last learnt token. coef: what the loss is
    multiplied by. The loss is a mean over rankings.
    """

    coef: float = 1.0

    needs = frozenset({"weight"})
    uses = frozenset({"value"})
    atom = "set"

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        score = at_last(out.value, batch.column("weight"))
        width = int(batch.place.max()) + 1
        table = score.new_zeros(batch.num_samples, width)
        table = table.index_put((batch.sample, batch.place), score)
        valid = torch.zeros_like(table, dtype=torch.bool)
        valid[batch.sample, batch.place] = True
        loss = plackett_luce(table, valid, norm["samples"])
        best = table.detach().masked_fill(~valid, -torch.inf).argmax(-1) == 0
        return loss, {"accuracy": best.to(loss.dtype).sum() / norm["samples"]}


@dataclass(frozen=True, kw_only=True)
class LabelledReward:
    """An outcome or process head: cross entropy of the value head with labels in [0, 1].

    where: "last": one score per answer, after its last learnt token (outcome); "weight": after
        every token with a weight, which a selector puts on the last token of each step (process;
        the column label is then per token).
    coef: what the loss is multiplied by. The loss is a mean over scores.
    """

    where: Where = "last"
    coef: float = 1.0

    needs = frozenset({"weight", "label"})
    uses = frozenset({"value"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"where": one_of(self.where, Where)})

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = batch.column("weight")
        if self.where == "last":
            num, (value, rows) = norm["sequences"], as_rows(batch, out.value, weight)
            score, weight = at_last(value, rows), (rows != 0).any(-1).to(value.dtype)
            if "label" in batch.sample_columns:
                label = per_row(batch, "label")
            else:
                label = at_last(as_rows(batch, batch.column("label"))[0], rows)
        else:
            score, label, num = out.value, per_token(batch, "label"), norm["tokens"]
        return label_loss(score, label, weight, num), _label_metrics(score, label, weight, num)


@dataclass(frozen=True, kw_only=True)
class ImplicitReward:
    """A reward model that is a log-ratio of two language models, from outcome labels (card [133]).

    The score of an answer is beta times its summed log-ratio to the reference; read on prefixes it
    gives step rewards without step labels (`askesis.formulas.reward_models.implicit_values`).
    beta: above 0, 0.05 in the paper. coef: what the loss is multiplied by.
    This is the cross-entropy form; `Preference` and `KTO` train the same reward from pairs and
        labels.
    """

    beta: float = 0.05
    coef: float = 1.0

    needs = frozenset({"weight", "label", "logp_reference"})
    uses = frozenset({"logp"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"beta": (self.beta > 0, "above 0")})

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight, num = batch.column("weight"), norm["sequences"]
        gap = masked(out.logp, weight) - masked(batch.column("logp_reference"), weight)
        score = self.beta * row_sum(batch, gap, (weight != 0).to(gap.dtype))
        has = row_sum(batch, torch.ones_like(gap), (weight != 0).to(gap.dtype)) > 0
        label, real = per_row(batch, "label"), has.to(score.dtype)
        return label_loss(score, label, real, num), _label_metrics(score, label, real, num)


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """The reference's distributions learnt token by token, over the vocabulary.

    beta: 0 forward, 1 reverse, between: generalised Jensen-Shannon. On the student's own attempts
        it is on-policy distillation.
    temperature: of both distributions, above 0.
    mean, max_tokens: as `ClippedPolicyGradient`. coef: what the loss is multiplied by.
    The teacher is the learner's reference, and must have the same vocabulary.
    """

    beta: float = 0.0
    temperature: float = 1.0
    mean: Mean = "token"
    max_tokens: int = field(default=1, metadata=LAZY)
    coef: float = 1.0

    needs = frozenset({"weight"})
    uses = frozenset({"logits", "logits_reference"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "beta": (0 <= self.beta <= 1, "in [0, 1]"),
                "temperature": (self.temperature > 0, "above 0"),
                "mean": one_of(self.mean, Mean),
                "max_tokens": (self.max_tokens >= 1, "at least 1"),
            },
        )

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weight = batch.column("weight")
        weighed, count = averaging(batch, weight, self.mean, norm, self.max_tokens)
        student, teacher = out.logits, out.logits_reference
        if weight.ndim == 2:  # position t predicts token t + 1
            width = weight.shape[1]
            student, teacher = student[:, : width - 1], teacher[:, : width - 1]
            weight, weighed = weight[:, 1:], weighed[:, 1:]
        each = distillation(student, teacher, self.beta, self.temperature)
        agree = (student.argmax(-1) == teacher.argmax(-1)).to(each.dtype)
        return weighted_mean(each, weighed, count), {
            "divergence": share(each, weight, norm["tokens"]),
            "agreement": share(agree, weight, norm["tokens"]),
        }


def _label_metrics(score: Tensor, label: Tensor, weight: Tensor, num: float) -> dict[str, Tensor]:
    right = ((score > 0) == (label > 0.5)).to(score.dtype)
    return {"accuracy": share(right, weight, num), "score": share(score, weight, num)}
