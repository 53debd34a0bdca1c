"""Every figure of walks and splices."""

from __future__ import annotations

from askesis.context import Verdicts
from askesis.explore.walk import Walk
from askesis.measure.walks import Walks
from askesis.records import About, Group, Start, Verdict, VerdictKind
from askesis.select.splice import Splice
from askesis.worlds.maze import Maze
from tests.explore.host import Host, says


def walked_keys() -> set[str]:
    """Keys with their stage, from walkers at random in the smallest mazes."""
    host = Host(says(lambda text, u: "UDLR"[int(4 * u)]), world=Maze(difficulty=0.0))
    ctx = host.context("measure")
    walk = Walk(num_attempts=6, illegal="observe")
    keys = {f"measure/{k}" for k in Walks(walk=walk, num_tasks=8).measure(ctx, None)}

    host = Host(says(lambda text, u: "UDLR"[int(4 * u)]), world=Maze())
    task = Maze().task("S.#\n..G\n...", "DRR")
    attempts = host.explore(Walk(num_attempts=40, illegal="observe"), Start(task))
    verdicts = [
        Verdict("return", About(a.id), VerdictKind.OUTCOME, a.rewards["policy"]) for a in attempts
    ]
    ctx = host.context("select", slot="select.policy")
    Splice().select(ctx, [Group("g", tuple(attempts))], Verdicts(verdicts))
    return keys | set(ctx.metrics)
