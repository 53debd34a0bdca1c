"""A judge that is wrong at given rates: what false passes and false fails do to a method."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.judge.verifier import Verifier
from askesis.plan import Parts, Plan
from askesis.records import Group, Start, StopReason, Task, Verdict
from askesis.requests import Checked
from askesis.rng import uniforms

_PART = re.compile(r"[a-z-]+-v[0-9]+")  # the signature of a part, by which others ask for it
_HEARS = frozenset({"init", "observe", "on_phase_start", "on_phase_end"})


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """Another judge, for whom the world's verifier errs.

    inner: the other judge.
    false_pass: probability that what is wrong is called right (a score of 1), in [0, 1].
    false_fail: probability that what is right is called wrong (0), in [0, 1].
    right: a score of at least this is right, in (0, 1].

    Errors are independent, of each answer by itself, and a function of the run's seed and the place
    of the answer: a resumed run errs as it did. The other judge sees the errors wherever it asks
    the world, so whatever it makes of a score (a reward of steps beside it, one score a turn)
    follows. Where it asks nothing (what an environment paid) its values are turned themselves.
    Verdicts in the world's name get "wrong-" in front, so that nobody takes them for the truth;
    those of parts that others ask for by name keep it.

    Steps are told as they are. Explorers that look at the truth themselves (`Repair`, `SelfCorrect`
    with several revisions) still see the truth, unless they say `asks_truth` (`Misled`). Measures
    are of the truth, so `Audit` shows the errors.
    """

    inner: Any = field(default_factory=Verifier)
    false_pass: float = 0.1
    false_fail: float = 0.0
    right: float = field(default=1.0, metadata={"lazy": True})

    def __post_init__(self) -> None:
        limits = {
            "inner": (hasattr(self.inner, "judge"), "a judge"),
            "false_pass": (0 <= self.false_pass <= 1, "in [0, 1]"),
            "false_fail": (0 <= self.false_fail <= 1, "in [0, 1]"),
            "right": (0 < self.right <= 1, "in (0, 1]"),
        }
        must_fit(self, limits)

    def __getattr__(self, name: str) -> Any:
        """What the loop tells parts, and their states, are the other judge's."""
        if name in _HEARS:
            return getattr(object.__getattribute__(self, "inner"), name)
        raise AttributeError(name)

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        rates = (self.false_pass, self.false_fail, self.right)
        erring = _Erring(ctx, group.key, *rates)
        found: Sequence[Verdict] = await self.inner.judge(erring, group)
        if erring.num_asked:
            return [_signed(v) for v in found]
        said = {a.id for a in group.attempts if a.text and a.stop is not StopReason.FAILED}
        turned = [erring.turned(v) if v.about.attempt in said else v for v in found]
        return [replace(v, judge=f"wrong-{v.judge}") for v in turned]


@dataclass(frozen=True, kw_only=True)
class Misled:
    """An explorer that makes labels by asking the world, for whom its verifier errs as for `Wrong`.

    inner: the explorer; false_pass, false_fail: as there. The errors are its own: a judge who looks
    at the same attempts afterwards errs elsewhere.
    """

    inner: Any
    false_pass: float = 0.1
    false_fail: float = 0.0

    def __getattr__(self, name: str) -> Any:
        if name in _HEARS:
            return getattr(object.__getattribute__(self, "inner"), name)
        raise AttributeError(name)

    async def explore(self, ctx: Any, start: Start) -> Any:
        erring = _Erring(ctx, start.key, self.false_pass, self.false_fail, 1.0)
        return await self.inner.explore(erring, start)


class _Erring:
    """A judge's window on the run through which the world's verifier is seen to err."""

    def __init__(
        self, ctx: Any, group: str, false_pass: float, false_fail: float, right: float
    ) -> None:
        self._ctx, self._group, self._right = ctx, group, right
        self._rates = {False: false_pass, True: false_fail}
        self._times: dict[str, int] = {}  # how often a text was asked about
        self.num_asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    async def check(self, task: Task, answer: str) -> Checked:
        """As the context's, with errors."""
        self.num_asked += 1
        times = self._times[answer] = self._times.get(answer, 0) + 1
        found: Checked = await self._ctx.check(task, answer)
        is_right = found.score >= self._right
        if not self._errs(is_right, answer, times):
            return found
        return replace(found, score=float(not is_right), why="wrong" if is_right else "")

    def turned(self, verdict: Verdict) -> Verdict:
        """A whole attempt's verdict, turned where it is the wrong one's turn."""
        about, value = verdict.about, verdict.value
        if value is None or about.other or about.node >= 0:
            return verdict
        is_right = value >= self._right
        if not self._errs(is_right, about.attempt):
            return verdict
        return replace(verdict, value=float(not is_right))

    def _errs(self, is_right: bool, *place: object) -> bool:
        key = np.array([self._ctx.key("wrong", self._group, *place)], np.uint64)
        return bool(uniforms(key, np.zeros(1, np.int64))[0] < self._rates[is_right])


def _signed(verdict: Verdict) -> Verdict:
    """Nothing that errs is signed as the world's verifier."""
    if _PART.fullmatch(verdict.judge):
        return verdict
    return replace(verdict, judge=f"wrong-{verdict.judge}")


def with_wrong_judges(plan: Plan, false_pass: float = 0.0, false_fail: float = 0.0) -> Plan:
    """The plan with every judge of its phases wrong at these rates, and every explorer misled that
    says `asks_truth`.

    Raises ConfigError where nothing is judged.
    """
    phases, num = [], 0
    for phase in plan.phases:
        judge, explore = phase.parts.get("judge"), phase.parts.get("explore")
        rates = {"false_pass": false_pass, "false_fail": false_fail}
        if judge is not None:
            parts = {**phase.parts, "judge": Wrong(inner=judge, **rates)}
            if getattr(explore, "asks_truth", False):
                parts["explore"] = Misled(inner=explore, **rates)
            phase = replace(phase, parts=Parts(**parts))
            num += 1
        phases.append(phase)
    if not num:
        raise ConfigError(
            f"recipe {plan.recipe!r} has no judge that could be wrong",
            hint="leave false-pass and false-fail out",
        )
    return replace(plan, phases=tuple(phases))
