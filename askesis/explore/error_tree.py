"""Answers, and completions of them from around the places where they went wrong, as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from askesis.errors import WorldError
from askesis.records import Attempt, Group, Start, Turn
from askesis.search.first_error import Grove, Omega, Prefix
from askesis.search.said import joined, piece_behind
from askesis.trees import Node, Tree


@dataclass(frozen=True, kw_only=True)
class ErrorTree:
    """One tree of prefixes from each start, grown by halves around first errors.

    search: how it grows. The first completions are those of nothing, so they are plain attempts;
        with num_searches 0 they are all there is.

    Every completion is an attempt. A node is a prefix that was completed: its value is the share
    of right completions, its visits how many there were, its label "popped" how often it was
    popped. Under it lie its completions as ends; the first right and the first wrong one of each
    prefix have a visit and their score as value, the others no visit, so that steps and not ends
    are what `TreeValues(scheme="backed")` mostly shows. Nothing is backed up. Looks at the truth.
    Source: card [135].
    """

    search: Omega = field(default_factory=Omega)

    asks_truth = True  # so a wrong judge misleads it too

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world can say whether a completion is right."""
        if not any("answer" in getattr(w, "truth", ()) for w in ctx.worlds.values()):
            raise WorldError(
                "ErrorTree asks whether completions are right, which no world here knows",
                hint="--world countdown or --world chain_arithmetic",
            )

    async def explore(self, ctx: Any, start: Start) -> Group:
        grove = await self.search.grow(ctx, start)
        return as_group(ctx, start, grove)


def as_group(ctx: Any, start: Start, grove: Grove) -> Group:
    """A tree of prefixes as a record, with all completions as attempts."""
    nodes: list[Node] = []
    attempts: list[Attempt] = []
    place: dict[int, int] = {}
    for index, prefix in enumerate(grove.prefixes):
        place[index] = len(nodes)
        above = grove.prefixes[prefix.parent].turns if prefix.parent >= 0 else ()
        nodes.append(
            Node(
                len(nodes),
                place.get(prefix.parent, -1),
                _edge(ctx, prefix.turns, above),
                prefix.num_steps,
                len(prefix.ends),
                prefix.share,
                labels={"own": prefix.share, "popped": float(prefix.visits)},
            )
        )
        seen: set[bool] = set()
        for turn, score in prefix.ends:
            is_right = score >= 1
            labels = {"attempt": float(len(attempts)), "own": score}
            attempts.append(_attempt(ctx, start, prefix, turn, len(attempts)))
            nodes.append(
                Node(
                    len(nodes),
                    place[index],
                    (turn,),
                    prefix.num_steps + 1,
                    int(is_right not in seen),
                    score,
                    terminal=True,
                    labels=labels,
                )
            )
            seen.add(is_right)
    ended = "everything ended" if grove.is_exhausted else "simulations used up"
    spent = {
        "simulations": float(len(grove.searched)),
        "tokens": float(grove.num_tokens),
        "judged": float(len(attempts)),
    }
    tree = Tree(ctx.attempt_id(start, -1), start, tuple(nodes), ended, spent)
    return Group(start.key, tuple(attempts), tree)


def _edge(ctx: Any, turns: Sequence[Turn], above: Sequence[Turn]) -> tuple[Turn, ...]:
    """What a prefix adds to the one above it."""
    if not turns:
        return ()
    read = sum(len(t.tokens) for t in above)
    (turn,) = turns
    return (piece_behind(turn, read, lambda tokens: str(ctx.decode(turn.role, tokens))),)


def _attempt(ctx: Any, start: Start, prefix: Prefix, end: Turn, index: int) -> Attempt:
    whole = joined([*prefix.turns, end])
    name = ctx.attempt_id(start, index)
    return Attempt(name, start, (whole,), whole.stop, author=whole.speaker)
