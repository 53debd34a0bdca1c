"""What one role said in games, with what it won as the advantage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.records import Group, Sample, StopReason
from askesis.select.judged import model_of, sample_of
from askesis.select.sequences import is_demonstration


@dataclass(frozen=True, kw_only=True)
class Played:
    """One sample a game: what the role said in it, and as its advantage what it won or lost.

    role: who learns; also whose rewards (`askesis.judge.returns.Return`, one for each role).
    balance: as many won games as lost ones are learnt, and as many about spoilt answers as about
        right ones, drawn at random; a kind that there is not at all does not count. Else a critic
        learns to say what is usual (card [207]).
    lesson_coef: what a lesson is worth, at least 0: the advantage of a demonstration. 0.15 on the
        card, where it is the coefficient of a likelihood; under the clipped sequence ratio both
        have the same gradient until the lesson is 20 % likelier than it was.

    No baseline is taken off, and games whose reward is unknown are left out. For
    `ClippedPolicyGradient`, and for `Supervised`, which reads no advantage, where all are lessons
    (`askesis.explore.sneaky_game`). Notes games, won_fraction, illegal_fraction, lessons.
    """

    role: str = "critic"
    balance: bool = True
    lesson_coef: float = 1.0

    makes = frozenset({"weight", "advantage"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"lesson_coef": (0 <= self.lesson_coef < float("inf"), "at least 0")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts."""
        model, role, balance, coef = model_of(ctx), self.role, self.balance, self.lesson_coef
        lessons: list[tuple[int, Sample]] = []
        games: list[tuple[int, Sample]] = []
        kinds: list[tuple[bool, bool]] = []
        num_illegal = 0
        for place, attempt in enumerate(a for g in groups for a in g.attempts):
            value = verdicts.value(attempt, role=role)
            if value is None or attempt.stop is StopReason.FAILED:
                continue
            is_lesson = is_demonstration(attempt)
            advantage = coef * float(value) if is_lesson else float(value)
            sample = sample_of(ctx, model, attempt, role, {"advantage": advantage})
            if sample is None:
                continue
            if is_lesson:
                lessons.append((place, sample))
                continue
            games.append((place, sample))
            kinds.append((value > 0, bool(attempt.parents)))
            num_illegal += attempt.stop is StopReason.ILLEGAL
        if games:
            ctx.note("won_fraction", float(np.mean([won for won, _ in kinds])))
            ctx.note("illegal_fraction", num_illegal / len(games))
        ctx.note("games", len(games))
        ctx.note("lessons", len(lessons))
        if balance and games:
            games = [games[i] for i in _balanced(kinds, ctx.generator("balance"))]
        samples = [s for _, s in sorted([*lessons, *games], key=lambda pair: pair[0])]
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples


def _balanced(kinds: Sequence[tuple[bool, bool]], rng: np.random.Generator) -> list[int]:
    """Which games to take: of every kind that there is as many as of the rarest."""
    places: dict[tuple[bool, bool], list[int]] = {}
    for i, kind in enumerate(kinds):
        places.setdefault(kind, []).append(i)
    few = min(map(len, places.values()))
    drawn = [rng.permutation(places[kind])[:few] for kind in sorted(places)]
    return sorted(int(i) for found in drawn for i in found)
