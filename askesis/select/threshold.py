"""Keep what was judged good enough: correct-only, distinct, a few a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from askesis.errors import ConfigError
from askesis.records import Attempt, Group, Sample
from askesis.select.judged import finite_value
from askesis.select.sequences import is_demonstration, sequences_of, without_privilege

Distinct = Literal["text", "answer", "none"]
Prefer = Literal["random", "short", "value"]
LAZY = {"lazy": True}  # matters only in rounds in which something is good enough


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Attempts whose value is at least a threshold, as supervised samples.

    threshold: the least value that is kept; 1 keeps only what is fully right. Attempts whose
        value nobody knows are never kept.
    judge: whose value counts (id, with or without version); "" takes the last judge that knew.
    distinct: "text" counts attempts of one task with the same text once; "answer" those whose
        extracted answers are the same (needs a world with `extract`, else like "text");
        "none" keeps repetitions, so that likely answers weigh more.
    max_per_task: at most so many of one task (None: all). Without it easy tasks crowd out hard
        ones.
    prefer: which to keep under that limit: "random" (seeded), "short" (fewest sampled tokens,
        then random), "value" (highest value, then random).
    cut_off: whether attempts that we cut off may be kept; they teach no ending, so: no.
    keep_privileged: whether hints stay in what is learnt; normally the context is rendered again
        without them.
    role: whose tokens are learnt. One sample per attempt, addressed to the model of the slot
        (`select.<model>`); see `askesis.select.sequences` for the weights.
    """

    threshold: float = 1.0
    judge: str = ""
    distinct: Distinct = field(default="text", metadata={"lazy": True})
    max_per_task: int | None = field(default=None, metadata={"lazy": True})
    prefer: Prefer = field(default="random", metadata={"lazy": True})
    cut_off: bool = field(default=False, metadata={"lazy": True})
    keep_privileged: bool = field(default=False, metadata={"lazy": True})
    role: str = field(default="policy", metadata={"lazy": True})

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        for name, allowed in (("distinct", get_args(Distinct)), ("prefer", get_args(Prefer))):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"Threshold.{name} has a wrong value",
                    expected=", ".join(allowed),
                    found=repr(getattr(self, name)),
                )
        if self.max_per_task is not None and self.max_per_task < 1:
            raise ConfigError(
                "Threshold.max_per_task is too small",
                expected="at least 1, or none",
                found=str(self.max_per_task),
            )
        if self.threshold != self.threshold:
            raise ConfigError("Threshold.threshold is not a number")

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of tasks; notes how many attempts passed each gate."""
        model = ctx.slot.partition(".")[2].partition("~")[0]
        threshold, judge = self.threshold, self.judge
        attempts = [a for g in groups for a in g.attempts]
        values = {a.id: finite_value(a, verdicts, judge) for a in attempts}
        good = [
            a
            for a in attempts
            if (value := values[a.id]) is not None
            and value >= threshold
            and (self.cut_off or not a.stop.cut_off)
        ]
        tasks: dict[str, list[Attempt]] = {}
        for attempt in good:
            tasks.setdefault(attempt.task.id, []).append(attempt)
        num_distinct, chosen = 0, []
        for task, found in tasks.items():
            found = self._distinct(ctx, found)
            num_distinct += len(found)
            chosen += self._few(ctx, task, found, values)
        samples = [s for a in chosen if (s := self._sample(ctx, model, a)) is not None]
        ctx.note("kept_fraction", len(samples) / max(1, len(attempts)))
        ctx.note("good_fraction", len(good) / max(1, len(attempts)))
        ctx.note("distinct_fraction", num_distinct / max(1, len(good)))
        ctx.note("tasks_kept", len(tasks))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _distinct(self, ctx: Any, attempts: list[Attempt]) -> list[Attempt]:
        """The first of each kind, in order."""
        if self.distinct == "none":
            return attempts
        extract = None
        if self.distinct == "answer":
            extract = getattr(ctx.world_of(attempts[0].task), "extract", None)
        seen: dict[Any, Attempt] = {}
        for attempt in attempts:
            said = tuple(t.text for t in attempt.turns)
            seen.setdefault(extract(attempt.text) if extract else said, attempt)
        return list(seen.values())

    def _few(
        self, ctx: Any, task: str, attempts: list[Attempt], values: dict[str, float | None]
    ) -> list[Attempt]:
        """At most `max_per_task` of them, in their own order."""
        if self.max_per_task is None or len(attempts) <= self.max_per_task:
            return attempts
        lots = ctx.generator("few", task).permutation(len(attempts))
        rank = {
            "random": lambda i: 0.0,
            "short": lambda i: float(attempts[i].num_tokens),
            "value": lambda i: -float(values[attempts[i].id] or 0.0),
        }[self.prefer]
        best = sorted(range(len(attempts)), key=lambda i: (rank(i), lots[i]))
        return [attempts[i] for i in sorted(best[: self.max_per_task])]

    def _sample(self, ctx: Any, model: str, attempt: Attempt) -> Sample | None:
        turns = attempt.turns
        if not self.keep_privileged:
            turns = without_privilege(ctx, attempt, self.role)
        rows = sequences_of(turns, self.role, is_demonstration(attempt))
        return Sample(model, tuple(rows), sources=(attempt.id,)) if rows else None
