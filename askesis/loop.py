"""The loop: rounds made of seven verbs. Read this first.

    tasks     what to work on next
    explore   make attempts
    judge     say what they are worth
    select    turn them into training data
    learn     change the weights of a model
    measure   find out what really happened
    settle    decide what survives

`improve` runs a plan: phases of rounds, each round a function of verbs, each round committed
whole. `standard_round` is the order most recipes use; a recipe whose paper has another order
brings its own function of the same verbs. Nothing but a verb calls a stage: the verb names the
random stream, times and counts the call, records what came back, and wraps what failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from askesis.context import Context, Host, RoundView, Verdicts
from askesis.errors import AskesisError, StageError
from askesis.plan import Parts, Phase, Plan
from askesis.protocols import Metrics
from askesis.records import (
    About,
    Attempt,
    Group,
    Purpose,
    Sample,
    Start,
    StopReason,
    Verdict,
    VerdictKind,
)


class Run(Host, Protocol):
    """What the loop needs of a run (`askesis.run` implements it)."""

    states: dict[str, Any]  # slot -> committed state

    def rounds(self, phase: Phase) -> Iterable[Round]:
        """The rounds of a phase that are still to do, until it or the budget ends."""
        ...

    def enter(self, phase: Phase) -> bool:
        """Begin a phase unless a resumed run is already past it; whether to run it."""
        ...

    def leave(self, phase: Phase) -> None: ...

    def record(self, table: str, rows: Sequence[Any], round: int, phase: str) -> None: ...

    def error(self, round: int, stage: str, slot: str, task: str, message: str) -> None: ...

    def event(self, round: int, kind: str, data: Mapping[str, Any]) -> None: ...

    def stage_began(self, stage: str, slot: str, num_in: int) -> None: ...

    def stage_ended(
        self, stage: str, slot: str, seconds: float, num_out: int, metrics: Metrics
    ) -> None: ...

    def commit(self, rd: Round) -> None: ...


def improve(plan: Plan, run: Run) -> None:
    """Run a plan to its end, or to the end of its budget."""
    for phase in plan.phases:
        if not run.enter(phase):
            continue
        for rd in run.rounds(phase):
            (phase.round or standard_round)(rd, phase.parts)
            report = rd.measure(phase.measure) if rd.measure_due else None
            rd.settle(phase.retain, report)
            rd.observe()
            run.commit(rd)
        run.leave(phase)


def standard_round(rd: Round, p: Parts) -> None:
    """The default order: draw tasks, attempt them, judge, and learn each model in turn."""
    starts = rd.tasks(p.tasks)
    groups = rd.explore(p.explore, starts)
    verdicts = rd.judge(p.judge, groups)
    for model, learner in p.learn.items():  # in the order the recipe wrote them
        rd.learn(model, learner, rd.select(p.select[model], groups, verdicts))


class Round:
    """One round of one phase: the seven verbs, and what they produced so far (`view`).

    `index` counts from 0 over the whole run. Every verb takes `**inputs`: values the round hands
    to the part by name (`ctx.inputs`), for stages that need what another stage made.
    """

    def __init__(self, run: Run, phase: Phase, index: int, measure_due: bool = True) -> None:
        self.run, self.phase, self.index, self.measure_due = run, phase, index, measure_due
        self.view = RoundView(index, phase.name)
        self.seconds: dict[str, float] = {}
        self._slots = {id(part): slot for slot, part in reversed(list(phase.slots()))}
        self._calls: dict[str, int] = {}
        self._hooks = [part for slot, part in phase.slots() if slot.startswith("retain.")]

    # ------------------------------------------------------------ the verbs

    def tasks(self, part: Any, **inputs: Any) -> list[Start]:
        """What to work on next."""
        ctx = self._context("tasks", part, inputs, Purpose.PROBE)
        with self._stage(ctx, 0) as out:
            starts = list(part.draw(ctx))
            out(len(starts))
        self.view.starts.extend(starts)
        self.run.record("tasks", [s.task for s in starts], self.index, self.phase.name)
        return starts

    def explore(self, part: Any, starts: Sequence[Start], **inputs: Any) -> list[Group]:
        """Make attempts. A failed start is a group with one failed attempt, never an end."""
        ctx = self._context("explore", part, inputs, Purpose.TRAIN)
        groups: list[Group] = []
        with self._stage(ctx, len(starts)) as out:
            seen: dict[str, int] = {}
            wave: Sequence[Start] = starts
            while wave:
                wave = [_copy(start, seen) for start in wave]
                outcomes = ctx.run([_call(part.explore, ctx, start) for start in wave])
                self._all_failed(ctx, [o.error for o in outcomes], [s.task.id for s in wave])
                for start, outcome in zip(wave, outcomes, strict=True):
                    groups.append(self._group(ctx, start, outcome))
                wave = part.more(ctx, groups) if hasattr(part, "more") else ()
                if wave:
                    self.run.record("tasks", [s.task for s in wave], self.index, self.phase.name)
            attempts = [a for g in groups for a in g.attempts]
            self.run.record("attempts", attempts, self.index, self.phase.name)
            trees = [g.tree for g in groups if g.tree is not None]
            self.run.record("trees", trees, self.index, self.phase.name)
            self.run.meter.add("attempts", len(attempts))
            out(len(attempts))
        self.view.groups[ctx.slot] = groups
        return groups

    def judge(self, part: Any, groups: Sequence[Group], **inputs: Any) -> Verdicts:
        """Say what attempts are worth. A judge that fails on a group leaves it unknown."""
        ctx = self._context("judge", part, inputs, Purpose.JUDGE)
        found: list[Verdict] = []
        with self._stage(ctx, sum(len(g.attempts) for g in groups)) as out:
            outcomes = ctx.run([_call(part.judge, ctx, group) for group in groups])
            self._all_failed(ctx, [o.error for o in outcomes], [g.key for g in groups])
            for group, outcome in zip(groups, outcomes, strict=True):
                if outcome.error is None:
                    found.extend(outcome.value)
                else:
                    message = self._failed(ctx, group.key, outcome.error)
                    found.extend(_unknown(ctx.slot, a, message) for a in group.attempts)
            self.run.record("verdicts", found, self.index, self.phase.name)
            out(len(found))
        self.view.verdicts.extend(found)
        return Verdicts(found)

    def select(
        self, part: Any, groups: Sequence[Group], verdicts: Verdicts, **inputs: Any
    ) -> list[Sample]:
        """Turn attempts and verdicts into training samples for one model."""
        ctx = self._context("select", part, inputs, Purpose.PROBE)
        with self._stage(ctx, sum(len(g.attempts) for g in groups)) as out:
            samples = list(part.select(ctx, groups, verdicts))
            self.run.record("samples", samples, self.index, self.phase.name)
            if model := self._beside(part):
                told = {k.removeprefix("select/"): v for k, v in ctx.metrics.items()}
                ctx.metrics = {f"select/{model}/{k}": v for k, v in told.items()}
            out(len(samples))
        for sample in samples:
            self.view.samples.setdefault(sample.model, []).append(sample)
        return samples

    def learn(self, model: str, part: Any, samples: Sequence[Sample], **inputs: Any) -> Metrics:
        """Change the weights of one model; retainers mix their data in and hook the steps."""
        ctx = self._context("learn", part, inputs, Purpose.TRAIN)
        entry = self.run.models[model]
        hooks = []
        for hook in self._hooks:
            hook_ctx = self._context("retain", hook, {}, Purpose.TRAIN, again=False)
            hooks.append((hook, hook_ctx))
        with self._stage(ctx, len(samples)) as out:
            for hook, hook_ctx in hooks:
                if hasattr(hook, "mix"):
                    samples = hook.mix(hook_ctx, model, samples)
            self.run.shelf.learning(entry)
            metrics = dict(part.learn(ctx, entry, samples, hooks))
            if metrics.get("num_updates", 1):
                self.run.shelf.learnt(entry, self.index)
            ctx.metrics |= {f"learn/{model}/{k}": float(v) for k, v in metrics.items()}
            for _, hook_ctx in hooks:
                ctx.metrics |= hook_ctx.metrics
            out(len(samples))
        return metrics

    def measure(self, parts: Sequence[Any]) -> Metrics:
        """Find out what happened, on *train* and *decide* tasks; claim tasks are out of reach."""
        report: Metrics = {}
        for part in parts:
            ctx = self._context("measure", part, {}, Purpose.MEASURE)
            with self._stage(ctx, 0) as out:
                found = part.measure(ctx, self.view) or {}
                for key, value in found.items():
                    ctx.note(key, value)
                report |= ctx.metrics
                out(len(ctx.metrics))
        return report

    def settle(self, parts: Sequence[Any], report: Metrics | None) -> None:
        """Let the retainers decide what survives this round."""
        for part in parts:
            if hasattr(part, "settle"):
                ctx = self._context("retain", part, {}, Purpose.PROBE)
                with self._stage(ctx, 0) as out:
                    for key, value in (part.settle(ctx, self.view, report) or {}).items():
                        ctx.note(key, value)
                    out(len(ctx.metrics))

    def observe(self) -> None:
        """Every stateful part updates its state, in the order of its slots."""
        for slot, part in self.phase.slots():
            if hasattr(part, "observe"):
                ctx = self._context("observe", part, {}, Purpose.PROBE, again=False)
                self.run.states[slot] = part.observe(ctx, self.run.states.get(slot), self.view)

    def state_of(self, part: Any) -> Any:
        """What a stateful part knew when this round began, for a round that hands it to another
        part; that one reads it and changes nothing."""
        return self.run.states.get(self._slots[id(part)])

    # ------------------------------------------------------------ how a verb works

    def _beside(self, part: Any) -> str:
        """The model a selector is for, unless its figures have the plain names: those of "policy"
        have, or of the first model, where none is called that."""
        selectors = self.phase.parts.get("select")
        if not isinstance(selectors, Mapping):
            return ""
        plain = "policy" if "policy" in selectors else next(iter(selectors), "")
        return next((name for name, one in selectors.items() if one is part and name != plain), "")

    def _context(
        self, stage: str, part: Any, inputs: Mapping[str, Any], purpose: Purpose, again: bool = True
    ) -> Context:
        """A window for one call; the second call of a slot in a round gets its own stream."""
        slot = self._slots.get(id(part))
        if slot is None:
            kind = type(part).__name__
            raise AssertionError(f"{kind} is not a part of phase {self.phase.name!r}")
        call = slot
        if again:
            n = self._calls[slot] = self._calls.get(slot, 0) + 1
            call = slot if n == 1 else f"{slot}~{n}"
        return Context(
            self.run,
            round=self.index,
            phase=self.phase.name,
            stage=stage,
            slot=call,
            state=self.run.states.get(slot),
            purpose=purpose,
            inputs=inputs,
        )

    @contextmanager
    def _stage(self, ctx: Context, num_in: int) -> Any:
        """Time a call, tell the display, collect its metrics, wrap its failure once."""
        began = time.perf_counter()
        num_out = 0

        def out(n: int) -> None:
            nonlocal num_out
            num_out = n

        self.run.stage_began(ctx.stage, ctx.slot, num_in)
        try:
            yield out
        except AskesisError:
            raise
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            self.run.error(self.index, ctx.stage, ctx.slot, "", message)
            raise StageError(ctx.stage, ctx.slot, self.index, "", error) from error
        seconds = time.perf_counter() - began
        self.seconds[ctx.stage] = self.seconds.get(ctx.stage, 0.0) + seconds
        self.view.metrics |= ctx.metrics
        for kind, data in ctx.events:
            self.run.event(self.index, kind, data)
        if ctx.audits:
            self.run.record("audits", ctx.audits, self.index, self.phase.name)
        self.run.stage_ended(ctx.stage, ctx.slot, seconds, num_out, ctx.metrics)

    def _group(self, ctx: Context, start: Start, outcome: Any) -> Group:
        if outcome.error is None:
            value = outcome.value
            return value if isinstance(value, Group) else Group(start.key, tuple(value))
        message = self._failed(ctx, start.task.id, outcome.error)
        failed = Attempt(
            ctx.attempt_id(start, 0),
            start,
            (),
            StopReason.FAILED,
            error=message,
            purpose=Purpose.TRAIN,
        )
        return Group(start.key, (failed,))

    def _failed(self, ctx: Context, task: str, error: Exception) -> str:
        message = f"{type(error).__name__}: {error}"
        self.run.error(self.index, ctx.stage, ctx.slot, task, message)
        return message

    def _all_failed(self, ctx: Context, errors: list[Exception | None], tasks: list[str]) -> None:
        """When every coroutine of a call failed it is the part or the configuration."""
        if errors and all(errors):
            first = errors[0]
            assert first is not None
            self._failed(ctx, tasks[0], first)
            if isinstance(first, AskesisError):
                raise first
            raise StageError(ctx.stage, ctx.slot, self.index, tasks[0], first) from first


def _call(method: Callable[..., Any], ctx: Context, item: Any) -> Callable[[], Any]:
    return lambda: method(ctx, item)


def _copy(start: Start, seen: dict[str, int]) -> Start:
    """The start itself, or its next copy where the round has an equal one already."""
    n = seen[start.key] = seen.get(start.key, -1) + 1
    return replace(start, copy=n) if n else start


def _unknown(slot: str, attempt: Attempt, why: str) -> Verdict:
    return Verdict(slot, About(attempt.id), VerdictKind.OUTCOME, None, rationale=why)
