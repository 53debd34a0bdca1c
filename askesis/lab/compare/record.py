"""What `askesis compare` leaves behind, as the page reads it: COMPARISON/compare.json.

`Comparison` is the shape of that file. Reading checks it, so that a page is never made of half a
file; keys it does not know are left alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from askesis.errors import RunError

NAME = "compare.json"
VERSION = 1  # rises when older code could not read the file any more
AXES = ("tokens", "trained_tokens", "updates", "flops", "seconds", "core_seconds")


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Point(_Part):
    """A learning curve at one place of a budget axis: mean over seeds with its interval."""

    x: float
    value: float | None
    low: float | None = None
    high: float | None = None
    num_seeds: int = 0


class Score(_Part):
    """A mean with its 95 % interval, and the value of each seed."""

    value: float | None
    low: float | None = None
    high: float | None = None
    per_seed: list[float | None] = Field(default_factory=list)


class Chance(_Part):
    """The probability that one arm beats another, with its interval."""

    probability: float | None
    low: float | None = None
    high: float | None = None


class ProfileArm(_Part):
    """Share of runs above each threshold, with its interval."""

    value: list[float | None]
    low: list[float | None] = Field(default_factory=list)
    high: list[float | None] = Field(default_factory=list)


class Profile(_Part):
    """The performance profile of all arms over all worlds."""

    thresholds: list[float] = Field(default_factory=list)
    arms: dict[str, ProfileArm] = Field(default_factory=dict)


class Raised(_Part):
    """An alarm, the seeds whose runs raised it, and how often."""

    name: str
    seeds: list[int] = Field(default_factory=list)
    num: int = 0


class Trial(_Part):
    """Options that tuning tried, and the metric they reached on decide tasks (None: it failed)."""

    options: dict[str, str]
    value: float | None


class Tuned(_Part):
    """What tuning took for an arm in a world, and all it tried."""

    chosen: dict[str, str]
    tried: list[Trial] = Field(default_factory=list)


class Failed(_Part):
    """A run that did not come to its end."""

    arm: str
    world: str
    seed: int
    why: str


class Comparison(_Part):
    """A whole comparison. Arms are names, worlds are their specs; axes are `AXES`."""

    version: int
    arms: list[str] = Field(min_length=1)
    worlds: list[str] = Field(min_length=1)
    seeds: list[int]
    metric: str
    metrics: list[str] = Field(default_factory=list)
    budget: dict[str, float] = Field(default_factory=dict)
    num_tasks: int | None = None  # claim tasks in one world, and attempts at each
    num_attempts: int | None = None
    ended: dict[str, dict[str, list[str]]] = Field(default_factory=dict)  # why each run ended
    command: str = ""
    date: str = ""
    machine: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    curves: dict[str, dict[str, dict[str, list[Point]]]] = Field(default_factory=dict)
    at_budget: dict[str, dict[str, dict[str, Score]]] = Field(default_factory=dict)
    start: dict[str, dict[str, Score]] = Field(default_factory=dict)
    improvement: dict[str, dict[str, dict[str, Chance]]] = Field(default_factory=dict)
    profile: Profile = Field(default_factory=Profile)
    cost: dict[str, dict[str, dict[str, float]]] = Field(default_factory=dict)
    alarms: dict[str, dict[str, list[Raised]]] = Field(default_factory=dict)
    ranking: dict[str, dict[str, list[str]]] = Field(default_factory=dict)
    tuned: dict[str, dict[str, Tuned]] = Field(default_factory=dict)
    conclusions: list[str] = Field(default_factory=list)
    failed: list[Failed] = Field(default_factory=list)


def is_comparison(path: Path) -> bool:
    """Whether a directory holds a comparison."""
    return (path / NAME).is_file()


def read_comparison(path: Path) -> Comparison:
    """The comparison in a directory. Raises RunError where there is none that can be read."""
    place = path / NAME
    hint = f"askesis compare ... --out {path} goes on and writes it again"
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        version = found.get("version") if isinstance(found, dict) else None
    except FileNotFoundError:
        raise RunError(f"no comparison at {path}", expected=f"a file {NAME} in it") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{place} cannot be read ({error})", hint=hint) from error
    if isinstance(version, int) and version > VERSION:
        raise RunError(
            f"{place} was written by a newer askesis",
            expected=f"version {VERSION}",
            found=f"{version}",
            hint="open it with the version that wrote it",
        )
    try:
        return Comparison.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RunError(f"{place} is no comparison: {where}: {first['msg']}", hint=hint) from error
