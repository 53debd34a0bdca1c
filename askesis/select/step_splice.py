"""Wrong steps spliced into right solutions, each taken back and mended inside the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import WorldError, must_fit
from askesis.records import Attempt, Group, Sample
from askesis.requests import Checked
from askesis.select.judged import judged, model_of
from askesis.select.sequences import is_demonstration
from askesis.select.written import written_row
from askesis.text.remarks import taken_back

At = Literal["step", "end"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class StepSplice:
    """Ordinary solutions, and solutions into which a wrong step of a failed attempt is put:

        right steps so far, the wrong step, a remark on what is wrong, the right step, the rest

    source: whose solutions both are made of: "own", right attempts of the group whose steps are all
        right; "demonstration", the group's demonstrations.
    at: "step": the failed attempt is left behind its first wrong step. "end": behind its last one,
        and the solution begins anew: the correction of a whole answer, the control of card [41].
    remark: whether what is wrong is said; without, the right step follows at once.
    mask: whether the wrong step weighs 0 (at "end": all from the first wrong step on); without, the
        model learns to make mistakes.
    share: at most this share of the samples are splices, in [0, 1); 0 is the control. Card [41]
        has 0.57. Ordinary ones are never left out for it.
    max_per_task: ordinary solutions of one task, and splices of one task, at random, at least 1.
    threshold: a value of at least this is right.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    role: who learns.

    Wrong steps are known by the world's step truth, and the world says how a mistake is taken back
    in its way of writing. An own right attempt that took all its wrong steps back is an ordinary
    solution with these steps masked; one with a wrong step left in it is none. A splice that the
    world does not find right is dropped. Source: S3c-Math, card [41].
    """

    source: Literal["own", "demonstration"] = "own"
    at: At = field(default="step", metadata=LAZY)
    remark: bool = field(default=True, metadata=LAZY)
    mask: bool = field(default=True, metadata=LAZY)
    share: float = field(default=0.57, metadata=LAZY)
    max_per_task: int = field(default=4, metadata=LAZY)
    threshold: float = field(default=1.0, metadata=LAZY)
    judge: str = ""
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "source": (self.source in ("own", "demonstration"), "own or demonstration"),
                "at": (self.at in get_args(At), "step or end"),
                "share": (0 <= self.share < 1, "in [0, 1)"),
                "max_per_task": (self.max_per_task >= 1, "at least 1"),
                "threshold": (self.threshold == self.threshold, "a number"),
            },
        )

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world can take a step back inside an answer."""
        if not any("corrections" in w.truth for w in ctx.worlds.values()):
            names = ", ".join(repr(w.id) for w in ctx.worlds.values())
            raise WorldError(
                f"in world {names} a wrong step cannot be taken back inside an answer",
                hint="--world chain_arithmetic, addition or countdown",
            )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; see docs/metrics.md for what is noted."""
        plain: list[Sample] = []
        spliced: list[Sample] = []
        num_wrong, own = 0, self.source == "own"
        for pairs in judged(groups, verdicts, judge=self.judge):
            world = ctx.world_of(pairs[0][0].task)
            read = {a.id: world.verify(a.task, a.text) for a, _ in pairs}
            right = [a for a, v in pairs if v >= self.threshold and not a.stop.cut_off]
            solved = [a for a in right if is_demonstration(a) != own]
            left = {a.id: _left(a, read[a.id]) for a in solved}
            ends = _distinct([a for a in solved if not any(s < 1 for s in read[a.id].steps)])
            whole = _distinct([a for a in solved if not any(left[a.id])])
            rng = ctx.generator("splice", pairs[0][0].start.key)
            plain += [self._plain(ctx, a, read[a.id]) for a in self._few(rng, whole)]
            wrong = _first_wrong([(a, read[a.id]) for a, _ in pairs if not is_demonstration(a)])
            num_wrong += len(wrong)
            for bad, place, checked in self._few(rng, wrong):
                sample = self._splice(ctx, world, bad, place, checked, ends, rng)
                spliced += [] if sample is None else [sample]
        kept = self._in_share(ctx, len(plain), spliced)
        ctx.note("wrong_steps", num_wrong)
        ctx.note("splices", len(kept))
        ctx.note("samples", len(plain) + len(kept))
        ctx.note("tokens", sum(s.num_tokens for s in [*plain, *kept]))
        return [*plain, *kept]

    def _few(self, rng: np.random.Generator, found: list[Any]) -> list[Any]:
        lots = rng.permutation(len(found))[: self.max_per_task]
        return [found[i] for i in sorted(lots.tolist())]

    def _plain(self, ctx: Any, attempt: Attempt, read: Checked) -> Sample:
        wrong = [s for s, right in zip(read.spans, read.steps, strict=True) if right < 1]
        start = replace(attempt.start, privileged=None, tag="")
        row = written_row(ctx, self.role, start, attempt.text, wrong if self.mask else ())
        return Sample(model_of(ctx), (row,), sources=(attempt.id,))

    def _splice(
        self, ctx: Any, world: Any, bad: Attempt, place: int, read: Checked,
        ends: list[Attempt], rng: np.random.Generator,
    ) -> Sample | None:  # fmt: skip
        """A failed attempt up to its wrong step, and how a right one goes on from there."""
        first, last = read.spans[place]
        end = last if self.at == "step" else len(bad.text.rstrip())
        start = replace(bad.start, privileged=None, tag="")
        again = self.at == "end"
        for i in rng.permutation(len(ends)):
            good = ends[int(i)]
            rest = world.correction(
                bad.task, bad.text[:end], good.text, again=again, remark=self.remark
            )
            if rest is None:
                continue
            text = bad.text[:end] + rest
            if world.verify(bad.task, text).score < self.threshold:
                return None
            row = written_row(ctx, self.role, start, text, [(first, end)] if self.mask else ())
            return Sample(model_of(ctx), (row,), sources=(bad.id, good.id))
        return None

    def _in_share(self, ctx: Any, num_plain: int, spliced: list[Sample]) -> list[Sample]:
        """As many splices as the share allows beside the ordinary ones, at random."""
        most = round(self.share / (1 - self.share) * num_plain)
        lots = ctx.generator("share").permutation(len(spliced))[:most]
        return [spliced[i] for i in sorted(lots.tolist())]


def _left(attempt: Attempt, read: Checked) -> list[bool]:
    """For every step, whether it is wrong and was not taken back."""
    back = taken_back(attempt.text, read.spans)
    return [step < 1 and not gone for step, gone in zip(read.steps, back, strict=True)]


def _distinct(attempts: list[Attempt]) -> list[Attempt]:
    """Those with the same text once."""
    return list({a.text: a for a in reversed(attempts)}.values())[::-1]


def _first_wrong(found: list[tuple[Attempt, Checked]]) -> list[tuple[Attempt, int, Checked]]:
    """Attempts with the place of their first wrong step; equal beginnings once."""
    wrong: dict[str, tuple[Attempt, int, Checked]] = {}
    for attempt, read in found:
        place = next((i for i, step in enumerate(read.steps) if step < 1), None)
        if place is not None:
            wrong.setdefault(attempt.text[: read.spans[place][1]], (attempt, place, read))
    return list(wrong.values())
