"""A process reward model that is made of the truth and errs: outcome plus its weakest step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.judge.verifier import Verifier
from askesis.records import About, Attempt, Group, StopReason, Verdict, VerdictKind
from askesis.requests import All, Checked
from askesis.rng import key, uniforms


@dataclass(frozen=True, kw_only=True)
class ProcessReward:
    """The verifier's outcome, and beside it a reward that looks at the steps as well:

        r = 1[right] + coef * ( 2 * min_t s_t - 1 )

    coef: weight of the steps, at least 0; 1 as in the paper, r is then from -1 to 2.
    flips: probability that a step is seen the wrong way round, in [0, 0.5].
    spread: how unsure it is, in [0, 0.5): s_t is drawn from [1 - spread, 1] for a step that looks
        right, from [0, spread] for one that looks wrong.
    right: a verified score of at least this is right.

    s_t is a function of the task and the text up to the step: this judge errs about a step in the
    same way every time, as a model would. An answer without steps has s = 0. Two verdicts an
    attempt: r is signed "process-reward-v1", and the verifier's outcome stands after it, so that
    whoever asks for the last one gets the truth. Needs a world with step truth.
    A stand-in for a trained one (Lightman et al. 2023) in B-STaR, card [1], which prints
    r = 1[right] + min over steps of its model's scores.
    """

    coef: float = 1.0
    flips: float = 0.1
    spread: float = 0.25
    right: float = 1.0

    def __post_init__(self) -> None:
        limits = {
            "coef": (0 <= self.coef < float("inf"), "at least 0"),
            "flips": (0 <= self.flips <= 0.5, "in [0, 0.5]"),
            "spread": (0 <= self.spread < 0.5, "in [0, 0.5)"),
        }
        must_fit(self, limits)

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        outcomes = await Verifier().judge(ctx, group)
        shown = [a for a in group.attempts if a.text and a.stop is not StopReason.FAILED]
        checked = await All([ctx.check(a.task, a.text) for a in shown])
        steps = dict(zip((a.id for a in shown), checked, strict=True))
        rewards = []
        for attempt, outcome in zip(group.attempts, outcomes, strict=True):
            value, scores = outcome.value, self._scores(attempt, steps.get(attempt.id))
            if value is not None:
                value = float(value >= self.right) + self.coef * (2 * min(scores, default=0.0) - 1)
            rewards.append(
                Verdict(
                    "process-reward-v1",
                    About(attempt.id),
                    VerdictKind.OUTCOME,
                    value,
                    draws=tuple(scores),
                )
            )
        return [*rewards, *outcomes]

    def _scores(self, attempt: Attempt, checked: Checked | None) -> Sequence[float]:
        """s_t of every step that the world saw."""
        flips, spread = self.flips, self.spread
        if checked is None or not checked.steps:
            return ()
        keys = np.array(
            [
                key("process-reward", attempt.task.id, attempt.text[:last])
                for _, last in checked.spans
            ],
            np.uint64,
        )
        places = np.zeros(len(keys), np.int64)
        looks_right = (np.array(checked.steps) >= 1) ^ (uniforms(keys, places) < flips)
        off = spread * uniforms(keys, places + 1)
        return [float(s) for s in np.where(looks_right, 1 - off, off)]
