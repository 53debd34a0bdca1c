"""Rounds made by hand, for measures that read a round's own attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.context import RoundView
from askesis.records import About, Attempt, Group, Start, StopReason, Turn, Verdict, VerdictKind
from askesis.requests import Checked
from tests.explore.host import Sums, attempt, view


class Steps(Sums):
    """Sums that looks at steps too: the parts of an answer between "=" are right where they are
    the sum."""

    id = "steps-v1"
    truth = frozenset({"answer", "steps", "demonstration"})

    def verify(self, task, answer: str) -> Checked:
        checked = super().verify(task, answer)
        wanted = self.extract("=" + task.answer)
        steps = tuple(float(part == wanted) for part in answer.split("="))
        return Checked(checked.score, checked.why, checked.answer, steps)


def judged(
    *groups: Sequence[tuple[str, float | None]],
    world: Sums | None = None,
    index: int = 0,
    judge: str = "critic-v1",
    first: int = 0,
    steps: bool = False,
) -> RoundView:
    """A round in which attempt texts got values; the task of group g is (first + g) + 1.

    steps: the judge also says of every step that it is right.
    """
    world = world or Sums()
    made, verdicts = [], []
    for number, cases in enumerate(groups):
        task = world.make(first + number, 1)
        attempts = tuple(attempt(task, text, i) for i, (text, _) in enumerate(cases))
        made.append(Group(task.id, attempts))
        for a, (text, value) in zip(attempts, cases, strict=True):
            verdicts.append(Verdict(judge, About(a.id), VerdictKind.OUTCOME, value))
            if steps:
                vector = (1.0,) * len(text.split("="))
                verdicts.append(
                    Verdict(judge, About(a.id), VerdictKind.CORRECTNESS, None, vector=vector)
                )
    return view(made, verdicts, index)


def spoken(texts: Sequence[str], task: Any, index: int, tokens: Sequence[int] = ()) -> Attempt:
    """An attempt of several turns of the policy, with a critic's word between two of them."""
    turns: list[Turn] = []
    for place, text in enumerate(texts):
        num = tokens[place] if tokens else 2
        said = np.arange(num, dtype=np.int32)
        turns += [Turn("critic", "again")] if turns else []
        turns.append(
            Turn("policy", text, tokens=said, logp_sampling=np.full(num, -0.5, np.float32))
        )
    start = Start(task)
    return Attempt(f"{start.key}#{index}", start, tuple(turns), StopReason.ENDED)


def corrected(*groups: Sequence[Sequence[str]], tokens: Sequence[int] = ()) -> RoundView:
    """A round of attempts of several turns; the task of group g is g + 1."""
    made = []
    for number, cases in enumerate(groups):
        task = Sums().make(number, 1)
        attempts = [spoken(texts, task, i, tokens) for i, texts in enumerate(cases)]
        made.append(Group(task.id, tuple(attempts)))
    return view(made)


def with_logp(found: RoundView, logp: float) -> RoundView:
    """The same round in which every token was sampled with that log-probability."""

    def speak(a: Attempt) -> Attempt:
        turns = tuple(
            replace(t, logp_sampling=np.full(len(t.tokens), logp, np.float32)) for t in a.turns
        )
        return replace(a, turns=turns)

    groups = [Group(g.key, tuple(map(speak, g.attempts))) for g in found.all_groups]
    return view(groups, list(found.verdicts), found.index)
