"""A run: a plan brought to life beside its run directory.

Loads worlds and models, connects roles to engines, hands the loop its rounds, and commits them.
What survives a kill is exactly what `commit` wrote: rounds are provisional until their segment
is closed, and a resumed run continues from the last closed segment to the same bits.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from askesis import loop
from askesis.budget import Meter
from askesis.config import Watch, differences, from_tree, to_tree
from askesis.context import Context
from askesis.driver import Driver, Outcome
from askesis.engines.open import open_engine
from askesis.errors import ConfigError, RunError
from askesis.learn.divergence import LearningDiverged
from askesis.loop import Round
from askesis.measure.alarms.alarm import Alarm
from askesis.measure.alarms.monitor import Monitor, open_alarms, rows_of
from askesis.models.shelf import MOVING_TAGS, Shelf
from askesis.plan import Phase, Plan
from askesis.protocols import Metrics
from askesis.records import Purpose, Start
from askesis.rng import Streams
from askesis.speakers import Speakers
from askesis.store.run_store import RunStore

COLLECT_EVERY_S = 20.0
KEPT_TAG = "best"  # weights pinned under it are written out as snapshots
MEASURED_SHARE = 0.1  # measuring stays below this share of generated tokens


class Watcher:
    """Hears what a run does, for displays and trackers. Every method may be left as it is."""

    def run_began(self, run: Run) -> None: ...

    def stage_began(self, stage: str, slot: str, num_in: int) -> None: ...

    def stage_ended(
        self, stage: str, slot: str, seconds: float, num_out: int, metrics: Metrics
    ) -> None: ...

    def failed(self, stage: str, slot: str, task: str, message: str) -> None: ...

    def round_ended(self, rd: Round, metrics: Metrics) -> None: ...

    def alarmed(self, alarm: Alarm) -> None: ...

    def said(self, message: str) -> None: ...

    def run_ended(self, reason: str) -> None: ...


@dataclass
class Position:
    """Where a run is: the phase, its finished rounds, and all finished rounds."""

    phase: int = 0
    in_phase: int = 0
    total: int = 0


class Run:
    """Implements what `askesis.loop` needs of a run. Make one with `create` or `resume`.

    segment_s: seconds after which the next committed round closes a segment (0: every round).
    segments: close one whenever so many-th part of the budget is spent (0: by seconds alone), so
    that snapshots come after the same rounds on every machine.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        worlds: Mapping[str, Any],
        models: Mapping[str, Any],
        *,
        watchers: Sequence[Watcher] = (),
        segment_s: float = 60.0,
        segments: int = 0,
        max_running: int = 4096,
    ) -> None:
        self.plan, self.store, self.worlds, self.models = plan, store, worlds, models
        self.watchers, self.segment_s = list(watchers), segment_s
        self.segments = segments
        self.streams = Streams(plan.seed)
        self.meter = Meter()
        self.shelf = Shelf(models, wanted_tags(plan))
        self.speakers = Speakers(
            plan.roles, models, self.shelf, self.meter, open_engine, self._allowance
        )
        self.driver = Driver(self.speakers.servers(), max_running)
        self.states: dict[str, Any] = {}
        self.owners: dict[str, str] = {}  # slot -> class of the part whose state it holds
        self.position = Position()
        self.best: dict[str, tuple[float, int]] = {}  # plateau metric -> (best, measured ago)
        self.stopped = ""
        self.seconds_before = 0.0
        self._began = self._segment_began = time.monotonic()
        self._committed = dict(self.meter.counts)
        self._closed_at: dict[str, int] | None = None
        self._closed_share = 0.0  # of the budget
        self._collected = time.monotonic()
        self._last_good: int | None = None  # where learning diverged: rounds that are kept
        self.monitor = Monitor(open_alarms(plan.alarms))
        self._check_capabilities()
        self._check_columns()

    # ------------------------------------------------------------ making one

    @classmethod
    def create(
        cls,
        plan: Plan,
        path: Path,
        worlds: Mapping[str, Any],
        models: Mapping[str, Any],
        *,
        manifest: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Run:
        """Begin a run in an empty directory; its first segment holds the first weights."""
        store = RunStore.create(path, config=to_tree(plan), manifest=dict(manifest or {}))
        try:
            run = cls(plan, store, worlds, models, **options)
            run._close_segment()
        except BaseException:
            store.close()
            raise
        return run

    @classmethod
    def resume(
        cls,
        path: Path,
        worlds: Mapping[str, Any],
        models: Mapping[str, Any],
        plan: Plan | None = None,
        **options: Any,
    ) -> Run:
        """Continue a run from its last closed segment.

        Raises RunError where the directory is no run or another plan is given: that is a fork.
        """
        store = RunStore.open(path, write=True)
        try:
            stored = from_tree(store.config)
            if plan is not None and (changed := differences(store.config, to_tree(plan))):
                raise RunError(
                    f"{path} was begun with another configuration",
                    found="; ".join(changed[:5]),
                    hint=f"askesis fork {path} --at ROUND --set ... begins a run that differs",
                )
            point = store.resume_point()
            store.rollback()
            run = cls(stored, store, worlds, models, **options)
            if point is None:  # killed before its first commit: it begins again
                run._close_segment()
            else:
                run._restore(point)
        except BaseException:
            store.close()
            raise
        return run

    def improve(self) -> str:
        """Run to the end of the plan or the budget; returns why it stopped.

        Raises LearningDiverged where learning ran away; the run then ends with a closed segment
        that holds the weights from before that round.
        """
        for watcher in self.watchers:
            watcher.run_began(self)
        try:
            if not self.stopped:
                with _rare_collections():
                    self._improve()
                self.stopped = self.stopped or "the plan is done"
                self._close_segment()
        finally:
            for watcher in self.watchers:
                watcher.run_ended(self.stopped)
        return self.stopped

    def _improve(self) -> None:
        """The plan, or, where learning diverges, all rounds before that one.

        The last good weights are nowhere but in the last closed segment, so the run goes back there
        and makes the rounds since then once more: the same ones where the engine is replayable.
        """
        error: LearningDiverged | None = None
        while True:
            try:
                loop.improve(self.plan, self)
                break
            except LearningDiverged as found:
                error, self._last_good = found, self.position.total
            self._go_back()
            if self.position.total == self._last_good:
                self._stop(f"the learning of model {error.model!r} diverged", self._last_good)
                self._closed_at = None  # the reason belongs to a segment
                self._close_segment()
                break
            for watcher in self.watchers:
                watcher.said(
                    f"the learning of model {error.model!r} diverged in round "
                    f"{self._last_good + 1}; rounds {self.position.total + 1} to "
                    f"{self._last_good} are made again, to keep the last good weights"
                )
        if error is None or self.position.total != self._last_good:
            return  # the second time something else ended it before
        kept = ", ".join(self.shelf.current(m.name) for m in self.models.values() if m.trainable)
        rate = "RATE" if error.learning_rate is None else f"{error.learning_rate:.2g}"
        raise LearningDiverged(
            error.model,
            error.found,
            error.learning_rate,
            kept=f"the run ends after round {self._last_good} with the last good snapshot, {kept}",
            hint=f"Lower the rate: askesis fork {self.store.path} --at {self._last_good} "
            f"--set learn.{error.model}.learning-rate={rate}",
        ) from error

    def _go_back(self) -> None:
        """Back to the last closed segment, as a run that was killed resumes."""
        path = self.store.path
        self.store.close()
        self.store = RunStore.open(path, write=True)
        point = self.store.resume_point()
        self.store.rollback()
        self.speakers.clear()
        self._restore(point)
        self._began = self._segment_began = time.monotonic()

    def close(self) -> None:
        self.speakers.close()
        self.store.close()

    # ------------------------------------------------------------ what the loop asks for

    def enter(self, phase: Phase) -> bool:
        """Begin a phase, unless this run is past it or in the middle of it."""
        index = next(i for i, p in enumerate(self.plan.phases) if p is phase)
        if index < self.position.phase or self.stopped:
            return False
        if self.position.in_phase == 0:
            for model, tag in phase.start.items():
                if tag != "continue":
                    self.shelf.restore(self.models[model], tag)
            for model in self.models.values():
                if "optimizer" in phase.reset:
                    model.load_optimizer(None)
            self.shelf.phase_started()
            self._init_states(phase)
            self._hear(phase, "on_phase_start")
            self.store.event("phase_started", self.position.total, name=phase.name)
        return True

    def rounds(self, phase: Phase) -> Iterator[Round]:
        """Rounds until the phase's end, its plateau, or the budget.

        An option that nothing read is an error after the first round that selected something
        (before that, what only matters to samples has had no occasion to be read).
        """
        slots = list(phase.slots())
        selects = any(slot.startswith("select") for slot, _ in slots)
        watch = Watch(slots) if self.position.in_phase == 0 else None
        try:
            while not self.stopped and not self._phase_ended(phase):
                self.speakers.clear()
                rd = Round(self, phase, self.position.total, self._measure_due(phase))
                yield rd
                if watch is not None and (rd.view.samples or not selects):
                    unread, watch = watch.stop(), None
                    if unread:
                        raise ConfigError(
                            f"nothing read the option {unread[0]!r} in the first round of phase "
                            f"{phase.name!r}",
                            hint="remove it, or mark its field lazy if it matters only sometimes",
                        )
        finally:
            if watch is not None:
                watch.stop()

    def leave(self, phase: Phase) -> None:
        """End a phase: parts hear it, and the next one begins from a closed segment."""
        if self.stopped:
            return
        self._close_segment()  # so that a fork from here can still lengthen the phase
        self._hear(phase, "on_phase_end")
        self.store.event("phase_ended", self.position.total, name=phase.name)
        self.position.phase, self.position.in_phase = self.position.phase + 1, 0
        self.best.clear()
        self._close_segment()

    def record(self, table: str, rows: Sequence[Any], round: int, phase: str) -> None:
        self.store.append(table, rows, round=round, phase=phase)

    def error(self, round: int, stage: str, slot: str, task: str, message: str) -> None:
        self.store.error(round, stage, slot, task, message)
        for watcher in self.watchers:
            watcher.failed(stage, slot, task, message)

    def event(self, round: int, kind: str, data: Mapping[str, Any]) -> None:
        self.store.event(kind, round, **data)

    def drive(self, makers: Iterable[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Outcome]:
        return self.driver.run(makers)

    def stage_began(self, stage: str, slot: str, num_in: int) -> None:
        for watcher in self.watchers:
            watcher.stage_began(stage, slot, num_in)

    def stage_ended(
        self, stage: str, slot: str, seconds: float, num_out: int, metrics: Metrics
    ) -> None:
        for watcher in self.watchers:
            watcher.stage_ended(stage, slot, seconds, num_out, metrics)

    def commit(self, rd: Round) -> None:
        """Commit a round: metrics, costs and rows now, states and weights with the segment."""
        self.position.in_phase += 1
        self.position.total += 1
        metrics = dict(rd.view.metrics)
        self._follow_plateau(rd.phase, metrics)
        spent = self.meter.spent(self.plan.budget, self.seconds)
        if not spent and self.position.total == self._last_good:
            spent = "the learning diverged in the next round"
        if spent:
            self._stop(spent, rd.index)
        costs = self.meter.since(self._committed)
        self._committed = dict(self.meter.counts)
        alarms = self.monitor.add(rd.index, rd.phase.name, metrics)
        for alarm in alarms:
            self.store.event("alarm", rd.index, **alarm.plain())
        snapshots = {name: self.shelf.current(name) for name in self.models}
        self.store.commit_round(
            rd.index,
            rd.phase.name,
            metrics=metrics,
            costs=costs,
            seconds=rd.seconds,
            note={"snapshots": snapshots},
        )
        for watcher in self.watchers:
            watcher.round_ended(rd, metrics)
            for alarm in alarms:
                watcher.alarmed(alarm)
        if self.stopped or self._segment_full():
            self._close_segment()
        if time.monotonic() - self._collected >= COLLECT_EVERY_S:
            gc.collect()
            self._collected = time.monotonic()

    def _stop(self, why: str, round: int) -> None:
        self.stopped = why
        self.store.event("stopped", round, why=why)

    @property
    def seconds(self) -> float:
        """Wall time of this run, over all its resumptions, up to now."""
        return self.seconds_before + time.monotonic() - self._began

    # ------------------------------------------------------------ segments

    def _segment_full(self) -> bool:
        if time.monotonic() - self._segment_began >= self.segment_s:
            return True
        share = self.meter.share(self.plan.budget, self.seconds)
        return int(share * self.segments) > int(self._closed_share * self.segments)

    def _close_segment(self) -> None:
        """Make all committed rounds durable; nothing to do where none was since the last one."""
        if self._closed_at == vars(self.position):
            return
        saved = {
            self.shelf.current(name): model.save
            for name, model in self.models.items()
            if model.trainable
        }
        for model, tag in self.shelf.pins:
            if tag == KEPT_TAG:  # the best may be older than the segment's last weights
                save = partial(self.shelf.save_pinned, model, tag)
                saved.setdefault(self.shelf.find(model, tag), save)
        self.store.close_segment(
            self.position.total - 1,
            states={"parts": self.states, "owners": self.owners},
            save_models=self._save_models,
            snapshots=saved,
            counters={
                "position": vars(self.position).copy(),
                "meter": dict(self.meter.counts),
                "stopped": self.stopped,
                "seconds": self.seconds,
                "best": {k: list(v) for k, v in self.best.items()},
                "lineage": [
                    [s.id, s.model, s.round, list(s.parents), list(s.tags)] for s in self.shelf.log
                ],
            },
            tags={f"{model}:{tag}": pin[0] for (model, tag), pin in self.shelf.pins.items()},
        )
        self.shelf.log.clear()
        self._closed_at = vars(self.position).copy()
        self._closed_share = self.meter.share(self.plan.budget, self.seconds)
        self._segment_began = time.monotonic()

    def _save_models(self, directory: Path) -> None:
        for name, model in self.models.items():
            model.save_state(directory / name)
        self.shelf.save(directory / "shelf")

    def _restore(self, point: Any) -> None:
        for name, model in self.models.items():
            model.load_state(point.models / name)
        self.shelf.load(point.models / "shelf")
        self.states, self.owners = point.states["parts"], point.states["owners"]
        counters = point.counters
        self.position = Position(**counters["position"])
        self.meter.counts.clear()
        self.meter.counts.update(counters["meter"])
        self._committed = dict(self.meter.counts)
        self.seconds_before = float(counters["seconds"])
        self.best = {k: (v[0], int(v[1])) for k, v in counters["best"].items()}
        self.stopped = self.meter.spent(self.plan.budget, self.seconds)  # a fork may have more
        self._closed_at = vars(self.position).copy()
        self._closed_share = self.meter.share(self.plan.budget, self.seconds)
        self.monitor = Monitor(self.monitor.alarms)
        self.monitor.resume(rows_of(self.store.metrics(), self.store.rounds()))

    # ------------------------------------------------------------ phases

    def _init_states(self, phase: Phase) -> None:
        """First states for parts that are new, of another class, or reset by the phase."""
        for slot, part in phase.slots():
            if not hasattr(part, "init"):
                continue
            owner = type(part).__qualname__
            if slot in self.states and self.owners.get(slot) == owner and slot not in phase.reset:
                continue
            ctx = self._context(phase, "init", slot)
            self.states[slot], self.owners[slot] = part.init(ctx), owner

    def _hear(self, phase: Phase, event: str) -> None:
        """Tell every part that listens; what it returns, if anything, is its new state."""
        for slot, part in phase.slots():
            if hasattr(part, event):
                state = getattr(part, event)(self._context(phase, event, slot))
                if state is not None:
                    self.states[slot], self.owners[slot] = state, type(part).__qualname__

    def _context(self, phase: Phase, stage: str, slot: str) -> Context:
        return Context(
            self,
            round=self.position.total,
            phase=phase.name,
            stage=stage,
            slot=slot,
            state=self.states.get(slot),
            purpose=Purpose.PROBE,
        )

    def _phase_ended(self, phase: Phase) -> bool:
        until = phase.until
        if until.rounds is not None and self.position.in_phase >= until.rounds:
            return True
        if until.plateau and until.plateau in self.best:
            return self.best[until.plateau][1] >= until.patience
        return False

    def _follow_plateau(self, phase: Phase, metrics: Metrics) -> None:
        key = phase.until.plateau
        if key and key in metrics:
            best, ago = self.best.get(key, (float("-inf"), 0))
            self.best[key] = (metrics[key], 0) if metrics[key] > best else (best, ago + 1)

    def _measure_due(self, phase: Phase) -> bool:
        """Every so many rounds; with 0, whenever measuring is below its share of the tokens."""
        if not phase.measure:
            return False
        if phase.measure_every:
            return self.position.in_phase % phase.measure_every == 0
        return self.meter.measure_tokens <= MEASURED_SHARE * self.meter.budget_tokens

    # ------------------------------------------------------------ checks

    def _allowance(self, start: Start) -> int:
        for world in self.worlds.values():
            if world.id == start.task.family:
                return int(world.max_answer_tokens)
        return 256

    def _check_capabilities(self) -> None:
        """A recipe that needs what an engine lacks is refused before round 0."""
        for role in self.plan.roles:
            needs = [need.rpartition(".") for need in self.plan.needs]
            wanted = {what for whose, _, what in needs if whose in ("", role)}
            missing = wanted - set(self.speakers.capabilities(role))
            if missing:
                engine = self.speakers.voice(role).engine.name
                raise ConfigError(
                    f"recipe {self.plan.recipe!r} needs {', '.join(sorted(missing))}, which "
                    f"engine {engine!r} of role {role!r} does not have",
                    hint="choose another with --engine",
                )

    def _check_columns(self) -> None:
        """A learner that needs what its selector does not make is refused before round 0.

        Parts that do not say what they need or make are taken at their word, and so is a round of
        a recipe's own, which may hand a learner other samples.
        """
        for phase in (p for p in self.plan.phases if p.round is None):
            slots = dict(phase.slots())
            for slot, learner in slots.items():
                stage, _, model = slot.partition(".")
                selector = slots.get(f"select.{model}")
                if stage == "learn" and hasattr(learner, "check") and hasattr(selector, "makes"):
                    learner.check(model, selector)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Records hold no cycles, so they are freed without the collector; searching hundreds of
    thousands of them for cycles over and over cost a tenth of a large round. `commit` collects
    every few seconds instead."""
    was_enabled = gc.isenabled()
    gc.disable()
    gc.freeze()  # what the libraries made at import is searched no more
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def wanted_tags(plan: Plan) -> set[tuple[str, str]]:
    """Which moving tags (base, previous, phase_start) a plan refers to, per model."""
    found: set[tuple[str, str]] = set()
    for spec in plan.roles.values():
        if spec.snapshot in MOVING_TAGS:
            found.add((spec.model, spec.snapshot))
    for phase in plan.phases:
        for model, tag in phase.start.items():
            if tag in MOVING_TAGS:
                found.add((model, tag))
        for slot, part in phase.slots():
            tags = [getattr(part, name, "") for name in ("start", "reference", "snapshot")]
            tags += getattr(part, "snapshots", ())
            model = slot.partition(".")[2]
            for tag in tags:
                if tag in MOVING_TAGS:
                    names = [model] if model in plan.models else list(plan.models)
                    found.update((name, tag) for name in names)
    return found
