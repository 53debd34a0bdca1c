"""Every attempt with its reward, perhaps in units of what rewards have been like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.moments import Moments, scaled_rewards, update_moments
from askesis.records import Group, Sample
from askesis.select.judged import columns_with_sampling, judged, model_of, sample_of

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Attempts with the number reward, for learners that make advantages themselves (PPO).

    scale: rewards in units of their running spread, this round's included.
    clip: scaled rewards are cut at this size, above 0 (0: not cut).
    judge: whose value is the reward (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts that we cut off count, with the reward they got.
    sampling_logp: make the column logp_sampling too, for truncated importance weights.
    role: whose tokens are learnt.

    State: {"moments": number, mean and summed squares of all rewards}. Source: Zheng et al. 2023,
    "Secrets of RLHF in Large Language Models Part I" (PPO-max), card [176].
    """

    scale: bool = True
    clip: float = field(default=0.0, metadata=LAZY)
    judge: str = ""
    cut_off: bool = True
    sampling_logp: bool = field(default=False, metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"clip": (0 <= self.clip < float("inf"), "at least 0")})

    @property
    def makes(self) -> frozenset[str]:
        """The columns it makes."""
        return columns_with_sampling(self, "reward")

    def init(self, ctx: Any) -> dict[str, Any]:
        """No rewards yet."""
        return {"moments": list(Moments())}

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts."""
        model, scale = model_of(ctx), self.scale
        found = judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off)
        pairs = [pair for group in found for pair in group]
        rewards = np.array([v for _, v in pairs], np.float64)
        if scale:
            moments = update_moments(Moments(*ctx.state["moments"]), rewards)
            used = scaled_rewards(rewards, moments, clip=self.clip or None)
            ctx.note("reward_scale", moments.std)
        else:
            used = rewards
        samples = []
        for (attempt, _), reward in zip(pairs, used, strict=True):
            numbers = {"reward": float(reward)}
            one = sample_of(ctx, model, attempt, self.role, numbers, self.sampling_logp)
            samples += [one] if one is not None else []
        if pairs:
            ctx.note("reward", float(rewards.mean()))
            ctx.note("reward_std", float(rewards.std()))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def observe(self, ctx: Any, state: dict[str, Any], view: Any) -> dict[str, Any]:
        """The moments with all of the round's rewards."""
        groups = judged(view.all_groups, view.verdicts, judge=self.judge, cut_off=self.cut_off)
        rewards = [value for group in groups for _, value in group]
        return {"moments": list(update_moments(Moments(*state["moments"]), rewards))}
