"""Wrong drafts with what a refiner should have said: another answer, or the good steps gone on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from askesis.errors import ConfigError, must_fit
from askesis.records import Attempt, Group, Sample
from askesis.search.branches import drafts_of, kept_steps, repair_start
from askesis.select.judged import finite_value, model_of
from askesis.select.repaired import as_said, whole_row
from askesis.steps import step_scores, were_judged
from askesis.text.feedback import WRONG, step_feedback

Kind = Literal["global", "local"]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class RefineLessons:
    """What a refiner reads of a wrong draft, and a right answer as what it says.

    kinds: which lessons. "global": the draft and "wrong"; the answer is a right draft of the same
        task. "local": the draft and "step i is wrong", the first step that the judge of steps finds
        wrong; the answer is a right branch from behind step i - 1, so it begins as the draft does,
        or a right draft where i is 1.
    max_per_task: lessons of each kind of one task, at random, at least 1.
    threshold: a value of at least this is right.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    labels: whose correctness of steps counts ("": the last that knew).
    refiner: who learns.

    `Refine` shows a refiner the same. Which answer of several is taken is drawn at random. Source:
    GLoRe, card [172].
    """

    kinds: tuple[Kind, ...] = ("global", "local")
    max_per_task: int = field(default=1, metadata=LAZY)
    threshold: float = 1.0
    judge: str = ""
    labels: str = field(default="", metadata=LAZY)
    refiner: str = field(default="refiner", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        known = bool(self.kinds) and set(self.kinds) <= set(get_args(Kind))
        must_fit(
            self,
            {
                "kinds": (known, "global, local or both"),
                "max_per_task": (self.max_per_task >= 1, "at least 1"),
            },
        )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; notes how many lessons of each kind there are."""
        model, samples = model_of(ctx), list[Sample]()
        num = dict.fromkeys(get_args(Kind), 0)
        is_located = False
        for group in groups:
            rng = ctx.generator("lessons", group.key)
            drafts = drafts_of(group.attempts)
            is_right = {a.id: self._is_right(a, verdicts) for a in group.attempts}
            right = [a for a, _ in drafts if is_right[a.id] and not a.stop.cut_off]
            for kind in self.kinds:
                found = []
                for number, (draft, branches) in enumerate(drafts):
                    if is_right[draft.id] is not False or not draft.text:
                        continue
                    good = [b for b in branches if is_right[b.id] and not b.stop.cut_off]
                    told, ways = WRONG, right
                    if kind == "local":
                        step = self._wrong_step(draft, verdicts)
                        is_located = is_located or step > 0
                        told = step_feedback(step)
                        ways = [b for b in good if kept_steps(b) == step - 1]
                        ways = right if step == 1 else ways if step else []
                    if ways:
                        answer = ways[int(rng.integers(len(ways)))]
                        start = repair_start(draft.start, number, kind, draft.text, told)
                        turn = as_said(ctx, self.refiner, start, answer.text)
                        sources = (draft.id, answer.id)
                        found.append(Sample(model, (whole_row(turn),), sources=sources))
                lots = rng.permutation(len(found))[: self.max_per_task]
                samples += [found[i] for i in sorted(lots.tolist())]
                num[kind] += len(lots)
        if "local" in self.kinds and groups and not is_located:
            self._must_be_judged(groups, verdicts)
        for kind in self.kinds:
            ctx.note(f"{kind}_lessons", num[kind])
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _is_right(self, attempt: Attempt, verdicts: Any) -> bool | None:
        """None where nobody knows."""
        value = finite_value(attempt, verdicts, self.judge)
        return None if value is None else value >= self.threshold

    def _wrong_step(self, draft: Attempt, verdicts: Any) -> int:
        """The first step that is found wrong, from 1; 0 where none is, or nobody knows."""
        scores = step_scores(verdicts, draft, self.labels, "correctness")
        values = scores.values.tolist() if scores is not None else []
        return next((i for i, v in enumerate(values, start=1) if v < 0.5), 0)

    def _must_be_judged(self, groups: Sequence[Group], verdicts: Any) -> None:
        """Raises ConfigError where nobody was asked about steps at all."""
        attempts = [a for g in groups for a in g.attempts]
        if attempts and not were_judged(verdicts, attempts, self.labels, "correctness"):
            raise ConfigError(
                "nobody says which step of a draft is wrong",
                expected=f"correctness of steps from judge {self.labels or '(any)'}",
                found="none of any attempt",
                hint="let judge.steps.branches judge",
            )
