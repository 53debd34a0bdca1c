"""Which tasks a teacher is asked about, after a student's exam."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from askesis.errors import must_fit
from askesis.records import Attempt, Group, Start, StopReason

Lesson = Literal["tailored", "failed", "any"]
TAG = "lesson"


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Starts for a teacher, from the attempts of an exam.

    lesson: "tailored": tasks that the student got wrong, with a wrong attempt as the start's
        privileged text, for the teacher to mend. "failed": the same tasks, nothing shown. "any":
        tasks of the exam at random, nothing shown (the control at equal lessons).
    num: lessons a round, at least 1. max_per_task: of one task, at least 1; wrong attempts with the
        same text count once.
    threshold: a value of at least this is right.
    judge: whose value counts (id, with or without version); "" takes the last that knew.

    `ctx.inputs`: "groups", the exam, and "verdicts". Tasks come in random order. Source: card [25].
    """

    lesson: Lesson = "tailored"
    num: int = 64
    max_per_task: int = field(default=1, metadata={"lazy": True})
    threshold: float = 1.0
    judge: str = field(default="", metadata={"lazy": True})

    def __post_init__(self) -> None:
        limits = {
            "lesson": (self.lesson in get_args(Lesson), " or ".join(get_args(Lesson))),
            "num": (self.num >= 1, "at least 1"),
            "max_per_task": (self.max_per_task >= 1, "at least 1"),
        }
        must_fit(self, limits)

    def draw(self, ctx: Any) -> list[Start]:
        """At most `num` starts with the tag "lesson"; none where nothing was wrong."""
        groups, verdicts = ctx.inputs["groups"], ctx.inputs["verdicts"]
        order = ctx.generator("lessons").permutation(len(groups))
        wanted: list[Start] = []
        num_failed = 0
        for place in order:
            group = groups[int(place)]
            wrong = list(self._wrong(group, verdicts))
            num_failed += bool(wrong)
            if self.lesson == "any" and group.attempts:
                wanted.append(replace(group.attempts[0].start, tag=TAG))
                continue
            for attempt in wrong[: self.max_per_task]:
                shown = attempt.text if self.lesson == "tailored" else None
                wanted.append(replace(attempt.start, tag=TAG, privileged=shown))
        ctx.note("failed_fraction", num_failed / max(1, len(groups)))
        ctx.note("lessons", min(self.num, len(wanted)))
        return wanted[: self.num]

    def _wrong(self, group: Group, verdicts: Any) -> Iterator[Attempt]:
        """Attempts known to be wrong, each text once."""
        seen = set()
        for attempt in group.attempts:
            value = verdicts.value(attempt, judge=self.judge)
            is_wrong = value is not None and value < self.threshold
            if is_wrong and attempt.stop is not StopReason.FAILED and attempt.text not in seen:
                seen.add(attempt.text)
                yield attempt
