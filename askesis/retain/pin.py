"""A snapshot kept by name from the end of a phase on: a reference or an opponent of later ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Pin:
    """Keeps the weights that a model has at the end of the phase, under a tag.

    tag: what learners and roles of later phases call them; not base, previous, phase_start or best,
        which have meanings of their own.
    model: whose weights.
    """

    tag: str
    model: str = "policy"

    def __post_init__(self) -> None:
        if not self.tag or self.tag in ("base", "previous", "phase_start", "best"):
            raise ConfigError(
                "Pin.tag must be a name of its own", expected="such as begun", found=repr(self.tag)
            )

    def on_phase_end(self, ctx: Any) -> None:
        """Pin them; they are committed with the run and come back with it."""
        if self.model not in ctx.models:
            raise ConfigError(
                f"Pin.model {self.model!r} is no model of this run",
                expected=", ".join(ctx.models),
            )
        ctx.shelf.pin(self.model, self.tag)
