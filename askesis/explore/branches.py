"""Drafts, and from behind every step of wrong ones a few other ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.explore.sample import attempt_of, check_sampling
from askesis.records import Attempt, Start, StopReason
from askesis.requests import All, Sampling
from askesis.search.branches import branch_start
from askesis.search.said import joined
from askesis.steps import SEPARATORS, steps_of, turns_up_to


@dataclass(frozen=True, kw_only=True)
class Branches:
    """Plain attempts; wrong ones are gone back into, and finished again from behind each step.

    num_attempts: drafts at each task, at least 1.
    num_branches: K, ends that are drawn behind each step but the last, at least 1.
    max_branched: wrong drafts of one task that are branched, in order, at least 1 (None: all);
        drafts with the same text count once.
    temperature, max_tokens: of drafts and branches; a branch has what its draft has not used.
    threshold: a verified score of at least this is right, in (0, 1].
    separators: between which characters steps stand. role: who speaks.

    Whether any of the K ends is right says whether the steps so far can still be finished, under
    the best of K tries and not the average one (`judge.steps.branches`). Of right drafts that is
    known, so they are not branched. Branches are attempts of one turn; see
    `askesis.search.branches`. Asks the verifier which drafts are wrong. Source: the verifying
    traces of card [172], where K is 8.
    """

    num_attempts: int = 4
    num_branches: int = 4
    max_branched: int | None = field(default=1, metadata={"lazy": True})
    temperature: float = 1.0
    max_tokens: int | None = None
    threshold: float = 1.0
    separators: str = field(default=SEPARATORS, metadata={"lazy": True})
    role: str = "policy"

    def __post_init__(self) -> None:
        check_sampling(self)
        must_fit(
            self,
            {
                "num_branches": (self.num_branches >= 1, "at least 1"),
                "max_branched": (
                    self.max_branched is None or self.max_branched >= 1,
                    "at least 1, or none",
                ),
                "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
                "separators": (bool(self.separators), "some characters"),
            },
        )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        if start.prefix:
            raise ConfigError("Branches drafts from the task", found="a start from the middle")
        num, threshold = self.num_branches, self.threshold
        sampling = Sampling(self.temperature, max_tokens=self.max_tokens)
        said = await All(
            [
                ctx.say(self.role, start, attempt=i, sampling=sampling)
                for i in range(self.num_attempts)
            ]
        )
        drafts = [attempt_of(ctx, start, i, turn) for i, turn in enumerate(said)]
        checked = await All([ctx.check(a.task, a.text) for a in drafts])
        wrong: dict[str, int] = {}
        for number, (draft, found) in enumerate(zip(drafts, checked, strict=True)):
            if found.score < threshold and draft.text:
                wrong.setdefault(draft.text, number)
        chosen = list(wrong.values())[: self.max_branched]
        made = await All([self._branched(ctx, drafts[n], n, num) for n in chosen])
        return drafts + [attempt for attempts in made for attempt in attempts]

    async def _branched(self, ctx: Any, draft: Attempt, number: int, num: int) -> list[Attempt]:
        role = self.role

        def decode(tokens: np.ndarray) -> str:
            return str(ctx.decode(role, tokens))

        spans = steps_of(draft, decode, self.separators, role)[:-1]
        begun = [turns_up_to(draft, turn, end, decode) for turn, _, end in spans]
        most = self.max_tokens or int(ctx.world_of(draft.task).max_answer_tokens)
        said = await All(
            [
                ctx.say(
                    role,
                    draft.start,
                    turns,
                    attempt=f"branch{number}",
                    draw=kept * num + i,
                    sampling=Sampling(
                        self.temperature, max_tokens=max(1, most - len(turns[-1].tokens))
                    ),
                )
                for kept, turns in enumerate(begun, start=1)
                for i in range(num)
            ]
        )
        rest, made = iter(said), []
        for kept, turns in enumerate(begun, start=1):
            start = branch_start(draft.start, number, kept)
            for i in range(num):
                turn = joined([*turns, next(rest)])
                if turn.stop is not StopReason.FAILED:
                    made.append(attempt_of(ctx, start, i, turn, (draft.id,)))
        return made
