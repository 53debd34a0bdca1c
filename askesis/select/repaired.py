"""Repaired attempts as lessons: for who attempts, for who repairs, and as pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample, Turn
from askesis.records import Sequence as Row
from askesis.select.judged import finite_value, model_of, row_of
from askesis.select.threshold import Threshold

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class AsOwn:
    """What the role did right, and what a reflector repaired, as if the role had said it at once.

    keep: the selector that keeps of all of them (`Threshold` with its options).
    reflection_end: a repair's text up to and including the first of these is its reflection, and is
        left out; "" for repairs without one.
    role: who learns. reflector: who repaired.

    What a reflector read (the failed attempt, the feedback) is not in what is learnt. Source:
    Re-ReST, card [212].
    """

    keep: Threshold = field(default_factory=lambda: Threshold(max_per_task=4))
    reflection_end: str = field(default="", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)
    reflector: str = "reflector"

    makes = frozenset({"weight"})
    atom = "sequence"

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """As the inner selector; notes the share of samples that were repairs."""
        repairs = {a.id for g in groups for a in g.attempts if said_by(a, self.reflector)}
        own = [
            replace(g, attempts=tuple(self._own(ctx, a) for a in g.attempts), tree=None)
            for g in groups
        ]
        samples = self.keep.select(ctx, own, verdicts)
        mended = sum(any(s in repairs for s in sample.sources) for sample in samples)
        ctx.note("repaired_fraction", mended / max(1, len(samples)))
        good = self.keep.threshold
        known = [verdicts.value(i, 0.0) >= good for i in repairs]
        if known:
            ctx.note("repair_success", float(np.mean(known)))
        return samples

    def _own(self, ctx: Any, attempt: Attempt) -> Attempt:
        if not said_by(attempt, self.reflector):
            return attempt
        start = replace(attempt.start, privileged=None, tag="")
        turn = as_said(ctx, self.role, start, without(attempt.text, self.reflection_end))
        return replace(attempt, start=start, turns=(turn,))


@dataclass(frozen=True, kw_only=True)
class RepairLessons:
    """Failed attempt and feedback as context, what is right as the reflector's answer.

    siblings: where a repair failed too, a right attempt at the same task stands in for it, so that
        a reflector who cannot repair anything yet can begin to learn.
    max_per_task: lessons of one task, at random, at least 1.
    threshold: a value of at least this is right.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    reflector: who learns.

    The card says that the paper's own set is inferred from its scripts: repairs that succeeded.
    """

    siblings: bool = field(default=True, metadata=LAZY)
    max_per_task: int = field(default=4, metadata=LAZY)
    threshold: float = 1.0
    judge: str = ""
    reflector: str = "reflector"

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"max_per_task": (self.max_per_task >= 1, "at least 1")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; see docs/metrics.md for what is noted."""
        model, samples = model_of(ctx), list[Sample]()
        for group in groups:
            value = {a.id: finite_value(a, verdicts, self.judge) for a in group.attempts}
            is_right = {i: v is not None and v >= self.threshold for i, v in value.items()}
            right = [a for a in group.attempts if is_right[a.id] and not a.stop.cut_off]
            rng, found = ctx.generator("lessons", group.key), []
            for repair in group.attempts:
                if not said_by(repair, self.reflector):
                    continue
                if is_right[repair.id] and not repair.stop.cut_off:
                    found.append((repair, repair))
                elif self.siblings and right:
                    found.append((repair, right[int(rng.integers(len(right)))]))
            if len(found) > self.max_per_task:
                lots = rng.permutation(len(found))[: self.max_per_task]
                found = [found[i] for i in sorted(lots.tolist())]
            samples += [self._lesson(ctx, model, *pair) for pair in found]
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _lesson(self, ctx: Any, model: str, repair: Attempt, right: Attempt) -> Sample:
        turn = as_said(ctx, self.reflector, repair.start, right.text)
        return Sample(model, (whole_row(turn),), sources=(*repair.parents, right.id))


@dataclass(frozen=True, kw_only=True)
class RepairedPairs:
    """A right repair against the failed attempt it mends, for preference objectives.

    max_per_task: pairs of one task, the first ones, at least 1.
    threshold: a value of at least this is right.
    reflection_end: as in `AsOwn`.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    role: who learns, and whose attempts failed. reflector: who repaired.

    A sample is (chosen, rejected) at the plain task, with the numbers margin and outcome as
    `BestAndWorst` makes them.
    """

    max_per_task: int = field(default=4, metadata=LAZY)
    threshold: float = 1.0
    reflection_end: str = field(default="", metadata=LAZY)
    judge: str = ""
    role: str = field(default="policy", metadata=LAZY)
    reflector: str = "reflector"

    makes = frozenset({"weight", "margin", "outcome"})
    atom = "pair"

    def __post_init__(self) -> None:
        must_fit(self, {"max_per_task": (self.max_per_task >= 1, "at least 1")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups."""
        model, samples = model_of(ctx), list[Sample]()
        for group in groups:
            pairs = list(self._pairs(ctx, group, verdicts))[: self.max_per_task]
            for repair, failed, margin in pairs:
                start = replace(repair.start, privileged=None, tag="")
                text = without(repair.text, self.reflection_end)
                chosen = whole_row(as_said(ctx, self.role, start, text))
                rejected = row_of(ctx, failed, self.role)
                if rejected is not None and not np.array_equal(chosen.tokens, rejected.tokens):
                    numbers = {"margin": margin, "outcome": 1.0}
                    sources = (repair.id, failed.id)
                    samples.append(Sample(model, (chosen, rejected), numbers, sources))
        ctx.note("pairs", len(samples))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _pairs(
        self, ctx: Any, group: Group, verdicts: Any
    ) -> Iterator[tuple[Attempt, Attempt, float]]:
        attempts = {a.id: a for a in group.attempts}
        for repair in group.attempts:
            if not said_by(repair, self.reflector) or repair.stop.cut_off:
                continue
            value = finite_value(repair, verdicts, self.judge)
            failed = attempts.get(repair.parents[0]) if repair.parents else None
            if value is None or value < self.threshold or failed is None:
                continue
            before = finite_value(failed, verdicts, self.judge)
            if before is not None and before < self.threshold:
                yield repair, failed, value - before


def said_by(attempt: Attempt, reflector: str) -> bool:
    """Whether an attempt is a repair: who spoke in it is the reflector, with a failed parent."""
    is_repair = attempt.start.tag.startswith("repair")
    return is_repair and any(t.role == reflector for t in attempt.turns)


def without(text: str, reflection_end: str) -> str:
    """A repair's text without its reflection."""
    if not reflection_end or reflection_end not in text:
        return text
    return text.split(reflection_end, 1)[1].strip()


def as_said(ctx: Any, role: str, start: Any, text: str) -> Turn:
    """A text as one turn of `role` at a start, as if it had been sampled."""
    tokens = np.append(ctx.encode(role, text), ctx.end_token(role)).astype(np.int32)
    return Turn(role, text, context=ctx.render(role, start), tokens=tokens)


def whole_row(turn: Turn) -> Row:
    """A turn as a sequence, everything said weighing 1."""
    tokens = np.concatenate([turn.context, turn.tokens]).astype(np.int32)
    weight = np.concatenate([np.zeros(len(turn.context)), np.ones(len(turn.tokens))])
    return Row(tokens, {"weight": weight.astype(np.float32)})
