"""A training set that grows: given solutions, and own ones, more of them where tasks are hard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Sample, StopReason
from askesis.records import Sequence as Row
from askesis.select.judged import finite_value, model_of, row_of
from askesis.select.sequences import is_demonstration

LAZY = {"lazy": True}


@dataclass(frozen=True, slots=True)
class Held:
    """An answer of the set: its tokens, how many of them are only read, and where it is from."""

    tokens: np.ndarray
    num_read: int
    given: bool
    source: str


Tasks = dict[str, list[Held]]  # by task, in the order they were first met


@dataclass(frozen=True, kw_only=True)
class GrownSet:
    """Everything that was kept since the run began, one sample an answer, every round.

    max_per_task: own right answers that are kept of a task, at least 1. by_hardness: of a task that
        was solved in a share p of this round's attempts, at most (1 - p) of that many, rounded up:
        more of hard tasks, none of those that are always solved.
    threshold: a value of at least this is right.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    role: whose answers are kept, and who learns.

    Demonstrations are kept whoever made them and whatever a judge says. Of own answers those with
    the same tokens count once, what we cut off does not count, and a random choice of old and new
    ones stays where there are too many. State: flat arrays, see `_packed`.
    Source: STILL-2, card [245].
    """

    max_per_task: int = field(default=8, metadata=LAZY)
    by_hardness: bool = field(default=True, metadata=LAZY)
    threshold: float = field(default=1.0, metadata=LAZY)
    judge: str = field(default="", metadata=LAZY)
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "max_per_task": (self.max_per_task >= 1, "at least 1"),
                "threshold": (self.threshold == self.threshold, "a number"),
            },
        )

    def init(self, ctx: Any) -> dict[str, Any]:
        """An empty set."""
        return _packed({})

    def observe(self, ctx: Any, state: Mapping[str, Any], view: Any) -> dict[str, Any]:
        """The set after a round; the same that the round learnt from."""
        groups = [group for found in view.groups.values() for group in found]
        return _packed(self._grown(ctx, state, groups, view.verdicts)[0])

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """The whole set; see docs/metrics.md for what is noted."""
        model = model_of(ctx)
        tasks, num_new = self._grown(ctx, ctx.state, groups, verdicts)
        samples = [
            Sample(model, (_row(held),), sources=(held.source,))
            for kept in tasks.values()
            for held in kept
        ]
        met = list(dict.fromkeys(a.task.id for g in groups for a in g.attempts))
        own = [sum(not held.given for held in tasks.get(task, ())) for task in met]
        ctx.note("pool/right", float(np.mean(own)) if own else 0.0)
        ctx.note("pool/new", num_new)
        ctx.note("pool/tasks", len(tasks))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _grown(
        self, ctx: Any, state: Mapping[str, Any], groups: Sequence[Group], verdicts: Any
    ) -> tuple[Tasks, int]:
        """The set behind the round's attempts, and how many of them are new in it."""
        tasks = _unpacked(state)
        known = {h.source for kept in tasks.values() for h in kept}
        met: dict[str, list[Attempt]] = {}
        for attempt in (a for group in groups for a in group.attempts):
            if attempt.stop is not StopReason.FAILED:
                met.setdefault(attempt.task.id, []).append(attempt)
        for task, attempts in met.items():
            kept = self._of_task(ctx, tasks.get(task, []), attempts, verdicts)
            if kept:
                tasks[task] = kept
            else:
                tasks.pop(task, None)
        held = [h for kept in tasks.values() for h in kept]
        return tasks, sum(not h.given and h.source not in known for h in held)

    def _of_task(
        self, ctx: Any, before: Sequence[Held], attempts: Sequence[Attempt], verdicts: Any
    ) -> list[Held]:
        """What is kept of a task: everything given, and own right answers up to its limit."""
        found = {h.tokens.tobytes(): h for h in before}
        values = []
        for attempt in attempts:
            given = is_demonstration(attempt)
            value = finite_value(attempt, verdicts, self.judge)
            is_right = value is not None and value >= self.threshold
            if not given and value is not None:
                values.append(is_right)
            if given or (is_right and not attempt.stop.cut_off):
                row = row_of(ctx, attempt, self.role)
                if row is not None:
                    num_read = int(np.argmax(row.columns["weight"] > 0))
                    new = Held(row.tokens, num_read, given, attempt.id)
                    found.setdefault(row.tokens.tobytes(), new)
        own = [h for h in found.values() if not h.given]
        most = self.max_per_task
        if self.by_hardness and values:
            most = ceil(round(most * (1 - float(np.mean(values))), 9))
        lots = ctx.generator("kept", attempts[0].task.id).permutation(len(own))[:most]
        chosen = {own[i].source for i in lots.tolist()}
        return [h for h in found.values() if h.given or h.source in chosen]


def _row(held: Held) -> Row:
    weight = np.zeros(len(held.tokens), np.float32)
    weight[held.num_read :] = 1.0
    return Row(held.tokens, {"weight": weight})


def _packed(tasks: Tasks) -> dict[str, Any]:
    """Names of tasks and sources as lists; tokens one after another with their lengths."""
    rows = [(task, held) for task, kept in tasks.items() for held in kept]
    flat = [held.tokens for _, held in rows]
    return {
        "tasks": [task for task, _ in rows],
        "sources": [held.source for _, held in rows],
        "given": np.array([held.given for _, held in rows], bool),
        "num_read": np.array([held.num_read for _, held in rows], np.int32),
        "lengths": np.array([len(tokens) for tokens in flat], np.int32),
        "tokens": np.concatenate(flat).astype(np.int32) if flat else np.zeros(0, np.int32),
    }


def _unpacked(state: Mapping[str, Any]) -> Tasks:
    """What `_packed` was given."""
    tasks: Tasks = {}
    ends = np.cumsum(state["lengths"])
    for i, task in enumerate(state["tasks"]):
        tokens = state["tokens"][int(ends[i] - state["lengths"][i]) : int(ends[i])]
        held = Held(tokens, int(state["num_read"][i]), bool(state["given"][i]), state["sources"][i])
        tasks.setdefault(task, []).append(held)
    return tasks
