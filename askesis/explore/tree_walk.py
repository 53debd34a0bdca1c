"""Monte-Carlo tree search by the walker itself, in a world that can be returned to any state."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from askesis.errors import must_fit
from askesis.explore.moving import must_be_walked
from askesis.explore.sample import check_sampling
from askesis.explore.search import Search
from askesis.explore.walk import Illegal
from askesis.records import Group, Start
from askesis.search.evaluate import Paid
from askesis.search.expand import Draws
from askesis.search.rollouts import Rollouts
from askesis.search.select import UCT
from askesis.search.walked import Moves


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

    `Search` with moves for edges, UCT, roll-outs that stay in the tree, and the world's rewards.
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
        must_fit(self, limits)
        check_sampling(self)

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world of the run has turns."""
        must_be_walked(ctx, "TreeWalk")

    def search(self) -> Search:
        """The same as a configuration of the generic search."""
        return Search(
            edge=Moves(max_tokens=self.max_tokens, illegal=self.illegal),
            select=UCT(exploration_coef=self.exploration_coef, revisit=True),
            expand=Draws(num=self.num_children, temperature=self.temperature, top_p=self.top_p),
            evaluate=Rollouts(keep=True),
            end=Paid(),
            num_simulations=self.num_simulations,
            max_depth=self.max_steps,
            role=self.role,
        )

    async def explore(self, ctx: Any, start: Start) -> Group:
        return await self.search().explore(ctx, start)
