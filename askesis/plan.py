"""A plan: what a recipe returns. Models, roles, worlds, and phases of parts.

A plan is data. It can be printed, stored, changed by dotted path (`askesis.config`) and run
again; building one loads no model and reads no world.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal

from askesis.records import NOTHING


class Parts(Mapping[str, Any]):
    """The parts of a phase by name, in the order the recipe wrote them.

    Names are free; `standard_round` reads tasks, explore, judge, select and learn. A value is a
    part, or a mapping from model name to part (`select`, `learn`). Read as attributes. A part that
    is given for two places becomes two equal ones: a place has its own state and random stream.
    """

    def __init__(self, **parts: Any) -> None:
        self._parts = _apart(parts)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._parts[name]
        except KeyError:
            raise AttributeError(f"this phase has no part {name!r}") from None

    def __getitem__(self, name: str) -> Any:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self._parts.items())
        return f"Parts({inside})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parts) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(tuple(self._parts))


def _apart(parts: Mapping[str, Any]) -> dict[str, Any]:
    """No object twice. A run that is resumed reads its parts from a file, where they are two."""
    seen: set[int] = set()

    def own(part: Any) -> Any:
        found = copy(part) if id(part) in seen else part
        seen.add(id(part))
        return found

    return {
        name: {model: own(p) for model, p in part.items()}
        if isinstance(part, Mapping)
        else own(part)
        for name, part in parts.items()
    }


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One row of the table of models.

    source: "tiny", a directory in Hugging Face layout, a hub name, "module:function", or
    "openai:NAME" for a model behind an endpoint.
    lora_rank: adapters of this rank are trained instead of all weights (0: all weights).
    base: another model of the table whose frozen weights these adapters sit on (with lora_rank);
    the base is in memory once, and one engine speaks for both. heads: outputs beside the
    vocabulary, "value" for one number a position.
    """

    source: str = "tiny"
    trainable: bool = True
    lora_rank: int = 0
    base: str = ""
    heads: tuple[str, ...] = ()
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class RoleSpec:
    """One row of the table of roles: who speaks for it, and how.

    snapshot: "" speaks with the current weights; "base", "previous", "phase_start", "best" or
    "policy@3" pins a snapshot. engine: a name with options, "native?dtype=bfloat16"; "auto" takes
    the fastest that covers the model. mixture: other roles and the coefficients of their
    log-probabilities, {"policy": 0.9, "reference": 0.1}; the role then speaks with the
    distribution proportional to exp(sum of coefficient times log-probability).
    """

    model: str = "policy"
    snapshot: str = ""
    engine: str = "auto"
    mixture: Mapping[str, float] = field(default=NOTHING)


@dataclass(frozen=True, kw_only=True)
class Until:
    """When a phase ends: after so many rounds, or when a metric stopped rising.

    plateau: metric key; the phase ends when its best value is `patience` measured rounds old.
    """

    rounds: int | None = 8
    plateau: str = ""
    patience: int = 3


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may spend; it stops after the round that reaches any limit (None: no limit).

    tokens: generated plus scored by anybody but measuring. trained_tokens: passed through a
    trained model. flops: of both, see `askesis.budget.Meter`. seconds: wall time; with it a run is
    no longer exactly repeatable.
    """

    tokens: float | None = None
    trained_tokens: float | None = None
    updates: int | None = None
    flops: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of rounds with the same parts.

    round: the order of the verbs (None: `askesis.loop.standard_round`). start: per model,
    "continue", "base" or a snapshot to restore at entry. reset: slots of stateful parts that
    begin anew ("explore", "retain.replay", "optimizer"). measure_every: rounds between
    measurements, 0 keeps measuring below a tenth of the generated tokens.
    """

    name: str = "main"
    parts: Parts
    measure: tuple[Any, ...] = ()
    retain: tuple[Any, ...] = ()
    until: Until = Until()
    round: Callable[[Any, Parts], None] | None = None
    start: Mapping[str, str] = field(default=NOTHING)
    reset: tuple[str, ...] = ()
    measure_every: int = 0

    def slots(self) -> Iterator[tuple[str, Any]]:
        """Every part with the dotted name of its place, in a fixed order."""
        for name, part in self.parts.items():
            if isinstance(part, Mapping):
                for model, inner in part.items():
                    yield f"{name}.{model}", inner
            else:
                yield name, part
        for stage, parts in (("measure", self.measure), ("retain", self.retain)):
            for slot, part in zip(slot_names(parts), parts, strict=True):
                yield f"{stage}.{slot}", part


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole run. `truth` declares which truth the recipe uses:

    "answers" (verifiers on train tasks), "steps" (step truth as well), "none" (worlds are
    handed over without any answers). `needs` are engine capabilities, of every role ("say") or of
    one ("critic.value"); they are checked before round 0. `alarms` are names with options
    ("all", "none", "forgetting?z=4", "my_file.py:MyAlarm"), see docs/alarms.md.
    """

    recipe: str
    phases: tuple[Phase, ...]
    models: Mapping[str, ModelSpec] = field(default_factory=lambda: {"policy": ModelSpec()})
    roles: Mapping[str, RoleSpec] = field(default_factory=lambda: {"policy": RoleSpec()})
    worlds: Mapping[str, str] = field(default_factory=lambda: {"main": "countdown"})
    truth: Literal["answers", "steps", "none"] = "answers"
    needs: tuple[str, ...] = ("say",)
    budget: Budget = Budget()
    seed: int = 0
    alarms: tuple[str, ...] = ("all",)


def slot_names(parts: tuple[Any, ...]) -> list[str]:
    """Names for the parts of a tuple: the class in snake case, numbered where it repeats."""
    names: list[str] = []
    for part in parts:
        base = snake(type(part).__name__)
        name, n = base, 1
        while name in names:
            n += 1
            name = f"{base}_{n}"
        names.append(name)
    return names


def snake(name: str) -> str:
    """`KeepOrRevert` -> `keep_or_revert`, `KLToReference` -> `kl_to_reference`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
