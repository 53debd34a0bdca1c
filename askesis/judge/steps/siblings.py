"""Steps against the other steps that were tried from the same place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.judge.several import Around
from askesis.judge.steps.cut import cut, why_none
from askesis.judge.verifier import Verifier
from askesis.records import Attempt, Group, Verdict, VerdictKind
from askesis.steps import SEPARATORS, Span, StepScores, no_steps, step_verdict


@dataclass(frozen=True, kw_only=True)
class SiblingContrast(Around):
    """A step's mean outcome less that of its siblings, counted in the group's own attempts.

        A(s) = mean outcome of attempts through s  -  mean over siblings s' of the same for s'

    inner: whose outcomes are counted.
    separators: between which characters steps stand.
    role: whose steps.

    Siblings are different texts after the same text. A step without siblings has advantage 0:
    nothing else was tried. Costs no tokens beyond the inner judge's, and says little in groups
    whose attempts part at their first step: it is for attempts out of a tree, and for walks. The
    inner judge's verdicts come first; one of meaning advantage follows for each attempt, signed
    "siblings-v1". The contrast is that of the pairs which step-level reward models learn from,
    card [149].
    """

    inner: Any = field(default_factory=Verifier)
    separators: str = SEPARATORS
    role: str = "policy"

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        said = list(await self.inner.judge(ctx, group))
        outcome = {
            v.about.attempt: float(v.value)
            for v in said
            if v.value is not None and not v.about.other and v.about.node < 0
        }
        spans = {a.id: cut(ctx, a, self.separators, self.role) for a in group.attempts}
        counted = [a for a in group.attempts if a.id in outcome and spans[a.id]]
        paths = {a.id: _path(a, spans[a.id]) for a in counted}
        through: dict[tuple[bytes, ...], list[float]] = {}
        for attempt in counted:
            path = paths[attempt.id]
            for k in range(1, len(path) + 1):
                through.setdefault(path[:k], []).append(outcome[attempt.id])
        means = {place: float(np.mean(found)) for place, found in through.items()}
        children: dict[tuple[bytes, ...], list[tuple[bytes, ...]]] = {}
        for place in means:
            children.setdefault(place[:-1], []).append(place)
        for attempt in group.attempts:
            if attempt.id not in paths:
                why = why_none(attempt) if not spans[attempt.id] else "its outcome is unknown"
                said.append(no_steps("siblings-v1", attempt, VerdictKind.ADVANTAGE, why))
                continue
            path, values = paths[attempt.id], []
            for k in range(1, len(path) + 1):
                others = [means[p] for p in children[path[: k - 1]] if p != path[:k]]
                values.append(means[path[:k]] - float(np.mean(others)) if others else 0.0)
            scores = StepScores(np.array(values), VerdictKind.ADVANTAGE, spans[attempt.id])
            said.append(step_verdict("siblings-v1", attempt, scores))
        return said


def _path(attempt: Attempt, spans: Sequence[Span]) -> tuple[bytes, ...]:
    """An attempt's steps by their tokens, after what they were said in."""
    read = attempt.start.key.encode()
    return tuple(
        read * (k == 0) + attempt.turns[turn].tokens[first:end].tobytes()
        for k, (turn, first, end) in enumerate(spans)
    )
