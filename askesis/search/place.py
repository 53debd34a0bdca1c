"""A place of a tree while the tree grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from askesis.records import StopReason, Turn


@dataclass(slots=True)
class Place:
    """A state that a search has reached, and what it knows about it.

    `name` tells its noise from that of all others: the index in the tree, or a text for a place
    that is looked at in passing and kept nowhere. `turns` is everything said from the root as a
    speaker reads it, `edge` what the last edge added to it. `key` is equal for places that are the
    same to merge them. `paid` are rewards on the way; `num_tokens` what was generated on the way.

    `stop` says why nothing can follow. `complete`: the place can stand as an attempt, which a
    revised answer can although it may be revised again. `own` is what was found of the place
    itself, `value` what the back-up made of that and of all below; both None until then. `closed`:
    there is nothing to find here any more, because it has ended and been visited, or all below has.
    """

    name: int | str
    parent: int = -1
    depth: int = 0
    edge: tuple[Turn, ...] = ()
    turns: tuple[Turn, ...] = ()
    state: Any = None
    key: str = ""
    paid: float = 0.0
    num_tokens: int = 0
    prior: float = 1.0
    stop: StopReason | None = None
    complete: bool = False
    own: float | None = None
    value: float | None = None
    visits: int = 0
    total: float = 0.0  # of the numbers that passed
    opened: bool = False  # whether its children have been drawn
    closed: bool = False
    num_draws: int = 1  # how often the edge that leads here was drawn
    num_drawn: int = 0  # draws that were made from here
    children: list[int] = field(default_factory=list)

    @property
    def index(self) -> int:
        """The place's index in its tree; it must be in one."""
        assert isinstance(self.name, int)
        return self.name


@dataclass(frozen=True, slots=True)
class Found:
    """A number for a place, and the place from which it is backed up.

    They differ where an evaluation left its own places in the tree: then `place` is the end it
    came to.
    """

    place: Place
    number: float
