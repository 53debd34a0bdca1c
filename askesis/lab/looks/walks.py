"""A look at worlds that are walked: success from the beginning, and after a slip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from askesis.lab.looks.sight import ROLE, Sight, mean, outcomes
from askesis.records import Attempt, Start, StopReason, Task

if TYPE_CHECKING:
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

OF_WALKS = (
    *("success", "illegal", "loops", "moves"),
    *("after_slips", "slips_illegal", "slips_loops", "slips_moves"),
)


def walks(
    outside: Outside,
    tasks: Sequence[Task],
    look: Look,
    num_slips: int = 2,
    max_tokens: int = 8,
    max_steps: int = 64,
) -> Sight:
    """Walks from the beginning, and from behind forced slips (`askesis.measure.walks`).

    num_slips: forced moves that lead away. max_tokens: of a move. max_steps: of a walk; an illegal
    move changes nothing and counts.

        success        walks that come to the end
        illegal        share of moves that are illegal
        loops          share of moves that were made before where the world looked the same
        moves          a walk
        after_slips, slips_illegal, slips_loops, slips_moves    the same behind slips

    Figures behind slips are of the tasks in which one can slip, the same ones for every snapshot.
    """
    from askesis.explore.walk import Walk
    from askesis.measure.walks import repeated, slipped_start

    walk = Walk(
        num_attempts=look.num_attempts,
        temperature=look.temperature,
        max_tokens=max_tokens,
        max_steps=max_steps,
        illegal="observe",
    )
    ctx = outside.context("walks")
    world, rng = ctx.world(), ctx.generator("slips")
    starts = [slipped_start(world, task, rng, num_slips, ROLE) for task in tasks]
    found: dict[str, list[float]] = {}
    plain: list[list[Attempt]] = []
    for names, begun in (
        (OF_WALKS[:4], [Start(task) for task in tasks]),
        (OF_WALKS[4:], [s for s in starts if s is not None]),
    ):
        makers = [partial(walk.explore, ctx, start) for start in begun]
        made = [list(group) for group in outcomes(ctx, makers, list)]
        plain = plain or made
        moves = [[t for a in group for t in a.turns if t.role == ROLE] for group in made]
        again = [[r for a in group for r in repeated(a, ROLE)] for group in made]
        values = (
            [mean(_arrived(a) for a in group) for group in made],
            [mean(float(not t.legal) for t in m) for m in moves],
            [mean(map(float, r)) for r in again],
            [len(m) / max(1, len(group)) for m, group in zip(moves, made, strict=True)],
        )
        found |= dict(zip(names, values, strict=True))
    scores = [[_arrived(a) for a in group] for group in plain]
    scores = [s + [0.0] * (look.num_attempts - len(s)) for s in scores]
    found["tokens"] = [mean(float(a.num_tokens) for a in group) for group in plain]
    every = [a for group in plain for a in group]
    cut = sum(a.stop is StopReason.TRUNCATED for a in every)
    return Sight(found, scores, sum(a.num_tokens for a in every), cut, len(every))


def _arrived(attempt: Attempt) -> float:
    return float(attempt.rewards.get(ROLE, 0.0) >= 1.0)
