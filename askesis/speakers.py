"""Who speaks: from roles to models, snapshots and engines.

Two tables meet here. A request names a role; the role names a model and perhaps a pinned
snapshot; an engine speaks for exactly one set of weights. Requests of one kind arrive as one
batch from the driver, are split by weights, and go to the engines full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from askesis.errors import AskesisError, ConfigError, nearest
from askesis.plan import RoleSpec
from askesis.records import Start, StopReason, Turn
from askesis.requests import (
    Act,
    Check,
    Hidden,
    ReadTokens,
    Request,
    Sampling,
    Say,
    SayTokens,
    Score,
    ScoreTokens,
    Step,
    Value,
)

KEPT = 8  # sets of pinned weights that are kept ready for one model


@dataclass(frozen=True, slots=True)
class Voice:
    """An engine, the set of its weights that speaks, and the id of the snapshot it is."""

    engine: Any
    weights: str
    snapshot: str


class Speakers:
    """Serves speaking requests for the roles of a run.

    open_engine(engine name, model) -> Engine. max_tokens is the allowance where neither the
    explorer nor the role gives one.
    """

    def __init__(
        self,
        roles: Mapping[str, RoleSpec],
        models: Mapping[str, Any],
        shelf: Any,
        meter: Any,
        open_engine: Callable[[str, Any], Any],
        allowance: Callable[[Start], int] = lambda start: 256,
    ) -> None:
        for role, spec in roles.items():
            for other in spec.mixture:
                if other not in roles:
                    raise ConfigError(
                        f"role {role!r} mixes role {other!r}, which does not exist",
                        hint=nearest(other, roles),
                    )
            if spec.model not in models:
                raise ConfigError(
                    f"role {role!r} is bound to model {spec.model!r}, which does not exist",
                    hint=nearest(spec.model, models),
                )
        self.roles, self.models, self.shelf, self.meter = dict(roles), models, shelf, meter
        self.open_engine, self.allowance = open_engine, allowance
        self.engines: dict[tuple[str, str, str], Any] = {}  # (engine, model, pinned id or "")
        self._names: dict[int, dict[str, str]] = {}  # of an engine: named weights -> model
        self._sizes: dict[str, int] = {}
        self._rendered: tuple[Any, np.ndarray] | None = None
        self._allowed: tuple[Sampling, str, Sampling] | None = None

    def servers(self) -> dict[type[Request], Callable[[list[Any]], Sequence[Any]]]:
        """What the driver needs: a server for every kind of speaking request."""
        return {
            Say: self.say,
            Score: self.score,
            Value: self.value,
            Hidden: self.hidden,
            Act: self.act,
            Step: step,
            Check: check,
        }

    # ------------------------------------------------------------ tables

    def role(self, role: str) -> RoleSpec:
        if role not in self.roles:
            raise ConfigError(
                f"there is no role {role!r} in this run", hint=nearest(role, self.roles)
            )
        return self.roles[role]

    def model(self, role: str) -> Any:
        return self.models[self.role(role).model]

    def _size(self, role: str) -> int:
        """Parameters of the model behind a role; 0 where nobody knows."""
        name = self.role(role).model
        if name not in self._sizes:
            self._sizes[name] = int(getattr(self.models[name], "num_parameters", 0))
        return self._sizes[name]

    def render(self, role: str, start: Start, turns: Sequence[Turn] = ()) -> np.ndarray:
        """What `role` reads, as token ids; the last rendering without turns is remembered,
        because k attempts at one start ask for the same one.

        After an open turn (`StopReason.OPEN`) it is what that turn's speaker read and has said so
        far, to the token, for whoever speaks the same tokens.
        """
        renderer = self.model(role).renderer
        if turns and turns[-1].stop is StopReason.OPEN:
            open_turn = turns[-1]
            return np.concatenate([open_turn.context, open_turn.tokens]).astype(np.int32)
        if turns:
            return renderer.render(start, turns, role)
        known = self._rendered
        if known is not None and known[0][0] is start and known[0][1] == role:
            return known[1]
        tokens = renderer.render(start, (), role)
        self._rendered = ((start, role), tokens)
        return tokens

    def encode(self, role: str, text: str) -> np.ndarray:
        return self.model(role).renderer.encode(text)

    def decode(self, role: str, tokens: np.ndarray) -> str:
        return str(self.model(role).renderer.decode(tokens))

    def end_token(self, role: str) -> int:
        return self.model(role).renderer.end_token

    def voice(self, role: str, snapshot: str = "") -> Voice:
        """The engine that speaks for a role under a snapshot, opened where it is not yet."""
        spec = self.role(role)
        if spec.mixture:
            return self._mixture(role, spec)
        model = self.models[spec.model]
        found = self.shelf.find(spec.model, snapshot or spec.snapshot)
        pinned = found != self.shelf.current(spec.model)
        base = getattr(model, "base_id", spec.model)
        shared = self.engines.get((spec.engine, base, ""))
        if shared is None:
            shared = self._open(spec.engine, self.models.get(base, model))
            self.engines[spec.engine, base, ""] = shared
        if "named_weights" in shared.capabilities:
            name = "" if base == spec.model and not pinned else found if pinned else spec.model
            self._name(shared, spec.model, name, pinned)
            return Voice(shared, name, found)
        if not pinned and base == spec.model:
            return Voice(shared, "", found)
        place = (spec.engine, spec.model, found if pinned else "")
        if place not in self.engines:
            engine = self._open(spec.engine, model)
            if pinned:
                self._forget_pinned(spec.model)
                engine.load(self.shelf.weights(spec.model, found))
            self.engines[place] = engine
        return Voice(self.engines[place], "", found)

    def _open(self, engine: str, model: Any) -> Any:
        return self.open_engine(engine, model)

    def _name(self, engine: Any, model: str, name: str, pinned: bool) -> None:
        """Make sure that an engine which holds several sets of weights has this one."""
        names = self._names.setdefault(id(engine), {})
        if not name or name in names:
            return
        if pinned:
            old = [n for n, of in names.items() if of == model and n != model]
            for gone in old[: max(0, len(old) - KEPT + 1)]:
                engine.drop(gone)
                del names[gone]
            engine.load(self.shelf.weights(model, name), name)
        else:
            engine.attach(self.models[model], name)
        names[name] = model

    def _mixture(self, role: str, spec: RoleSpec) -> Voice:
        """A speaker composed of other roles' models, at their coefficients."""
        members, names = [], []
        for other, coefficient in spec.mixture.items():
            part = self.role(other)
            if part.mixture:
                raise ConfigError(f"role {role!r} mixes role {other!r}, which is a mixture itself")
            found = self.shelf.find(part.model, part.snapshot)
            pinned = found != self.shelf.current(part.model)
            weights = self.shelf.weights(part.model, found) if pinned else None
            members.append((float(coefficient), self.models[part.model], weights))
            names.append((coefficient, other, found if pinned else ""))
        place = (spec.engine, f"mixture {role}", repr(names))
        snapshot = "+".join(
            f"{c:g}*{self.shelf.find(self.role(o).model, self.role(o).snapshot)}"
            for c, o, _ in names
        )
        if place not in self.engines:
            for old in [p for p in self.engines if p[1] == place[1]]:  # of earlier snapshots
                self.engines.pop(old).close()
            engine = self._open(spec.engine, members[0][1])
            if "mixture" not in engine.capabilities:
                raise ConfigError(
                    f"role {role!r} is a mixture, which engine {engine.name!r} cannot speak for",
                    hint="choose another with --engine, `native` for one",
                )
            self.engines[place] = engine.mixture(members)
        return Voice(self.engines[place], "", snapshot)

    def capabilities(self, role: str) -> frozenset[str]:
        return self.voice(role).engine.capabilities

    def clear(self) -> None:
        """Forget every cache: a round starts from weights, states and seed alone."""
        self._rendered = None
        for engine in self.engines.values():
            engine.clear()

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()
        self.engines.clear()
        self._names.clear()

    def _forget_pinned(self, model: str) -> None:
        """At most `KEPT` engines with weights of their own for one model; the oldest goes."""
        pinned = [place for place in self.engines if place[1] == model and place[2]]
        for place in pinned[: max(0, len(pinned) - KEPT + 1)]:
            self.engines.pop(place).close()

    # ------------------------------------------------------------ servers

    def say(self, requests: list[Say]) -> list[Any]:
        """A `Turn` per request, or the error that request earned."""
        return self._by_engine(requests, self._say)

    def _say(self, engine: Any, requests: list[Say], voices: list[Voice]) -> list[Any]:
        rows: list[Any] = []
        for request, voice in zip(requests, voices, strict=True):
            stops = self.model(request.role).renderer.stop_tokens
            try:
                context = self.render(request.role, request.start, request.turns)
                sampling = self._sampling(request)
                rows.append(SayTokens(context, sampling, request.key, stops, voice.weights))
            except AskesisError as error:
                rows.append(error)
        asked = [row for row in rows if isinstance(row, SayTokens)]
        answers = iter(engine.say(asked) if asked else [])
        turns: list[Any] = []
        for request, row, voice in zip(requests, rows, voices, strict=True):
            said = next(answers) if isinstance(row, SayTokens) else row
            if isinstance(said, Exception):  # this request's own failure: the others go on
                turns.append(said)
                continue
            usage = said.usage
            if usage is None or not usage.cached:
                num = len(said.tokens) if usage is None else usage.tokens
                self.meter.said(request.purpose, num, self._size(request.role))
            renderer = self.model(request.role).renderer
            turns.append(
                Turn(
                    request.role,
                    _text(renderer, said, row.stop_tokens),
                    voice.snapshot,
                    row.context,
                    said.tokens,
                    None,
                    said.logp_sampling,
                    said.logp_model,
                    row.sampling.temperature,
                    said.stop,
                )
            )
        return turns

    def _sampling(self, request: Say) -> Sampling:
        sampling = request.sampling
        if sampling.max_tokens is not None:
            return sampling
        # The attempts of a group share their sampling; the last one is worth remembering.
        family = request.start.task.family
        if self._allowed is None or self._allowed[0] is not sampling or self._allowed[1] != family:
            allowed = replace(sampling, max_tokens=self.allowance(request.start))
            self._allowed = (sampling, family, allowed)
        return self._allowed[2]

    def score(self, requests: list[Score]) -> list[Any]:
        """float32 log-probabilities per request."""
        return self._by_engine(requests, self._score)

    def _score(self, engine: Any, requests: list[Score], voices: list[Voice]) -> list[Any]:
        rows: list[Any] = []
        for request, voice in zip(requests, voices, strict=True):
            renderer = self.model(request.role).renderer
            target = request.target.tokens
            if not len(target):
                target = np.append(renderer.encode(request.target.text), renderer.end_token)
            try:
                context = self.render(request.role, request.start, request.turns)
            except AskesisError as error:
                rows.append(error)
                continue
            rows.append(ScoreTokens(context, target.astype(np.int32), voice.weights))
            num = len(context) + len(target)
            self.meter.scored(request.purpose, num, self._size(request.role))
        return _served(engine.score, rows)

    def value(self, requests: list[Value]) -> list[Any]:
        """One float per request, from the value head."""
        return self._by_engine(requests, lambda engine, *read: self._read(engine.value, *read))

    def hidden(self, requests: list[Hidden]) -> list[Any]:
        """float32 (width,) per request, the state behind the last norm."""
        return self._by_engine(requests, lambda engine, *read: self._read(engine.hidden, *read))

    def _read(
        self,
        serve: Callable[..., Sequence[Any]],
        requests: Sequence[Value | Hidden],
        voices: list[Voice],
    ) -> list[Any]:
        rows: list[Any] = []
        for request, voice in zip(requests, voices, strict=True):
            try:
                context = self.render(request.role, request.start, request.turns)
            except AskesisError as error:
                rows.append(error)
                continue
            self.meter.scored(request.purpose, len(context), self._size(request.role))
            rows.append(ReadTokens(context, voice.weights))
        return _served(serve, rows)

    def act(self, requests: list[Act]) -> list[Any]:
        """One `Action` per request; an action counts as one token."""
        return self._by_engine(requests, self._act)

    def _act(self, engine: Any, requests: list[Act], voices: list[Voice]) -> list[Any]:
        for request in requests:
            self.meter.said(request.purpose, 1)
        return engine.act(requests)

    def _by_engine(self, requests: list[Any], serve: Callable[..., list[Any]]) -> list[Any]:
        """Split a batch by engine, serve each part whole, keep the order."""
        voices: dict[tuple[str, str], Voice] = {}
        parts: dict[int, list[int]] = {}
        heard: list[Voice] = []
        for i, request in enumerate(requests):
            speaker = (request.role, request.snapshot)
            if speaker not in voices:
                voices[speaker] = self.voice(*speaker)
            voice = voices[speaker]
            heard.append(voice)
            parts.setdefault(id(voice.engine), []).append(i)
        answers: list[Any] = [None] * len(requests)
        for places in parts.values():
            engine = heard[places[0]].engine
            found = serve(engine, [requests[i] for i in places], [heard[i] for i in places])
            for i, answer in zip(places, found, strict=True):
                answers[i] = answer
        return answers


def _served(serve: Callable[..., Sequence[Any]], rows: list[Any]) -> list[Any]:
    """Answers for the rows that are none of them errors; the errors stay in their places."""
    good = [row for row in rows if not isinstance(row, Exception)]
    answers = iter(serve(good) if good else [])
    return [row if isinstance(row, Exception) else next(answers) for row in rows]


def _text(renderer: Any, said: Any, stop_tokens: tuple[int, ...]) -> str:
    tokens = said.tokens
    if said.stop is StopReason.ENDED and len(tokens) and int(tokens[-1]) in stop_tokens:
        tokens = tokens[:-1]
    return renderer.decode(tokens)


def step(requests: list[Step]) -> list[Any]:
    """Let worlds act, one request at a time: they are pure functions."""
    return [_guarded(_step, request) for request in requests]


def check(requests: list[Check]) -> list[Any]:
    """Let verifiers look; a world that checks in worker processes does so as one batch."""
    answers: list[Any] = [None] * len(requests)
    batches: dict[int, list[int]] = {}
    for i, request in enumerate(requests):
        if hasattr(request.world, "verify_many"):
            batches.setdefault(id(request.world), []).append(i)
        else:
            answers[i] = _guarded(_verify, request)
    for places in batches.values():
        world = requests[places[0]].world
        pairs = [(requests[i].task, requests[i].answer) for i in places]
        for i, checked in zip(places, world.verify_many(pairs), strict=True):
            answers[i] = checked
    return answers


def _step(request: Step) -> Any:
    return request.world.step(request.task, request.state, request.action, request.seat)


def _verify(request: Check) -> Any:
    return request.world.verify(request.task, request.answer)


def _guarded(serve: Callable[[Any], Any], request: Any) -> Any:
    """The answer, or the exception as an answer: it is raised where that request was awaited."""
    try:
        return serve(request)
    except Exception as error:
        return error
