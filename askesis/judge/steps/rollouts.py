"""Monte-Carlo: what a step is worth is how often answers that go on from it come out right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import WorldError, must_fit
from askesis.formulas.finite import finite
from askesis.judge.steps.cut import cut, must_be_one_turn, why_none
from askesis.records import Attempt, Group, Verdict, VerdictKind
from askesis.requests import All, Sampling
from askesis.steps import SEPARATORS, Span, StepScores, no_steps, step_verdict, turns_up_to

Label = Literal["soft", "hard", "any"]
LAZY = {"lazy": True}


@dataclass(frozen=True, slots=True)
class _State:
    """A place in an answer from which it can be finished, and what that was worth."""

    share: float
    cost: int


@dataclass(frozen=True, kw_only=True)
class RolloutValues:
    """The outcome of answers that a completer finishes from each step on.

        q_k = 1/n sum_j score( y_<=k + completion_j )

    num_rollouts: n, completions of each step, at least 1.
    label: "soft": q, meaning value, with that of the start before it; "hard": 1[q > threshold];
        "any": 1[q > 0]; both meaning correctness. Any of n says what the best of n tries can still
        reach, and a slip that is easily mended looks right to it: with n = 8 one in three times in
        which a wrong step is mended makes it good 96 times of 100 (card [171]).
    threshold: of "hard", in [0, 1).
    until_lost: look no farther than the first step from which no completion came out right; behind
        it nothing is left to be learnt (card [129]). The steps up to it are the verdict's.
    temperature, max_tokens: of completions; None: the world's own allowance for a whole answer.
    completer: the role that completes; snapshot: of its model, "base" or a kept tag ("": as now).
    separators: between which characters steps stand.
    role: whose steps.

    The last step's value is the attempt's own outcome, for nothing is left to be completed. Equal
    prefixes within a group are completed once. Uses the world's verifier. `draws` are the q of
    every step (and the start); cost is in tokens of completions. Signed
    "rollouts-v1". Sources: Wang et al. 2024, "Math-Shepherd" (soft, hard); cards [129], [135],
    [171], [172].
    """

    num_rollouts: int = 8
    label: Label = "soft"
    threshold: float = field(default=0.5, metadata=LAZY)
    until_lost: bool = field(default=False, metadata=LAZY)
    temperature: float = field(default=1.0, metadata=LAZY)
    max_tokens: int | None = field(default=None, metadata=LAZY)
    completer: str = field(default="policy", metadata=LAZY)
    snapshot: str = field(default="", metadata=LAZY)
    separators: str = SEPARATORS
    role: str = "policy"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "num_rollouts": (self.num_rollouts >= 1, "at least 1"),
                "label": (self.label in get_args(Label), "soft, hard or any"),
                "threshold": (0 <= self.threshold < 1, "in [0, 1)"),
                "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
                "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
            },
        )

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world can say whether a completion is right."""
        if not any("answer" in getattr(w, "truth", ()) for w in ctx.worlds.values()):
            raise WorldError(
                "RolloutValues asks whether completions are right, which no world here knows",
                hint="--world countdown or --world chain_arithmetic",
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        known: dict[bytes, _State] = {}
        spans = {a.id: cut(ctx, a, self.separators, self.role) for a in group.attempts}
        for attempt in group.attempts:
            must_be_one_turn(attempt, spans[attempt.id], "RolloutValues")
        walks = [(a, self._places(spans[a.id])) for a in group.attempts if spans[a.id]]
        if self.until_lost:
            depth = 0
            while walks := [(a, p) for a, p in walks if len(p) > depth]:
                await self._complete(ctx, known, [(a, p[depth]) for a, p in walks])
                walks = [
                    (a, p)
                    for a, p in walks
                    if p[depth][1] == 0 or known[_name(a, *p[depth])].share > 0
                ]
                depth += 1
        else:
            await self._complete(ctx, known, [(a, place) for a, p in walks for place in p])
        judged = [a for a in group.attempts if spans[a.id]]
        checked = await All([ctx.check(a.task, a.text) for a in judged])
        outcomes = {a.id: float(c.score) for a, c in zip(judged, checked, strict=True)}
        paid: set[bytes] = set()
        return [
            self._verdict(a, spans[a.id], known, outcomes.get(a.id, 0.0), paid)
            for a in group.attempts
        ]

    def _places(self, spans: tuple[Span, ...]) -> list[tuple[int, int]]:
        """Where answers are completed from: (turn, tokens before), the start first."""
        turn, first, _ = spans[0]
        start = [(turn, first)] if self.label == "soft" else []
        return start + [(turn, end) for turn, _, end in spans[:-1]]

    async def _complete(
        self,
        ctx: Any,
        known: dict[bytes, _State],
        places: Sequence[tuple[Attempt, tuple[int, int]]],
    ) -> None:
        """Completions from every place not yet known, all at once, and how they came out."""
        new: dict[bytes, tuple[Attempt, int, int]] = {}
        for attempt, (turn, num) in places:
            name = _name(attempt, turn, num)
            if name not in known:
                new.setdefault(name, (attempt, turn, num))
        if not new:
            return

        def decode(tokens: np.ndarray) -> str:
            return str(ctx.decode(self.role, tokens))

        sampling = Sampling(self.temperature, max_tokens=self.max_tokens)
        opened = [turns_up_to(a, turn, num, decode) for a, turn, num in new.values()]
        said = await All(
            [
                ctx.say(
                    self.completer,
                    attempt.start,
                    turns,
                    attempt=len(known) + i,
                    draw=draw,
                    sampling=sampling,
                    snapshot=self.snapshot,
                )
                for i, ((attempt, _, _), turns) in enumerate(zip(new.values(), opened, strict=True))
                for draw in range(self.num_rollouts)
            ]
        )
        rows = [said[i : i + self.num_rollouts] for i in range(0, len(said), self.num_rollouts)]
        scores = await All(
            [
                ctx.check(attempt.task, turns[-1].text + turn.text)
                for (attempt, _, _), turns, row in zip(new.values(), opened, rows, strict=True)
                for turn in row
            ]
        )
        found = finite("outcomes of completions", [c.score for c in scores])
        shares = found.reshape(len(rows), self.num_rollouts).mean(1)
        for name, share, row in zip(new, shares, rows, strict=True):
            known[name] = _State(float(share), sum(len(t.tokens) for t in row))

    def _verdict(
        self,
        attempt: Attempt,
        spans: tuple[Span, ...],
        known: dict[bytes, _State],
        outcome: float,
        paid: set[bytes],
    ) -> Verdict:
        label = self.label
        meaning = VerdictKind.VALUE if label == "soft" else VerdictKind.CORRECTNESS
        if not spans:
            return no_steps("rollouts-v1", attempt, meaning, why_none(attempt))
        names = [_name(attempt, *place) for place in self._places(spans)]
        seen = [known[n] for n in names if n in known]
        cost = sum(known[n].cost for n in names if n in known and n not in paid)
        paid.update(names)
        shares = [state.share for state in seen]
        if len(seen) == len(names):
            shares.append(outcome)
        before = shares.pop(0) if label == "soft" else None
        values = np.array(shares)
        if label != "soft":
            values = (values > (self.threshold if label == "hard" else 0.0)).astype(np.float64)
        scores = StepScores(values, meaning, spans[: len(values)], before)
        draws = shares if before is None else [before, *shares]
        why = f"{len(seen)} places, {self.num_rollouts} completions of each"
        return step_verdict("rollouts-v1", attempt, scores, draws=draws, rationale=why, cost=cost)


def _name(attempt: Attempt, turn: int, num_tokens: int) -> bytes:
    """A place in an answer by what was read and said up to it."""
    said = attempt.turns[turn]
    key = attempt.start.key.encode()
    return key + b"|" + said.context.tobytes() + b"|" + said.tokens[:num_tokens].tobytes()
