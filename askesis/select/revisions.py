"""Single answers to one task put together as two turns: an answer and a better one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample, Turn
from askesis.select.judged import judged, model_of
from askesis.select.sequences import is_demonstration
from askesis.select.turn_rows import rows_of_turns

Kind = Literal["corrections", "any"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class Revisions:
    """Two-turn samples from one-turn attempts: a first answer, the instruction, a final answer.

    The final answer is learnt; the first one, which may be a mistake, is only read.

    kind: "corrections": after a right first answer the final one is that answer again (confidence),
        after a wrong one it is a right one (critique). "any": the final answer is just another
        attempt at the task, which needs no truth and teaches nothing but that one may be asked
        twice.
    keep_share: share of samples whose first answer is right, in [0, 1]; about 0.4 did best in card
        [84], 0 is learning from corrections alone. What there is too much of is left out at random.
        None: as they come.
    instruction: what is said between the answers; {prompt} is the task's prompt. It must be the
        explorer's.
    source: where a right final answer after a wrong first one comes from: "own", a right attempt of
        the group; "demonstration", the group's demonstration.
    learn_first: whether first answers are learnt as well. In corrections they are mistakes; with
        kind "any" it keeps what is said first where it was.
    max_per_task: at most so many samples of one task, at least 1.
    threshold: a value of at least this is right.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    cut_off: whether attempts count that we cut off; their end is not learnt.
    role: whose turns are answers.

    Which answers meet is drawn at random. Source: Yang et al. 2024, card [84].
    """

    kind: Kind = "corrections"
    keep_share: float | None = field(default=0.4, metadata=LAZY)
    instruction: str = field(default="{prompt}", metadata=LAZY)
    source: Literal["own", "demonstration"] = field(default="own", metadata=LAZY)
    learn_first: bool = field(default=False, metadata=LAZY)
    max_per_task: int = field(default=4, metadata=LAZY)
    threshold: float = field(default=1.0, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    cut_off: bool = field(default=False, metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        share = self.keep_share
        must_fit(
            self,
            {
                "kind": (self.kind in get_args(Kind), ", ".join(get_args(Kind))),
                "keep_share": (share is None or 0 <= share <= 1, "in [0, 1], or none"),
                "source": (self.source in ("own", "demonstration"), "own or demonstration"),
                "max_per_task": (self.max_per_task >= 1, "at least 1"),
                "threshold": (self.threshold == self.threshold, "a number"),
                "instruction": (bool(self.instruction), "some text"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; see docs/metrics.md for what is noted."""
        if self.kind == "any":
            return self._noted(ctx, [s for g in groups for s in self._any(ctx, g)], [])
        kept: list[Sample] = []
        mended: list[Sample] = []
        for pairs in judged(groups, verdicts, judge=self.judge, cut_off=self.cut_off):
            right = [a for a, value in pairs if value >= self.threshold]
            wrong = [a for a, value in pairs if value < self.threshold]
            own = [a for a in right if not is_demonstration(a)]
            given = [a for a in right if is_demonstration(a)]
            rng = ctx.generator("revisions", pairs[0][0].start.key)
            kept += [self._sample(ctx, a, a) for a in self._few(rng, own)]
            ends = own if self.source == "own" else given
            if ends:
                firsts = self._few(rng, [a for a in wrong if not is_demonstration(a)])
                finals = [ends[int(i)] for i in rng.integers(len(ends), size=len(firsts))]
                mended += [self._sample(ctx, a, b) for a, b in zip(firsts, finals, strict=True)]
        return self._noted(ctx, *self._mixed(ctx, kept, mended))

    def _any(self, ctx: Any, group: Group) -> list[Sample]:
        """Each attempt after the one before it, the first after the last."""
        fit = [a for a in group.attempts if a.turns and (self.cut_off or not a.stop.cut_off)]
        if len(fit) < 2:
            return []
        rng = ctx.generator("revisions", group.key)
        order = [fit[int(i)] for i in rng.permutation(len(fit))]
        pairs = list(zip(order, [*order[1:], order[0]], strict=True))[: self.max_per_task]
        return [self._sample(ctx, first, final) for first, final in pairs]

    def _few(self, rng: np.random.Generator, attempts: list[Attempt]) -> list[Attempt]:
        chosen = rng.permutation(len(attempts))[: self.max_per_task]
        return [attempts[i] for i in sorted(chosen)]

    def _mixed(
        self, ctx: Any, kept: list[Sample], mended: list[Sample]
    ) -> tuple[list[Sample], list[Sample]]:
        """As many of both as the share allows."""
        share = self.keep_share
        if share is None:
            return kept, mended
        total = min(
            len(kept) / share if share else float("inf"),
            len(mended) / (1 - share) if share < 1 else float("inf"),
        )
        rng = ctx.generator("share")

        def some(samples: list[Sample], num: int) -> list[Sample]:
            chosen = rng.permutation(len(samples))[:num]
            return [samples[i] for i in sorted(chosen)]

        return some(kept, round(share * total)), some(mended, round((1 - share) * total))

    def _noted(self, ctx: Any, kept: list[Sample], mended: list[Sample]) -> list[Sample]:
        samples = [*kept, *mended]
        ctx.note("samples", len(samples))
        if self.kind == "corrections":
            ctx.note("mended", len(mended))
            ctx.note("kept", len(kept))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _sample(self, ctx: Any, first: Attempt, final: Attempt) -> Sample:
        """A first answer, the instruction, and a final answer that is learnt."""
        start = replace(first.start, privileged=None, tag="")
        said = [t for t in first.turns if t.role == self.role][-1]
        if start.privileged != first.start.privileged:
            said = replace(said, context=ctx.render(self.role, start))
        asked = Turn("world", self.instruction.replace("{prompt}", start.task.prompt))
        end = [t for t in final.turns if t.role == self.role][-1].tokens
        last = Turn(self.role, context=ctx.render(self.role, start, [said, asked]), tokens=end)
        learnt: dict[int, dict[str, float]] = {0: {}, 2: {}} if self.learn_first else {2: {}}
        rows = rows_of_turns([said, asked, last], self.role, learnt)
        return Sample(model_of(ctx), tuple(rows), sources=(first.id, final.id))
