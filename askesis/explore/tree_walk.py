"""Monte-Carlo tree search by the walker itself, in a world that can be returned to any state."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, log, sqrt
from typing import Any

from askesis.errors import ConfigError
from askesis.explore.moving import begun, ended, must_be_walked, played
from askesis.explore.sample import check_sampling
from askesis.explore.walk import Illegal
from askesis.records import Attempt, Group, Start, StopReason, Turn
from askesis.requests import All, Sampling
from askesis.trees import Node, Tree


@dataclass
class _Place:
    """A node while the tree grows."""

    parent: int
    depth: int
    edge: tuple[Turn, ...]
    state: Any
    paid: float = 0.0  # rewards from the root to here
    stop: StopReason | None = None  # why nothing can follow
    opened: bool = False  # whether its children have been drawn
    children: list[int] = field(default_factory=list)
    visits: int = 0
    total: float = 0.0  # outcomes of the simulations that passed


@dataclass(frozen=True, kw_only=True)
class TreeWalk:
    """Walks grown as one tree a start: select, open, walk to the end, back up.

    num_simulations: walks to an end, at least 1.
    num_children: moves drawn where a place is opened, at least 1; equal ones are one child.
    exploration_coef: c of the selection score Q/N + c sqrt(ln N_parent / N), at least 0; places
        that were never walked through come first, in the order they were drawn.
    temperature: of every move, at least 0. top_p: in (0, 1].
    max_tokens: new tokens one move may have (None: the world's own allowance).
    max_steps: depth at which a walk is cut, at least 1.
    illegal: what an illegal move does, as in `Walk`.
    role: who moves, and whose reward is backed up.

    Every simulation ends at a leaf; each leaf is an attempt, from the root, so attempts share their
    beginnings. One that several simulations came to is one attempt. The group carries the tree; a
    node's label "attempt" names the attempt that ends there. Source: card [9]; UCT is Kocsis and
    Szepesvari 2006.
    """

    num_simulations: int = 8
    num_children: int = 4
    exploration_coef: float = 0.25
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    max_steps: int = 32
    illegal: Illegal = "observe"
    role: str = "policy"

    def __post_init__(self) -> None:
        limits = {
            "num_simulations": (self.num_simulations >= 1, "at least 1"),
            "num_children": (self.num_children >= 1, "at least 1"),
            "exploration_coef": (0 <= self.exploration_coef < inf, "at least 0"),
            "max_steps": (self.max_steps >= 1, "at least 1"),
            "illegal": (self.illegal in ("end", "observe"), "end or observe"),
        }
        for name, (fits, expected) in limits.items():
            if not fits:
                raise ConfigError(
                    f"TreeWalk.{name} is out of range",
                    expected=expected,
                    found=repr(getattr(self, name)),
                )
        check_sampling(self)

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world of the run has turns."""
        must_be_walked(ctx, "TreeWalk")

    async def explore(self, ctx: Any, start: Start) -> Group:
        state, seen = await begun(ctx, start, self.role)
        tree = [_Place(-1, 0, tuple(seen), state)]
        for _ in range(self.num_simulations):
            at = self._selected(tree)
            if tree[at].stop is None:
                at = await self._open(ctx, start, tree, at)
            while tree[at].stop is None:
                (at,) = await self._moved(
                    ctx, start, tree, at, draws=(self.num_children + tree[at].visits,)
                )
            outcome = tree[at].paid
            while at >= 0:
                tree[at].visits += 1
                tree[at].total += outcome
                at = tree[at].parent
        return self._group(ctx, start, tree)

    def _selected(self, tree: list[_Place]) -> int:
        """From the root by the selection score to a place that is not opened yet, or a leaf."""
        at = 0
        while tree[at].opened and tree[at].stop is None:
            above = log(max(1, tree[at].visits))
            at = max(tree[at].children, key=lambda i: self._score(tree[i], above))
        return at

    def _score(self, place: _Place, log_above: float) -> float:
        if not place.visits:
            return inf
        spread = self.exploration_coef * sqrt(log_above / place.visits)
        return place.total / place.visits + spread

    async def _open(self, ctx: Any, start: Start, tree: list[_Place], at: int) -> int:
        """Draw the children of a place; the first one that was never walked through, or the
        first."""
        tree[at].opened = True
        found = await self._moved(ctx, start, tree, at, draws=tuple(range(self.num_children)))
        return next((i for i in found if not tree[i].visits), found[0])

    async def _moved(
        self, ctx: Any, start: Start, tree: list[_Place], at: int, draws: tuple[int, ...]
    ) -> list[int]:
        """Moves from a place, one for each draw: the children they lead to, each once."""
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        place, before = tree[at], _turns(tree, at)
        said = await All(
            [
                ctx.say(self.role, start, before, attempt=at, draw=d, sampling=sampling)
                for d in draws
            ]
        )
        known = {tree[i].edge[0].text: i for i in place.children}
        found = []
        for turn in said:
            if turn.text in known:
                found.append(known[turn.text])
                continue
            child = await self._child(ctx, start, place, at, turn)
            tree.append(child)
            place.children.append(len(tree) - 1)
            known[turn.text] = len(tree) - 1
            found.append(len(tree) - 1)
        return list(dict.fromkeys(found))

    async def _child(self, ctx: Any, start: Start, place: _Place, at: int, turn: Turn) -> _Place:
        depth = place.depth + 1
        if turn.stop is StopReason.CONTEXT:
            return _Place(at, depth, (turn,), place.state, place.paid, StopReason.CONTEXT)
        moved = await ctx.step(start.task, place.state, turn.text)
        stop = ended(moved, self.illegal)
        edge = [played(turn, moved)]
        if stop is None:
            edge.append(Turn("world", moved.observation))
            if depth >= self.max_steps:
                stop = StopReason.TRUNCATED
        paid = place.paid + float(moved.rewards.get(self.role, 0.0))
        return _Place(at, depth, tuple(edge), moved.state, paid, stop)

    def _group(self, ctx: Any, start: Start, tree: list[_Place]) -> Group:
        leaves = [i for i, p in enumerate(tree) if p.stop is not None and p.visits]
        attempts = []
        for index, leaf in enumerate(leaves):
            turns = tuple(_turns(tree, leaf))
            own = [t for t in turns if t.role == self.role]
            attempts.append(
                Attempt(
                    ctx.attempt_id(start, index),
                    start,
                    turns,
                    tree[leaf].stop or StopReason.DONE,
                    author=own[-1].speaker if own else "",
                    rewards={self.role: tree[leaf].paid},
                )
            )
        numbers = {leaf: {"attempt": float(i)} for i, leaf in enumerate(leaves)}
        nodes = tuple(
            Node(
                i,
                p.parent,
                p.edge,
                p.depth,
                p.visits,
                p.total / p.visits if p.visits else 0.0,
                terminal=p.stop is not None,
                labels=numbers.get(i, {}),
            )
            for i, p in enumerate(tree)
        )
        return Group(start.key, tuple(attempts), Tree(ctx.attempt_id(start, -1), start, nodes))


def _turns(tree: list[_Place], at: int) -> list[Turn]:
    """Everything said from the root, its first observation included, to a place."""
    edges = []
    while at >= 0:
        edges.append(tree[at].edge)
        at = tree[at].parent
    return [turn for edge in reversed(edges) for turn in edge]
