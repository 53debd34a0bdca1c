"""Answers that were accepted, at once or after a refinement, learnt as answers to the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample, StopReason
from askesis.select.exchanges import Exchange, Term, exchange_row, term_limits, weighed
from askesis.select.judged import finite_value, model_of
from askesis.text.shortcuts import is_shortcut

LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class Refined:
    """Lessons (see `askesis.select.exchanges`) of attempts whose last answer was accepted.

    An attempt is an answer, or an answer, a critic's feedback and a refined answer. Its last answer
    is learnt: "direct", as an answer to the task alone; "refined", behind the first answer and the
    feedback; and with "feedback" the critic's turn behind the first answer.

    terms: which lessons; of an attempt without feedback there is only the direct one.
    direct_coef: weight of the direct ones beside the others, above 0.
    threshold: a value of at least this is accepted; None accepts everything that was said.
    slack: refinements with fewer numbers than the reference solution and the refined answer, less
        this, are shortcuts and left out (None: no guard). The reference is the world's
        demonstration, so a run without truth has no guard. Card [62] has 2.
    max_first, max_refined: first answers, and refined ones, of one task, different texts, at
        random, at least 1.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    role: who answers. critic: who gives feedback.
    """

    terms: tuple[Term, ...] = field(default=("direct",), metadata=LAZY)
    direct_coef: float = field(default=1.0, metadata=LAZY)
    threshold: float | None = 1.0
    slack: int | None = field(default=None, metadata=LAZY)
    max_first: int = field(default=4, metadata=LAZY)
    max_refined: int = field(default=4, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)
    critic: str = field(default="critic", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        least = self.threshold
        must_fit(
            self,
            {
                **term_limits(self.terms, self.direct_coef),
                "threshold": (least is None or least == least, "a number, or none"),
                "slack": (self.slack is None or self.slack >= 0, "at least 0, or none"),
                "max_first": (self.max_first >= 1, "at least 1"),
                "max_refined": (self.max_refined >= 1, "at least 1"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; see docs/metrics.md for what is noted."""
        model, samples = model_of(ctx), list[Sample]()
        kept = {True: 0, False: 0}
        accepted: list[bool] = []
        num_shortcuts = 0
        for group in groups:
            found: dict[bool, dict[str, tuple[Attempt, Exchange]]] = {True: {}, False: {}}
            for attempt in group.attempts:
                exchange = self._exchange(attempt)
                if exchange is None or exchange.refined is None:
                    continue
                is_refined = exchange.feedback is not None
                fits = self._accepts(attempt, verdicts)
                if is_refined:
                    accepted.append(fits)
                    short = fits and self._is_shortcut(ctx, attempt, exchange)
                    num_shortcuts += short
                    fits = fits and not short
                if fits and not attempt.stop.cut_off:
                    found[is_refined].setdefault(exchange.refined, (attempt, exchange))
            rng = ctx.generator("refined", group.key)
            for is_refined, most in ((False, self.max_first), (True, self.max_refined)):
                chosen = list(found[is_refined].values())
                lots = sorted(rng.permutation(len(chosen))[:most].tolist())
                kept[is_refined] += len(lots)
                samples += [s for i in lots for s in self._samples(ctx, model, *chosen[i])]
        ctx.note("refined_fraction", kept[True] / max(1, kept[True] + kept[False]))
        if accepted:
            ctx.note("refine_success", float(np.mean(accepted)))
            ctx.note("shortcut_fraction", num_shortcuts / max(1, sum(accepted)))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _exchange(self, attempt: Attempt) -> Exchange | None:
        """First answer, the last feedback before the last answer, and that answer."""
        if attempt.stop is StopReason.FAILED:
            return None
        said = [*attempt.start.prefix, *attempt.turns]
        places = [i for i, t in enumerate(said) if t.role == self.role and len(t.tokens)]
        if not places or places[-1] < len(attempt.start.prefix):
            return None
        last = said[places[-1]].text
        if len(places) == 1:
            return Exchange(attempt.start, said[places[0]], None, last)
        between = [t.text for t in said[places[-2] + 1 : places[-1]] if t.role == self.critic]
        return Exchange(attempt.start, said[places[-2]], between[-1] if between else "", last)

    def _accepts(self, attempt: Attempt, verdicts: Any) -> bool:
        if self.threshold is None:
            return True
        value = finite_value(attempt, verdicts, self.judge)
        return value is not None and value >= self.threshold

    def _is_shortcut(self, ctx: Any, attempt: Attempt, exchange: Exchange) -> bool:
        if self.slack is None or exchange.refined is None:
            return False
        task = attempt.task
        rng = ctx.generator("reference", task.id)
        given = ctx.world_of(task).demonstrate(task, rng) or task.answer or ""
        return is_shortcut(exchange.refined, exchange.answer.text, given, self.slack)

    def _samples(self, ctx: Any, model: str, attempt: Attempt, exchange: Exchange) -> list[Sample]:
        made = []
        for term in self.terms:
            row = exchange_row(ctx, exchange, term, self.role, self.critic)
            if row is not None:
                row = weighed(row, self.direct_coef if term == "direct" else 1.0)
                made.append(Sample(model, (row,), sources=(attempt.id,)))
        return made
