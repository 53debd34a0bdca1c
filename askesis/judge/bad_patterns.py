"""A judge's verdicts with bad patterns punished: cut off, or going round in circles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from askesis.errors import ConfigError
from askesis.judge.verifier import Verifier
from askesis.records import About, Attempt, Group, Verdict, VerdictKind
from askesis.text.ngrams import repeated_fraction


@dataclass(frozen=True, kw_only=True)
class BadPatterns:
    """What another judge says, and a penalty instead for attempts that show a bad pattern.

    inner: the other judge.
    penalty: the value of an attempt with a bad pattern; -1 in T1.
    repeated: an attempt goes round in circles if more than this share of its runs of `words` words
        occurred before in it, in [0, 1]; 1 switches this off.
    words: words a run has, at least 1.
    cut_off: whether attempts that we cut off are bad.

    Penalties are verdicts of their own, signed "bad-patterns-v1" and said after the inner judge's,
    so that they count. Source: Hou et al. 2025, "T1", card [240], which names repetition, excessive
    length and garbled language and prints no rule.
    """

    inner: Any = field(default_factory=Verifier)
    penalty: float = field(default=-1.0, metadata={"lazy": True})
    repeated: float = 0.5
    words: int = field(default=4, metadata={"lazy": True})
    cut_off: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.repeated <= 1 or self.words < 1:
            raise ConfigError(
                "BadPatterns.repeated or words is out of range",
                expected="in [0, 1], and at least 1",
                found=f"{self.repeated}, {self.words}",
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        found = list(await self.inner.judge(ctx, group))
        repeated, cut_off = self.repeated, self.cut_off
        for attempt in group.attempts:
            why = self._why(attempt, repeated, cut_off)
            if why:
                about = About(attempt.id)
                found.append(
                    Verdict(
                        "bad-patterns-v1", about, VerdictKind.OUTCOME, self.penalty, rationale=why
                    )
                )
        return found

    def _why(self, attempt: Attempt, repeated: float, cut_off: bool) -> str:
        if cut_off and attempt.stop.cut_off:
            return f"cut off ({attempt.stop.value})"
        if repeated < 1 and repeated_fraction(attempt.text, self.words) > repeated:
            return "goes round in circles"
        return ""
