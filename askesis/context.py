"""What a part can reach while it works, and nothing else.

The loop makes one `Context` per call of a verb. Everything random is named by it, everything
said is counted by it, and a part that is handed a context cannot reach the store, the claim
tasks or another stage.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from askesis.driver import Outcome
from askesis.records import (
    Attempt,
    Group,
    Purpose,
    Sample,
    Start,
    Task,
    TaskRole,
    Turn,
    Verdict,
)
from askesis.requests import Act, Check, Sampling, Say, Score, Step, Value
from askesis.rng import Streams


class Host(Protocol):
    """What the run offers to contexts (see `askesis.run`)."""

    streams: Streams
    worlds: Mapping[str, Any]
    models: Mapping[str, Any]
    shelf: Any
    meter: Any
    speakers: Any

    def drive(self, makers: Iterable[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Outcome]: ...


class Verdicts:
    """The verdicts of a round by what they are about, in the order they were said."""

    def __init__(self, verdicts: Iterable[Verdict] = ()) -> None:
        self._all: list[Verdict] = []
        self._about: dict[str, list[Verdict]] = {}
        self.extend(verdicts)

    def extend(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self._all.append(verdict)
            self._about.setdefault(verdict.about.attempt, []).append(verdict)

    def of(self, attempt: Attempt | str, *, judge: str = "", kind: str = "") -> list[Verdict]:
        """Verdicts about an attempt, of one judge (id without version will do) or kind."""
        name = attempt if isinstance(attempt, str) else attempt.id
        found = self._about.get(name, [])
        if judge:
            found = [v for v in found if v.judge == judge or v.judge.startswith(f"{judge}-v")]
        if kind:
            found = [v for v in found if v.kind == kind]
        return found

    def value(
        self,
        attempt: Attempt | str,
        default: float | None = None,
        *,
        judge: str = "",
        role: str = "",
    ) -> float | None:
        """The last known whole-attempt value; `default` where no judge knows."""
        for verdict in reversed(self.of(attempt, judge=judge)):
            about = verdict.about
            if about.other or about.node >= 0 or (role and about.role != role):
                continue
            if verdict.value is not None:
                return verdict.value
        return default

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


@dataclass
class RoundView:
    """Everything a round produced, for parts that observe or measure it.

    `groups` by the slot that explored them; `samples` by model; `metrics` so far.
    """

    index: int
    phase: str
    starts: list[Start] = field(default_factory=list)
    groups: dict[str, list[Group]] = field(default_factory=dict)
    verdicts: Verdicts = field(default_factory=Verdicts)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def all_groups(self) -> list[Group]:
        return [g for groups in self.groups.values() for g in groups]


class Context:
    """One part's window on the run, for one call of a verb.

    round counts from 0 over the whole run; slot is the part's dotted place in the phase; state
    is the part's own committed state (None for parts without one); inputs are what the round
    handed over by name.
    """

    def __init__(
        self,
        host: Host,
        *,
        round: int,
        phase: str,
        stage: str,
        slot: str,
        state: Any = None,
        purpose: Purpose = Purpose.TRAIN,
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        self._host = host
        self.round, self.phase, self.stage, self.slot = round, phase, stage, slot
        self.state, self.purpose = state, purpose
        self.inputs = dict(inputs or {})
        self.metrics: dict[str, float] = {}
        self.errors: list[tuple[str, str]] = []  # (task id, message)
        self.events: list[tuple[str, dict[str, Any]]] = []  # (kind, data)
        self.audits: list[Verdict] = []  # what the truth says: to a table that no stage can open

    # ------------------------------------------------------------ randomness

    def key(self, *place: object) -> int:
        """A 64-bit key for a place within this round and slot."""
        return self._host.streams.key(self.phase, self.round, self.slot, *place)

    def generator(self, *place: object) -> np.random.Generator:
        """A generator for a place within this round and slot."""
        return self._host.streams.generator(self.phase, self.round, self.slot, *place)

    # ------------------------------------------------------------ what there is

    @property
    def worlds(self) -> Mapping[str, Any]:
        return self._host.worlds

    @property
    def models(self) -> Mapping[str, Any]:
        return self._host.models

    @property
    def shelf(self) -> Any:
        """Pinned snapshots by model and tag (`askesis.models.shelf`)."""
        return self._host.shelf

    @property
    def meter(self) -> Any:
        return self._host.meter

    def world(self, name: str = "main") -> Any:
        return self._host.worlds[name]

    def world_of(self, task: Task) -> Any:
        """The world a task came from."""
        for world in self._host.worlds.values():
            if world.id == task.family:
                return world
        raise LookupError(f"no world of this run makes {task.family} tasks")

    def render(self, role: str, start: Start, turns: Sequence[Turn] = ()) -> np.ndarray:
        """What `role` would read at this point, as token ids."""
        return self._host.speakers.render(role, start, turns)

    def end_token(self, role: str) -> int:
        return self._host.speakers.end_token(role)

    def encode(self, role: str, text: str) -> np.ndarray:
        """Token ids of `text` as `role` would write it, without an end token."""
        return self._host.speakers.encode(role, text)

    def decode(self, role: str, tokens: np.ndarray) -> str:
        """The text of token ids as `role` would write them; marks are left out."""
        return self._host.speakers.decode(role, tokens)  # type: ignore[no-any-return]

    def capabilities(self, role: str) -> frozenset[str]:
        """What the engine of a role can do (`askesis.protocols.Engine`)."""
        return frozenset(self._host.speakers.capabilities(role))

    def snapshot(self, model: str) -> str:
        """The id of the weights a model has now."""
        return self._host.shelf.current(model)

    # ------------------------------------------------------------ requests

    def say(
        self,
        role: str,
        start: Start,
        turns: Sequence[Turn] = (),
        *,
        attempt: int = 0,
        draw: int = 0,
        snapshot: str = "",
        sampling: Sampling | None = None,
        **options: Any,
    ) -> Say:
        """Ask `role` for the next turn. `attempt` and `draw` name the noise.

        Sampling options (temperature, top_p, max_tokens, stop, ...) can be given by name.
        """
        if sampling is None:
            sampling = Sampling(**options)
        key = self.key(start.key, role, attempt, len(turns), draw)
        return Say(role, start, tuple(turns), sampling, key, self.purpose, snapshot)

    def score(
        self, role: str, start: Start, turns: Sequence[Turn], target: Turn, snapshot: str = ""
    ) -> Score:
        return Score(role, start, tuple(turns), target, self.purpose, snapshot)

    def value(self, role: str, start: Start, turns: Sequence[Turn] = ()) -> Value:
        return Value(role, start, tuple(turns), self.purpose)

    def act(
        self,
        role: str,
        observation: np.ndarray,
        *place: object,
        legal: np.ndarray | None = None,
        temperature: float = 1.0,
        snapshot: str = "",
    ) -> Act:
        """Ask `role` for an action; `place` names the noise (attempt, step, ...)."""
        key = self.key(role, *place)
        return Act(role, observation, key, legal, temperature, self.purpose, snapshot)

    def step(self, task: Task, state: Any, action: Any, seat: int = 0) -> Step:
        return Step(self.world_of(task), task, state, action, seat)

    def check(self, task: Task, answer: str) -> Check:
        return Check(self.world_of(task), task, answer)

    # ------------------------------------------------------------ running and recording

    def run(self, makers: Iterable[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Outcome]:
        """Run coroutines through the driver, for stages that are not coroutines themselves."""
        return self._host.drive(makers)

    def note(self, key: str, value: float) -> None:
        """Record a metric of this round under `stage/key`."""
        self.metrics[f"{self.stage}/{key}"] = float(value)

    def tell(self, kind: str, **data: Any) -> None:
        """Record an event of this round, with plain values, for the ledger and the displays."""
        self.events.append((kind, data))

    def attempt_id(self, start: Start, index: int) -> str:
        """The id of the index-th attempt at a start in this call."""
        return f"{self.round}.{self.slot}/{start.key}#{index}"

    def draw(
        self,
        role: TaskRole,
        num: int,
        *,
        world: str = "main",
        difficulty: float | None = None,
        place: object = "tasks",
    ) -> list[Task]:
        """Fresh tasks of a world from this slot's own stream."""
        return self.world(world).draw(role, self.generator(place), num, difficulty)
