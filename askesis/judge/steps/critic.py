"""A model that reads an answer step by step and says which one is first wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.judge.steps.cut import cut, must_be_one_turn, why_none
from askesis.records import Group, Verdict, VerdictKind
from askesis.requests import All, Sampling
from askesis.steps import SEPARATORS, StepScores, critic_start, no_steps, step_verdict
from askesis.text.critique import named


@dataclass(frozen=True, kw_only=True)
class StepCritic:
    """Correctness up to the first step that a critic calls wrong.

    critic: the role that judges; what it reads is `askesis.steps.critic_start`'s.
    num_votes: how often it is asked, at least 1; correctness of a step is the share of votes in
        which it is not yet wrong. Votes that cannot be read do not count; where none can, the
        attempt is unknown.
    temperature, max_tokens: of what it says.
    separators: between which characters steps stand.
    role: whose steps.

    The first number in what it says is the step, from 1; "ok" in front of any number: no step is
    wrong. A number beyond the last step cannot be read. Uses no truth. `draws` are the votes, 0
    for "ok"; cost is in tokens that it said. Signed "critic-v1". Cards [171], [207].
    """

    critic: str = "critic"
    num_votes: int = 1
    temperature: float = 0.0
    max_tokens: int | None = field(default=32, metadata={"lazy": True})
    separators: str = SEPARATORS
    role: str = "policy"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "num_votes": (self.num_votes >= 1, "at least 1"),
                "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
                "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
            },
        )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        role, votes = self.role, self.num_votes
        sampling = Sampling(self.temperature, max_tokens=self.max_tokens)
        spans = {a.id: cut(ctx, a, self.separators, role) for a in group.attempts}
        read = [a for a in group.attempts if spans[a.id]]

        def decode(tokens: np.ndarray) -> str:
            return str(ctx.decode(role, tokens))

        for attempt in read:
            must_be_one_turn(attempt, spans[attempt.id], "StepCritic")
        starts = [critic_start(a, spans[a.id], decode) for a in read]
        said = await All(
            [
                ctx.say(self.critic, start, attempt=i, draw=draw, sampling=sampling)
                for i, start in enumerate(starts)
                for draw in range(votes)
            ]
        )
        turns = {a.id: said[i * votes : (i + 1) * votes] for i, a in enumerate(read)}
        found = []
        for attempt in group.attempts:
            steps, heard = spans[attempt.id], turns.get(attempt.id, [])
            votes_ = [named(t.text, len(steps)) for t in heard]
            known = [n for n in votes_ if n is not None]
            cost = sum(len(t.tokens) for t in heard)
            if not known:
                why = f"cannot be read: {heard[0].text[:80]!r}" if heard else why_none(attempt)
                found.append(no_steps("critic-v1", attempt, VerdictKind.CORRECTNESS, why))
                continue
            places = np.array(known)[:, None]
            right = (places == 0) | (np.arange(1, len(steps) + 1) < places)
            scores = StepScores(right.mean(0), VerdictKind.CORRECTNESS, steps)
            found.append(step_verdict("critic-v1", attempt, scores, draws=known, cost=cost))
        return found
