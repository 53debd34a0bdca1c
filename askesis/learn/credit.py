"""Columns made from columns before a round's first update: credit that needs the model's numbers.

A selector knows rewards, but neither what the value head said nor what another snapshot thinks of
an answer. These parts stand in `Learn.columns`; the learner computes what they need (logp_old,
value_old, logp_reference) from the weights that learning begins from, and calls them once.

    needs, makes                   columns they read and write
    __call__(samples)              samples with more columns, and metrics
    asks(model, samples)           if it has this: further samples whose numbers the learner
                                   computes and hands over, __call__(samples, asked)

Token samples only; where a sample has several sequences its learnt tokens count as one row.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.advantages import leave_one_out
from askesis.formulas.moments import whitened
from askesis.formulas.returns import explained_variance, gae
from askesis.protocols import Metrics
from askesis.records import Sample

KLBaseline = Literal["none", "batch", "leave_one_out"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class KLInReward:
    """An answer's log-ratio to the reference, taken off its reward.

        A_i <- A_i - coef * ( d_i - b_i ),    d_i = sum_t log pi(y_t) - log ref(y_t)

    coef: beta, above 0 (0 leaves all as it is).
    baseline: b, which must be the one of the rewards, because it is the reward that is changed:
        "none": 0 (Nash-MD, card [196]); "batch": the mean over the round, so that only what is
        farther than the others costs (T1, card [240]); "leave_one_out": the mean of the others of
        the group, from the column group (RLOO).
    Reads the sample's number advantage and writes it anew.
    """

    coef: float = 0.05
    baseline: KLBaseline = "none"

    makes = frozenset({"advantage"})

    def __post_init__(self) -> None:
        _check(self, "coef", 0 <= self.coef < float("inf"), "at least 0")
        _check(
            self, "baseline", self.baseline in get_args(KLBaseline), "none, batch or leave_one_out"
        )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        group = {"group"} if self.baseline == "leave_one_out" else set()
        read = {"weight", "advantage", "logp_old", "logp_reference"} | group
        return frozenset(read) if self.coef else frozenset()

    def __call__(self, samples: Many[Sample]) -> tuple[list[Sample], Metrics]:
        """Samples in their order; `kl_reward` is the mean log-ratio of an answer, in nats."""
        if not self.coef:
            return list(samples), {}
        _must_have("advantage", samples)
        gaps = [learnt(s, "logp_old") - learnt(s, "logp_reference") for s in samples]
        ratios = np.array([g.sum() for g in gaps])
        base = self._baseline(ratios, samples)
        made = [
            _with_number(s, "advantage", s.columns["advantage"] - self.coef * (d - b))
            for s, d, b in zip(samples, ratios, base, strict=True)
        ]
        return made, {"kl_reward": float(ratios.mean())}

    def _baseline(self, ratios: np.ndarray, samples: Many[Sample]) -> np.ndarray:
        if self.baseline == "none":
            return np.zeros(len(ratios))
        if self.baseline == "batch":
            return np.full(len(ratios), ratios.mean())
        _must_have("group", samples)
        found = np.zeros(len(ratios))
        groups = np.array([s.columns["group"] for s in samples])
        for group in np.unique(groups):
            own = groups == group
            if own.sum() > 1:
                found[own] = ratios[own] - leave_one_out(ratios[own])
        return found


@dataclass(frozen=True, kw_only=True)
class GeneralisedAdvantages:
    """Advantages and returns of tokens from the value head: what PPO learns from.

        r_t = -kl_coef * ( log pi(y_t) - log ref(y_t) ) + [s_t] + 1[t is the last] * reward
        A   = gae(r, V; gamma, lambda_),    return = A + V

    kl_coef: at least 0; 0.01 to 0.02 in card [176]; 0 needs no reference.
    gamma, lambda_: in [0, 1]; 1 and 0.95 are usual for language.
    whiten: advantages of the whole round get mean 0 and spread 1, over learnt tokens.
    step_rewards: s, the column step_reward, is paid on the way (`StepOutcomes` makes it).
    Reads the sample's number reward and makes the columns advantage and returns. An answer counts
    as over after its last token, also where we cut it off. `kl_reward`: mean log-ratio of an answer
    in nats; `explained_variance`: how much of the returns the values knew, 1 all, 0 nothing.
    """

    kl_coef: float = 0.02
    gamma: float = 1.0
    lambda_: float = 0.95
    whiten: bool = field(default=True, metadata=LAZY)
    step_rewards: bool = field(default=False, metadata=LAZY)

    makes = frozenset({"advantage", "returns"})

    def __post_init__(self) -> None:
        _check(self, "kl_coef", 0 <= self.kl_coef < float("inf"), "at least 0")
        _check(self, "gamma", 0 <= self.gamma <= 1, "in [0, 1]")
        _check(self, "lambda_", 0 <= self.lambda_ <= 1, "in [0, 1]")

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        kl = {"logp_old", "logp_reference"} if self.kl_coef else set()
        steps = {"step_reward"} if self.step_rewards else set()
        return frozenset({"weight", "reward", "value_old"} | kl | steps)

    def __call__(self, samples: Many[Sample]) -> tuple[list[Sample], Metrics]:
        """Samples in their order, with the columns advantage and returns."""
        _must_have("reward", samples)
        advantages, returns, values, ratios = [], [], [], []
        for sample in samples:
            value = learnt(sample, "value_old")
            reward = np.zeros(len(value))
            if self.kl_coef:
                gap = learnt(sample, "logp_old") - learnt(sample, "logp_reference")
                reward -= self.kl_coef * gap
                ratios.append(gap.sum())
            if self.step_rewards:
                reward += learnt(sample, "step_reward")
            if len(reward):
                reward[-1] += sample.columns["reward"]
            advantage, later = gae(reward, value, self.gamma, self.lambda_)
            advantages.append(advantage)
            returns.append(later)
            values.append(value)
        together = np.concatenate(advantages)
        if self.whiten:
            together = whitened(together, np.ones(len(together)))
        pieces = np.split(together, np.cumsum([len(a) for a in advantages])[:-1])
        made = [
            _with_tokens(s, {"advantage": a, "returns": r})
            for s, a, r in zip(samples, pieces, returns, strict=True)
        ]
        known = explained_variance(np.concatenate(values), np.concatenate(returns))
        metrics = {"explained_variance": known}
        if ratios:
            metrics["kl_reward"] = float(np.mean(ratios))
        return made, metrics


def learnt(sample: Sample, name: str) -> np.ndarray:
    """A column at the learnt tokens of a sample, its sequences one after another, float64."""
    rows = [
        np.asarray(r.columns[name], np.float64)[np.asarray(r.columns["weight"]) != 0]
        for r in sample.sequences
    ]
    return np.concatenate(rows) if rows else np.zeros(0)


def _with_number(sample: Sample, name: str, value: float) -> Sample:
    return replace(sample, columns={**sample.columns, name: float(value)})


def _with_tokens(sample: Sample, values: dict[str, np.ndarray]) -> Sample:
    """A sample with columns that are 0 but at its learnt tokens."""
    sequences, first = [], 0
    for row in sample.sequences:
        places = np.flatnonzero(row.columns["weight"])
        made: dict[str, np.ndarray] = {}
        for name, value in values.items():
            column = np.zeros(len(row.tokens), np.float32)
            column[places] = value[first : first + len(places)]
            made[name] = column
        first += len(places)
        sequences.append(replace(row, columns={**row.columns, **made}))
    return replace(sample, sequences=tuple(sequences))


def _must_have(name: str, samples: Many[Sample]) -> None:
    """Raises ConfigError where a sample is of arrays, or lacks a number."""
    for sample in samples:
        if not sample.sequences:
            raise ConfigError("credit is given to the tokens of samples", found="samples of arrays")
        if name not in sample.columns:
            raise ConfigError(
                f"this learner needs the number {name!r} of each sample",
                found=", ".join(sample.columns) or "none",
                hint="choose a selector that makes it",
            )


def _check(part: Any, name: str, fits: bool, expected: str) -> None:
    if not fits:
        raise ConfigError(
            f"{type(part).__name__}.{name} is out of range",
            expected=expected,
            found=repr(getattr(part, name)),
        )
