"""Every attempt with its advantage: how much better it was than its group, or than lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.advantages import (
    group_centred,
    group_standardised,
    has_signal,
    leave_one_out,
    overlong_penalty,
    role_baselines,
)
from askesis.records import Attempt, Group, Sample
from askesis.select.judged import columns_with_sampling, judged, model_of, must_compare, sample_of

Baseline = Literal["standardised", "centred", "leave_one_out", "half"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class GroupAdvantages:
    """Attempts with the advantage they have over the others of their group.

    baseline: what is taken off the reward. "standardised": the group's mean, in units of its spread
        (GRPO); "centred": the mean (Dr. GRPO); "leave_one_out": the mean of the others (RLOO);
        "half": 1/2, for rewards that are win rates (SPO, Nash-MD).
    epsilon, ddof: of "standardised": what is added to the spread, at least 0, and whether the
        spread divides by G - ddof: 0 as printed, 1 as in most code.
    mixed_only: leave out groups whose rewards are all alike, which have no advantages; they
        otherwise count in the means of the objective and feel a divergence from a reference.
    overlong_fraction: DAPO's soft penalty on length: the last share of the allowance in which it
        grows, in [0, 1] (0: none). Its sign and shape are `overlong_penalty`'s.
    overlong_coef: what it is multiplied by, at least 0: the paper's rewards are -1 and 1, for
        rewards of 0 and 1 a half is the same.
    max_tokens: the allowance (None: the world's own).
    judge: whose value is the reward (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off count, with the reward they got.
    sampling_logp: make the column logp_sampling too, for truncated importance weights.
    role: whose tokens are learnt.

    One sample per attempt with the numbers advantage and group (which says what was compared).
    Attempts of unknown value, and those that failed, are left out. A group with one attempt has
    nothing to compare: it is left out and counted; where all groups are such, it raises
    ConfigError ("half" compares with a constant and takes them).
    """

    baseline: Baseline = "standardised"
    epsilon: float = field(default=1e-6, metadata=LAZY)
    ddof: int = field(default=0, metadata=LAZY)
    mixed_only: bool = False
    overlong_fraction: float = field(default=0.0, metadata=LAZY)
    overlong_coef: float = field(default=0.5, metadata=LAZY)
    max_tokens: int | None = field(default=None, metadata=LAZY)
    judge: str = ""
    cut_off: bool = True
    sampling_logp: bool = field(default=False, metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "baseline": (self.baseline in get_args(Baseline), ", ".join(get_args(Baseline))),
                "epsilon": (0 <= self.epsilon < float("inf"), "at least 0"),
                "ddof": (self.ddof in (0, 1), "0 or 1"),
                "overlong_fraction": (0 <= self.overlong_fraction <= 1, "in [0, 1]"),
                "overlong_coef": (0 <= self.overlong_coef < float("inf"), "at least 0"),
                "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
            },
        )

    @property
    def makes(self) -> frozenset[str]:
        """The columns it makes."""
        return columns_with_sampling(self, "advantage", "group")

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts; see docs/metrics.md for what is noted."""
        model, mixed_only, least = (
            model_of(ctx),
            self.mixed_only,
            1 if self.baseline == "half" else 2,
        )
        found = list(judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off))
        if least > 1:
            must_compare(found)
        fit = [pairs for pairs in found if len(pairs) >= least]
        samples, rewards, mixed = [], [], 0
        for number, pairs in enumerate(fit):
            values = [value for _, value in pairs]
            rewards += values
            has = has_signal(values)
            mixed += has
            if mixed_only and not has:
                continue
            advantages = self._advantages(values, self._penalties(ctx, [a for a, _ in pairs]))
            for (attempt, _), advantage in zip(pairs, advantages, strict=True):
                numbers = {"advantage": float(advantage), "group": float(number)}
                one = sample_of(ctx, model, attempt, self.role, numbers, self.sampling_logp)
                samples += [one] if one is not None else []
        _note(ctx, samples, rewards)
        ctx.note("mixed_fraction", mixed / max(1, len(fit)))
        ctx.note("single_fraction", 1 - len(fit) / max(1, len(found)))
        return samples

    def _advantages(self, values: list[float], penalties: np.ndarray) -> np.ndarray:
        rewards = np.asarray(values) + penalties
        if self.baseline == "standardised":
            return group_standardised(rewards, self.epsilon, self.ddof)
        if self.baseline == "half":
            return rewards - 0.5
        return group_centred(rewards) if self.baseline == "centred" else leave_one_out(rewards)

    def _penalties(self, ctx: Any, attempts: list[Attempt]) -> np.ndarray:
        if not self.overlong_fraction:
            return np.zeros(len(attempts))
        allowed = self.max_tokens or int(ctx.world_of(attempts[0].task).max_answer_tokens)
        margin = max(1, round(self.overlong_fraction * allowed))
        lengths = [a.num_tokens for a in attempts]
        return self.overlong_coef * overlong_penalty(lengths, allowed, margin)


@dataclass(frozen=True, kw_only=True)
class RunningAdvantages:
    """Attempts with the advantage they have over a baseline that follows the rewards.

    decay: of the baseline, in [0, 1); it remembers about 1 / (1 - decay) attempts.
    start: the baseline before the first reward.
    by_role: a baseline for each role that rewards are given to, as in self-play (SPIRAL, card
        [206]), beside one for each world. Needs a judge that names the role it is about.
    judge, cut_off, sampling_logp, role: as `GroupAdvantages`.

    One sample per attempt with the number advantage. State: {"baselines": world (and role) -> b}.
    In a round every attempt is compared with the baseline as the attempts before it left it.
    """

    decay: float = 0.95
    start: float = 0.0
    by_role: bool = field(default=False, metadata=LAZY)
    judge: str = ""
    cut_off: bool = True
    sampling_logp: bool = field(default=False, metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "decay": (0 <= self.decay < 1, "in [0, 1)"),
                "start": (abs(self.start) < float("inf"), "a finite number"),
            },
        )

    @property
    def makes(self) -> frozenset[str]:
        """The columns it makes."""
        return columns_with_sampling(self, "advantage")

    def init(self, ctx: Any) -> dict[str, Any]:
        """No rewards yet."""
        return {"baselines": {}}

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts."""
        model = model_of(ctx)
        pairs, advantages, _ = self._follow(ctx.state, groups, verdicts)
        samples = []
        for (attempt, _), advantage in zip(pairs, advantages, strict=True):
            numbers = {"advantage": float(advantage)}
            one = sample_of(ctx, model, attempt, self.role, numbers, self.sampling_logp)
            samples += [one] if one is not None else []
        _note(ctx, samples, [value for _, value in pairs])
        ctx.note("baseline", float(np.mean([v for _, v in pairs] - advantages)) if pairs else 0.0)
        return samples

    def observe(self, ctx: Any, state: dict[str, Any], view: Any) -> dict[str, Any]:
        """The baselines after all of the round's rewards."""
        _, _, after = self._follow(state, view.all_groups, view.verdicts)
        return {"baselines": after}

    def _follow(
        self, state: dict[str, Any], groups: Sequence[Group], verdicts: Any
    ) -> tuple[list[tuple[Attempt, float]], np.ndarray, dict[str, float]]:
        found = judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off)
        pairs = [pair for group in found for pair in group]
        names = [self._name(a, verdicts) for a, _ in pairs]
        advantages, after = role_baselines(
            state["baselines"], names, [v for _, v in pairs], self.decay, self.start
        )
        return pairs, advantages, {str(name): b for name, b in after.items()}

    def _name(self, attempt: Attempt, verdicts: Any) -> str:
        if not self.by_role:
            return attempt.task.family
        about = [v.about.role for v in verdicts.of(attempt, judge=self.judge)]
        return f"{attempt.task.family}/{about[-1]}"


def _note(ctx: Any, samples: list[Sample], rewards: list[float]) -> None:
    """The figures that all advantages have in common."""
    if rewards:
        ctx.note("reward", float(np.mean(rewards)))
        ctx.note("reward_std", float(np.std(rewards)))
    ctx.note(
        "advantage_size", float(np.mean([abs(s.columns["advantage"]) for s in samples] or [0]))
    )
    ctx.note("samples", len(samples))
    ctx.note("tokens", sum(s.num_tokens for s in samples))
