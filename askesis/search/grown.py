"""A tree while it grows: its places, what it has cost, and how it becomes a record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from askesis.records import Attempt, Group, Purpose, Start, StopReason, Turn
from askesis.requests import All, Sampling, Say
from askesis.search.place import Place
from askesis.trees import Node, Tree


@dataclass(slots=True)
class Spent:
    """What a search has used up: simulations, generated tokens, and calls of judges (verifier,
    value head, function), each number once."""

    simulations: int = 0
    tokens: int = 0
    judged: int = 0


@dataclass(slots=True)
class Grown:
    """One tree under way. `search` is the explorer, whose parts read and change it.

    `places` in the order they were made; the first is the root. `seen` are the keys of all of
    them. `num_dropped` counts edges that led nowhere new: illegal ones, and those that came back to
    a place already on their way (cycles), or with merge "tree" to any place of the tree. `ended`
    says why the search is over.
    """

    ctx: Any
    start: Start
    search: Any
    places: list[Place] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    num_dropped: int = 0
    ended: str = ""

    # ------------------------------------------------------------ asking

    def ask(
        self, place: Place, turns: Sequence[Turn], draw: int, sampling: Sampling, probe: bool
    ) -> Say:
        """What the searching role would say after `turns`; `place` and `draw` name the noise.

        probe: the search only tries something out, and the tokens are counted as such.
        """
        asked: Say = self.ctx.say(
            self.search.role, self.start, turns, attempt=place.name, draw=draw, sampling=sampling
        )
        if probe and asked.purpose is Purpose.TRAIN:
            return replace(asked, purpose=Purpose.PROBE)
        return asked

    async def say(
        self,
        place: Place,
        turns: Sequence[Turn],
        draws: Sequence[int],
        sampling: Sampling,
        probe: bool = False,
    ) -> list[Turn]:
        """One contribution a draw, counted."""
        said = await All([self.ask(place, turns, draw, sampling, probe) for draw in draws])
        self.spent.tokens += sum(len(turn.tokens) for turn in said)
        return said

    # ------------------------------------------------------------ places

    def add(self, parent: Place | None, place: Place) -> Place:
        """Give a place its index and its parent."""
        place.name = len(self.places)
        if parent is not None:
            place.parent = parent.index
            parent.children.append(place.index)
        self.places.append(place)
        self.seen.setdefault(place.key, place.index)
        return place

    def above(self, place: Place) -> Iterator[Place]:
        """A place, its parent, and so on to the root."""
        yield place
        while place.parent >= 0:
            place = self.places[place.parent]
            yield place

    def children(self, place: Place) -> list[Place]:
        return [self.places[i] for i in place.children]

    def draws(self, place: Place) -> Sequence[int]:
        """The draws that a place is still to be opened with; none where it has ended."""
        found: Sequence[int] = self.search.expand.draws(self, place) if place.stop is None else ()
        return found

    def frontier(self) -> list[Place]:
        """Places that can still be opened, in the order they were made."""
        return [p for p in self.places if p.stop is None and not p.closed and self.draws(p)]

    def close_up(self, place: Place) -> None:
        """Note of a place and those above whether anything is left to find there."""
        for at in self.above(place):
            if at.stop is not None:
                at.closed = at.own is not None
            elif at.opened and not self.draws(at):
                at.closed = all(child.closed for child in self.children(at))
            if not at.closed:
                return

    # ------------------------------------------------------------ records

    def group(self) -> Group:
        """The tree, and an attempt for every complete place that was visited.

        A node's labels: "own", what was found of it alone; "attempt", which attempt ends there;
        "draws", how often its edge was drawn where that was more than once.
        """
        done = [p for p in self.places if p.complete and p.visits]
        attempts = tuple(self._attempt(place, i) for i, place in enumerate(done))
        numbers = {place.index: i for i, place in enumerate(done)}
        nodes = tuple(self._node(place, numbers.get(place.index)) for place in self.places)
        name = self.ctx.attempt_id(self.start, -1)
        spent = {"simulations": float(self.spent.simulations), "tokens": float(self.spent.tokens)}
        spent |= {"judged": float(self.spent.judged), "dropped": float(self.num_dropped)}
        tree = Tree(name, self.start, nodes, self.ended, spent)
        return Group(self.start.key, attempts, tree)

    def _attempt(self, place: Place, index: int) -> Attempt:
        own = [t for t in place.turns if t.role == self.search.role]
        stop = place.stop or (own[-1].stop if own else StopReason.DONE)
        return Attempt(
            self.ctx.attempt_id(self.start, index),
            self.start,
            place.turns,
            stop,
            author=own[-1].speaker if own else "",
            rewards={self.search.role: place.paid} if self.search.edge.pays else {},
        )

    def _node(self, place: Place, attempt: int | None) -> Node:
        labels: dict[str, float] = {}
        if attempt is not None:
            labels["attempt"] = float(attempt)
        if place.own is not None:
            labels["own"] = place.own
        if place.num_draws > 1:
            labels["draws"] = float(place.num_draws)
        return Node(
            place.index,
            place.parent,
            place.edge,
            place.depth,
            place.visits,
            place.value if place.value is not None else place.own or 0.0,
            place.prior,
            terminal=place.stop is not None,
            labels=labels,
        )
