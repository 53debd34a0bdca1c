"""Drafts that a judge of outcomes doubts, refined as a whole and from the step a judge of steps
doubts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.explore.sample import attempt_of, check_sampling
from askesis.records import Attempt, Start, StopReason
from askesis.requests import All, Sampling
from askesis.search.branches import repair_start
from askesis.steps import SEPARATORS, steps_of, turns_up_to
from askesis.text.feedback import WRONG, step_feedback

How = Literal["both", "global", "local", "none"]
Where = Literal["steps", "random"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class Refine:
    """Drafts; those that an outcome head finds too unlikely to be right are refined, once as a
    whole and once from the first step that a step head finds wrong.

        doubted:  sigmoid( outcome head behind the draft ) < accept
        wrong step:  the first i with sigmoid( step head behind step i ) < threshold, or else the
                     one with the least

    num_attempts: drafts at each task, at least 1.
    how: which refinements a doubted draft gets: "both", "global" (the refiner reads the draft and
        "wrong"), "local" (it reads the draft and "step i is wrong"), "none".
    where: "steps", as above; "random": any step, the control that says whether it matters.
    accept: in (0, 1], or None: every draft is refined, right ones too.
    threshold: in [0, 1]. Both heads learn at their own places (`Labelled`, `StepLabels`).
    temperature, max_tokens: of drafts and refinements.
    separators: between which characters steps stand.
    role: who drafts. refiner: who refines. outcome, steps: whose heads are read.

    Asks for no truth. Refinements name their draft as parent, and begin at a start with the tag
    "repair-global..." or "repair-local..."; what was read is privileged text, which selectors
    strip (`AsOwn`). Source: GLoRe, card [172].
    """

    num_attempts: int = 4
    how: How = "both"
    where: Where = field(default="steps", metadata=LAZY)
    accept: float | None = field(default=0.5, metadata=LAZY)
    threshold: float = field(default=0.5, metadata=LAZY)
    temperature: float = 1.0
    max_tokens: int | None = None
    separators: str = field(default=SEPARATORS, metadata=LAZY)
    role: str = "policy"
    refiner: str = field(default="refiner", metadata=LAZY)
    outcome: str = field(default="outcome", metadata=LAZY)
    steps: str = field(default="steps", metadata=LAZY)

    def __post_init__(self) -> None:
        check_sampling(self)
        must_fit(
            self,
            {
                "how": (self.how in get_args(How), ", ".join(get_args(How))),
                "where": (self.where in get_args(Where), " or ".join(get_args(Where))),
                "accept": (self.accept is None or 0 < self.accept <= 1, "in (0, 1], or none"),
                "threshold": (0 <= self.threshold <= 1, "in [0, 1]"),
                "separators": (bool(self.separators), "some characters"),
                "refiner": (self.refiner != self.role, "another role than the one that drafts"),
            },
        )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        if start.prefix:
            raise ConfigError("Refine drafts from the task", found="a start from the middle")
        how, sampling = self.how, Sampling(self.temperature, max_tokens=self.max_tokens)
        said = await All(
            [
                ctx.say(self.role, start, attempt=i, sampling=sampling)
                for i in range(self.num_attempts)
            ]
        )
        drafts = [attempt_of(ctx, start, i, turn) for i, turn in enumerate(said)]
        if how == "none":
            return drafts
        doubted = await self._doubted(ctx, drafts)
        made = await All([self._refined(ctx, drafts[n], n, sampling) for n in doubted])
        return drafts + [attempt for attempts in made for attempt in attempts]

    async def _doubted(self, ctx: Any, drafts: list[Attempt]) -> list[int]:
        """Which drafts are refined; those that failed or are silent cannot be."""
        spoke = [i for i, a in enumerate(drafts) if a.text and a.stop is not StopReason.FAILED]
        accept = self.accept
        if accept is None:
            return spoke
        found = await All(
            [ctx.value(self.outcome, drafts[i].start, drafts[i].turns) for i in spoke]
        )
        return [i for i, v in zip(spoke, found, strict=True) if _sigmoid(v) < accept]

    async def _refined(
        self, ctx: Any, draft: Attempt, number: int, sampling: Sampling
    ) -> list[Attempt]:
        told = {"global": WRONG}
        if self.how != "global":
            told["local"] = step_feedback(await self._wrong_step(ctx, draft, number))
        if self.how == "local":
            del told["global"]
        starts = [
            repair_start(draft.start, number, kind, draft.text, words)
            for kind, words in told.items()
        ]
        said = await All([ctx.say(self.refiner, start, sampling=sampling) for start in starts])
        return [
            attempt_of(ctx, start, 0, turn, (draft.id,))
            for start, turn in zip(starts, said, strict=True)
        ]

    async def _wrong_step(self, ctx: Any, draft: Attempt, number: int) -> int:
        """Which step is taken for the first wrong one, counted from 1."""
        role, steps, threshold = self.role, self.steps, self.threshold

        def decode(tokens: np.ndarray) -> str:
            return str(ctx.decode(role, tokens))

        spans = steps_of(draft, decode, self.separators, role)
        if self.where == "random":
            rng = ctx.generator("where", draft.start.key, number)
            return 1 + int(rng.integers(max(1, len(spans))))
        read = [turns_up_to(draft, turn, end, decode) for turn, _, end in spans]
        found = await All([ctx.value(steps, draft.start, turns) for turns in read])
        values = [_sigmoid(v) for v in found] or [0.0]
        below = [i for i, v in enumerate(values, start=1) if v < threshold]
        return below[0] if below else 1 + int(np.argmin(values))


def _sigmoid(logit: float) -> float:
    """NaN stays NaN, which is below nothing: such a draft is left alone."""
    return float(1 / (1 + np.exp(-np.clip(logit, -60, 60))))
