"""Own answers with a teacher's feedback: how to judge them, how to refine them, how to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from askesis.errors import WorldError, must_fit
from askesis.records import Attempt, Group, Sample, StopReason, Turn
from askesis.select.exchanges import Exchange, Term, exchange_row, term_limits, weighed
from askesis.select.judged import model_of
from askesis.select.sequences import is_demonstration
from askesis.text.feedback import written_feedback

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class FeedbackLessons:
    """Lessons (see `askesis.select.exchanges`) of first answers, feedback and a right answer.

    The teacher is the world: its verifier says "right", which step is the first wrong one, or only
    "wrong". The refined answer of a right one is that answer again; of a wrong one it is a right
    one from the group.

    terms: which lessons: feedback, refined, direct. direct_coef: weight of the direct ones beside
        the others, above 0; b in card [3].
    source: where a right answer after a wrong one comes from: "own", the group's right answers;
        "demonstration", the group's demonstration.
    steps: whether feedback names the first wrong step; without, it is "right" or "wrong".
    min_success: feedback on a wrong answer is learnt only where at least this share of the
        refinements that followed it in the group are right, in [0, 1]; 0 does not look. Card [62]
        keeps what helps the one who refines.
    max_per_task: answers of one task, different ones, at random, at least 1.
    threshold: a verified score of at least this is right.
    role: who answers. critic: who gives feedback; both may be one model.
    """

    terms: tuple[Term, ...] = field(default=("feedback", "refined", "direct"), metadata=LAZY)
    direct_coef: float = field(default=1.0, metadata=LAZY)
    source: Literal["own", "demonstration"] = field(default="demonstration", metadata=LAZY)
    steps: bool = field(default=True, metadata=LAZY)
    min_success: float = field(default=0.0, metadata=LAZY)
    max_per_task: int = field(default=4, metadata=LAZY)
    threshold: float = field(default=1.0, metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)
    critic: str = field(default="critic", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                **term_limits(self.terms, self.direct_coef),
                "source": (self.source in ("own", "demonstration"), "own or demonstration"),
                "min_success": (0 <= self.min_success <= 1, "in [0, 1]"),
                "max_per_task": (self.max_per_task >= 1, "at least 1"),
                "threshold": (self.threshold == self.threshold, "a number"),
            },
        )

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world has what the teacher knows."""
        needs = {"answer", "steps"} if self.steps else {"answer"}
        if self.source == "demonstration" and {"refined", "direct"} & set(self.terms):
            needs |= {"demonstration"}
        if not any(needs <= set(w.truth) for w in ctx.worlds.values()):
            names = ", ".join(repr(w.id) for w in ctx.worlds.values())
            raise WorldError(
                f"a teacher of world {names} does not know {', '.join(sorted(needs))}",
                hint="--world chain_arithmetic, addition, countdown or maze",
            )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; see docs/metrics.md for what is noted."""
        model, samples = model_of(ctx), list[Sample]()
        lessons = num_refused = 0
        for group in groups:
            rng = ctx.generator("lessons", group.key)
            firsts = [a for a in group.attempts if _answers(a, self.role)]
            ends = self._ends(ctx, firsts)
            own = _distinct([a for a in firsts if not is_demonstration(a)], self.role)
            lots = rng.permutation(len(own))[: self.max_per_task]
            for attempt in (own[i] for i in sorted(lots.tolist())):
                exchange, helps = self._exchange(ctx, group, attempt, ends, rng)
                num_refused += not helps
                for term in self.terms:
                    if term == "feedback" and not helps:
                        continue
                    row = exchange_row(ctx, exchange, term, self.role, self.critic)
                    if row is not None:
                        lessons += term == "feedback"
                        coef = self.direct_coef if term == "direct" else 1.0
                        samples.append(Sample(model, (weighed(row, coef),), sources=(attempt.id,)))
        ctx.note("feedback_lessons", lessons)
        ctx.note("unhelpful_feedback", num_refused)
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _ends(self, ctx: Any, firsts: list[Attempt]) -> list[str]:
        """Right answers to refine towards."""
        if self.source == "demonstration":
            return [a.text for a in firsts if is_demonstration(a)]
        said = [
            (a, t)
            for a in firsts
            if not is_demonstration(a)
            for t in _answers(a, self.role)
            if not t.stop.cut_off
        ]
        return list(dict.fromkeys(t.text for a, t in said if self._is_right(ctx, a, t.text)))

    def _is_right(self, ctx: Any, attempt: Attempt, text: str) -> bool:
        world = ctx.world_of(attempt.task)
        return bool(world.verify(attempt.task, text).score >= self.threshold)

    def _exchange(
        self, ctx: Any, group: Group, attempt: Attempt, ends: list[str], rng: np.random.Generator
    ) -> tuple[Exchange, bool]:
        """An answer's exchange with the teacher, and whether its feedback helped enough."""
        first = _answers(attempt, self.role)[0]
        checked = ctx.world_of(attempt.task).verify(attempt.task, first.text)
        is_right = checked.score >= self.threshold and not first.stop.cut_off
        told = written_feedback(is_right, checked.steps if self.steps else ())
        refined = first.text if is_right else ends[int(rng.integers(len(ends)))] if ends else None
        helps = is_right or self.min_success == 0
        if not helps:
            tried = [t for a in _with_revisions(group, attempt) for t in _answers(a, self.role)]
            right = [self._is_right(ctx, attempt, t.text) for t in tried if t is not first]
            helps = bool(right) and float(np.mean(right)) >= self.min_success
        return Exchange(attempt.start, first, told, refined), helps


def _answers(attempt: Attempt, role: str) -> list[Turn]:
    """What a role said in an attempt that is no failure and no revision from the middle."""
    if attempt.stop is StopReason.FAILED or attempt.start.prefix:
        return []
    return [t for t in attempt.turns if t.role == role and len(t.tokens)]


def _with_revisions(group: Group, attempt: Attempt) -> list[Attempt]:
    """An attempt, and the revisions of it that were not gone on with, as attempts without a
    beginning."""
    others = [a for a in group.attempts if a.start.tag == "revision" and attempt.id in a.parents]
    return [attempt, *(replace(a, start=attempt.start) for a in others)]


def _distinct(attempts: list[Attempt], role: str) -> list[Attempt]:
    """Those with the same first answer once, the first of them."""
    found: dict[str, Attempt] = {}
    for attempt in attempts:
        found.setdefault(_answers(attempt, role)[0].text, attempt)
    return list(found.values())
