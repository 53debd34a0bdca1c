"""KTO's reference point: how far the policy is from its reference, one number a round."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.learn.checks import fitting
from askesis.learn.credit import learnt
from askesis.protocols import Metrics
from askesis.records import Sample, Sequence

Of = Literal["others", "own"]


@dataclass(frozen=True, kw_only=True)
class ReferencePoint:
    """The number kl of every sample: an estimate of KL(policy || reference) before the updates.

        z = max( 0, (1 / m) * sum_i [ log pi(y_j | x_i) - log ref(y_j | x_i) ] )

    of: whose answers y_j are read after the prompt x_i: "others": those of another prompt (the
        paper, which takes the next sample's), so that the point does not move with the answers
        that are learnt; "own": the samples as they are, an unbiased estimate where the policy made
        them.
    num: m, samples that it is estimated from, spread over the round, at least 1; each costs a
        forward pass of both models with "others". All of a small round are taken.
    Stands in `Learn.columns`; token samples of one sequence. `kl_point` is z, in nats an answer.
    Source: Ethayarajh et al. 2024, "KTO", section 4.
    """

    of: Of = "others"
    num: int = field(default=64, metadata={"lazy": True})

    makes = frozenset({"kl"})
    needs = frozenset({"weight", "logp_old", "logp_reference"})

    def __post_init__(self) -> None:
        limits = {
            "of": (self.of in get_args(Of), "others or own"),
            "num": (self.num >= 1, "at least 1"),
        }
        must_fit(self, limits)

    def asks(self, model: Any, samples: Many[Sample]) -> list[Sample]:
        """The samples whose log-ratios are averaged; none where every prompt is the same."""
        if any(len(s.sequences) != 1 for s in samples):
            raise ConfigError(
                "a reference point is taken of samples of one sequence",
                found="pairs, sets or array steps",
                hint="choose a selector of single attempts, like select.labelled",
            )
        places = np.unique(
            np.linspace(0, len(samples) - 1, min(self.num, len(samples))).astype(int)
        )
        if self.of == "own":
            return [samples[i] for i in places]
        prompts = [_halves(s)[0].tobytes() for s in samples]
        found = []
        for i in places:
            others = ((i + k) % len(samples) for k in range(1, len(samples)))
            other = next((j for j in others if prompts[j] != prompts[i]), None)
            if other is not None:
                found.append(_crossed(samples[i], samples[other]))
        return fitting(model, found)

    def __call__(self, samples: Many[Sample], asked: Many[Sample]) -> tuple[list[Sample], Metrics]:
        """Samples in their order with the number kl; 0 where there was nothing to ask."""
        gaps = [(learnt(s, "logp_old") - learnt(s, "logp_reference")).sum() for s in asked]
        point = max(0.0, float(np.mean(gaps))) if gaps else 0.0
        made = [replace(s, columns={**s.columns, "kl": point}) for s in samples]
        return made, {"kl_point": point}


def _halves(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The prompt of a sample, its answer, and the weights of the answer."""
    (row,) = sample.sequences
    weight = np.asarray(row.columns["weight"])
    found = np.flatnonzero(weight)
    first = int(found[0]) if len(found) else len(weight)
    return row.tokens[:first], row.tokens[first:], weight[first:]


def _crossed(one: Sample, other: Sample) -> Sample:
    """The answer of one sample after the prompt of another."""
    prompt, _, _ = _halves(one)
    _, answer, weight = _halves(other)
    tokens = np.concatenate([prompt, answer]).astype(np.int32)
    weights = np.concatenate([np.zeros(len(prompt)), weight]).astype(np.float32)
    sources = (*one.sources, *other.sources)
    return Sample(one.model, (Sequence(tokens, {"weight": weights}),), sources=sources)
