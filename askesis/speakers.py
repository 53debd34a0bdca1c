"""Who speaks: from roles to models, snapshots and engines.

Two tables meet here. A request names a role; the role names a model and perhaps a pinned
snapshot; an engine speaks for exactly one set of weights. Requests of one kind arrive as one
batch from the driver, are split by weights, and go to the engines full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.errors import AskesisError, ConfigError, nearest
from askesis.plan import RoleSpec
from askesis.records import Start, StopReason, Turn
from askesis.requests import (
    Act,
    Check,
    Request,
    Sampling,
    Say,
    SayTokens,
    Score,
    ScoreTokens,
    Step,
    Value,
)


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
            if spec.model not in models:
                raise ConfigError(
                    f"role {role!r} is bound to model {spec.model!r}, which does not exist",
                    hint=nearest(spec.model, models),
                )
        self.roles, self.models, self.shelf, self.meter = dict(roles), models, shelf, meter
        self.open_engine, self.allowance = open_engine, allowance
        self.engines: dict[tuple[str, str, str], Any] = {}  # (engine, model, pinned id or "")
        self._rendered: tuple[Any, np.ndarray] | None = None
        self._allowed: tuple[Sampling, str, Sampling] | None = None

    def servers(self) -> dict[type[Request], Callable[[list[Any]], Sequence[Any]]]:
        """What the driver needs: a server for every kind of speaking request."""
        return {
            Say: self.say,
            Score: self.score,
            Value: self.value,
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

    def render(self, role: str, start: Start, turns: Sequence[Turn] = ()) -> np.ndarray:
        """What `role` reads, as token ids; the last rendering without turns is remembered,
        because k attempts at one start ask for the same one."""
        renderer = self.model(role).renderer
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

    def end_token(self, role: str) -> int:
        return self.model(role).renderer.end_token

    def engine(self, role: str, snapshot: str) -> tuple[Any, str]:
        """The engine that speaks for a role under a snapshot, and the snapshot's id."""
        spec = self.role(role)
        found = self.shelf.find(spec.model, snapshot or spec.snapshot)
        pinned = "" if found == self.shelf.current(spec.model) else found
        place = (spec.engine, spec.model, pinned)
        if place not in self.engines:
            engine = self.open_engine(spec.engine, self.models[spec.model])
            if pinned:
                self._forget_pinned(spec.model)
                engine.load(self.shelf.weights(spec.model, pinned))
            self.engines[place] = engine
        return self.engines[place], found

    def capabilities(self, role: str) -> frozenset[str]:
        return self.engine(role, "")[0].capabilities

    def clear(self) -> None:
        """Forget every cache: a round starts from weights, states and seed alone."""
        self._rendered = None
        for engine in self.engines.values():
            engine.clear()

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()
        self.engines.clear()

    def _forget_pinned(self, model: str, keep: int = 8) -> None:
        """At most `keep` engines with weights of their own for one model; the oldest goes."""
        pinned = [place for place in self.engines if place[1] == model and place[2]]
        for place in pinned[: max(0, len(pinned) - keep + 1)]:
            self.engines.pop(place).close()

    # ------------------------------------------------------------ servers

    def say(self, requests: list[Say]) -> list[Any]:
        """A `Turn` per request, or the error that request earned."""
        return self._by_weights(requests, self._say)

    def _say(self, engine: Any, snapshot: str, role: str, requests: list[Say]) -> list[Any]:
        renderer = self.model(role).renderer
        rows: list[Any] = []
        for request in requests:
            try:
                context = self.render(request.role, request.start, request.turns)
                rows.append(
                    SayTokens(context, self._sampling(request), request.key, renderer.stop_tokens)
                )
            except AskesisError as error:
                rows.append(error)
        asked = [row for row in rows if isinstance(row, SayTokens)]
        answers = iter(engine.say(asked) if asked else [])
        turns: list[Any] = []
        for request, row in zip(requests, rows, strict=True):
            if not isinstance(row, SayTokens):
                turns.append(row)
                continue
            said = next(answers)
            self.meter.said(request.purpose, len(said.tokens))
            turns.append(
                Turn(
                    request.role,
                    _text(renderer, said, row.stop_tokens),
                    snapshot,
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
        return self._by_weights(requests, self._score)

    def _score(self, engine: Any, snapshot: str, role: str, requests: list[Score]) -> list[Any]:
        renderer = self.model(role).renderer
        rows = []
        for request in requests:
            context = self.render(request.role, request.start, request.turns)
            target = request.target.tokens
            if not len(target):
                target = np.append(renderer.encode(request.target.text), renderer.end_token)
            rows.append(ScoreTokens(context, target.astype(np.int32)))
            self.meter.scored(request.purpose, len(context) + len(target))
        return engine.score(rows)

    def value(self, requests: list[Value]) -> list[Any]:
        """One float per request, from the value head."""
        return self._by_weights(requests, self._value)

    def _value(self, engine: Any, snapshot: str, role: str, requests: list[Value]) -> list[Any]:
        contexts = [self.render(r.role, r.start, r.turns) for r in requests]
        for request, context in zip(requests, contexts, strict=True):
            self.meter.scored(request.purpose, len(context))
        return engine.value(contexts)

    def act(self, requests: list[Act]) -> list[Any]:
        """One `Action` per request; an action counts as one token."""
        return self._by_weights(requests, self._act)

    def _act(self, engine: Any, snapshot: str, role: str, requests: list[Act]) -> list[Any]:
        for request in requests:
            self.meter.said(request.purpose, 1)
        return engine.act(requests)

    def _by_weights(self, requests: list[Any], serve: Callable[..., list[Any]]) -> list[Any]:
        """Split a batch by (role, snapshot), serve each part, keep the order."""
        parts: dict[tuple[str, str], list[int]] = {}
        for i, request in enumerate(requests):
            parts.setdefault((request.role, request.snapshot), []).append(i)
        answers: list[Any] = [None] * len(requests)
        for (role, pinned), places in parts.items():
            engine, snapshot = self.engine(role, pinned)
            found = serve(engine, snapshot, role, [requests[i] for i in places])
            for i, answer in zip(places, found, strict=True):
                answers[i] = answer
        return answers


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
