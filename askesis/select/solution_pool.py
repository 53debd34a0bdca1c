"""What a model found out about each task, kept from round to round and learnt together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import must_fit
from askesis.formulas.solution_pool import Solution, admit, fewest_steps, furthest
from askesis.records import Attempt, Group, Sample, Start, StopReason, Task
from askesis.records import Sequence as Row
from askesis.select.judged import finite_value, model_of
from askesis.select.sequences import is_demonstration
from askesis.select.written import written_row

Credit = Literal["partial", "right", "reference"]
Kept = Mapping[str, Any]  # task id -> [(text, is_right, given, source), ...]
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class SolutionPool:
    """Right solutions of each task and beginnings of some, as one sample a task of the round.

    credit: what is kept of the model's own attempts. "partial": right ones, and of the others the
        longest beginning that leads to a state on the way of a kept one. "right": right ones.
        "reference": nothing; the reference solution alone is learnt (the control).
    tolerance: steps that a way to a state may take more than the shortest known, at least 0.
    max_saved: kept of a task, beginnings included, at least 1; 10 in the paper.
    threshold: a value of at least this is right.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    role: whose answers are kept, and who learns.

    Demonstrations are always kept and always right. Attempts that we cut off teach no ending: they
    count as beginnings. Beginnings are learnt without an end token. State: task id -> list of
    (text, is_right, given, source) in the order they were found, which the round hands to
    `ContinueSaved`. Needs a world that knows states for credit "partial".
    Source: card [248]; the rules are `askesis.formulas.solution_pool`.
    """

    credit: Credit = "partial"
    tolerance: int = field(default=0, metadata=LAZY)
    max_saved: int = field(default=10, metadata=LAZY)
    threshold: float = field(default=1.0, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "set"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "credit": (self.credit in get_args(Credit), " or ".join(get_args(Credit))),
                "tolerance": (self.tolerance >= 0, "at least 0"),
                "max_saved": (self.max_saved >= 1, "at least 1"),
                "threshold": (self.threshold == self.threshold, "a number"),
            },
        )

    def init(self, ctx: Any) -> dict[str, Any]:
        """Nothing is known yet."""
        return {}

    def observe(self, ctx: Any, state: Kept, view: Any) -> dict[str, Any]:
        """What is kept after a round; the same that the round learnt from."""
        groups = [group for found in view.groups.values() for group in found]
        grown, _ = self._grown(ctx, state, groups, view.verdicts)
        return {**state, **{task: _plain(saved) for task, (_, saved) in grown.items()}}

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """A set for each task of the round, in order; see docs/metrics.md for what is noted."""
        model = model_of(ctx)
        grown, num_new = self._grown(ctx, ctx.state, groups, verdicts)
        samples = []
        for task, saved in grown.values():
            rows = [_row(ctx, self.role, task, solution) for solution in saved]
            sources = tuple(solution.source for solution in saved)
            samples += [Sample(model, tuple(rows), sources=sources)] if rows else []
        own = [[s for s in saved if not s.given] for _, saved in grown.values()]
        ctx.note("pool/right", _mean(sum(s.is_right for s in some) for some in own))
        ctx.note("pool/beginnings", _mean(sum(not s.is_right for s in some) for some in own))
        ctx.note("pool/new", num_new)
        ctx.note("pool/tasks", len({**ctx.state, **grown}))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _grown(
        self, ctx: Any, kept: Kept, groups: Sequence[Group], verdicts: Any
    ) -> tuple[dict[str, tuple[Task, tuple[Solution, ...]]], int]:
        """What is kept of the round's tasks behind it, and how many of the model's own are new."""
        grown: dict[str, tuple[Task, tuple[Solution, ...]]] = {}
        num_new = 0
        for attempt in (a for group in groups for a in group.attempts):
            task = attempt.task
            if task.id not in grown:
                known = [self._solution(ctx, task, *plain) for plain in kept.get(task.id, ())]
                grown[task.id] = task, tuple(known)
            saved = grown[task.id][1]
            new = self._found(ctx, attempt, saved, verdicts)
            if new is not None:
                more = admit(saved, new, tolerance=self.tolerance, most=self.max_saved)
                num_new += more != saved and not new.given
                grown[task.id] = task, more
        return grown, num_new

    def _found(
        self, ctx: Any, attempt: Attempt, saved: Sequence[Solution], verdicts: Any
    ) -> Solution | None:
        """What of an attempt may be kept, None for nothing."""
        if attempt.stop is StopReason.FAILED:
            return None
        task, text = attempt.task, attempt.text
        if is_demonstration(attempt):
            return self._solution(ctx, task, text, True, True, attempt.id)
        if self.credit == "reference" or not text:
            return None
        value = finite_value(attempt, verdicts, self.judge)
        if value is not None and value >= self.threshold and not attempt.stop.cut_off:
            return self._solution(ctx, task, text, True, False, attempt.id)
        if self.credit == "right":
            return None
        walked = ctx.world_of(task).states(task, text)
        num = furthest([state for _, state in walked], fewest_steps(saved))
        if not num:
            return None
        states = tuple(state for _, state in walked[:num])
        return Solution(text[: walked[num - 1][0]], states, source=attempt.id)

    def _solution(
        self, ctx: Any, task: Task, text: str, is_right: bool, given: bool, source: str
    ) -> Solution:
        states: tuple[str, ...] = ()
        if self.credit == "partial":
            states = tuple(state for _, state in ctx.world_of(task).states(task, text))
        return Solution(text, states, is_right, given, source)


def _plain(saved: Sequence[Solution]) -> list[list[Any]]:
    return [[s.text, s.is_right, s.given, s.source] for s in saved]


def _row(ctx: Any, role: str, task: Task, solution: Solution) -> Row:
    """A solution as a sequence: the task is read, the solution learnt, its end where it has one."""
    row = written_row(ctx, role, Start(task), solution.text)
    if solution.is_right:
        return row
    return Row(row.tokens[:-1], {name: column[:-1] for name, column in row.columns.items()})


def _mean(numbers: Iterable[int]) -> float:
    found = list(numbers)
    return float(np.mean(found)) if found else 0.0
