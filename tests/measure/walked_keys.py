"""Every figure of walks, splices and repairs."""

from __future__ import annotations

from askesis.context import Verdicts
from askesis.explore.repair import Repair
from askesis.explore.walk import Walk
from askesis.measure.walks import Walks
from askesis.models.scripted import ScriptedModel
from askesis.records import About, Group, Start, Verdict, VerdictKind
from askesis.select.repaired import AsOwn
from askesis.select.splice import Splice
from askesis.worlds.maze import Maze
from tests.explore.host import Host, Sums, says


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
    return keys | set(ctx.metrics) | _repaired_keys()


def _repaired_keys() -> set[str]:
    """What is noted where half of the attempts are repaired."""
    speak = {"policy": "8", "reflector": "7"}
    models = {name: ScriptedModel(name, {}) for name in speak}
    for name, text in speak.items():
        models[name].script = lambda read, u, text=text: text
    host, task = Host(models), Sums().make(3, 4)
    attempts = host.explore(Repair(num_attempts=2), Start(task))
    verdicts = [
        Verdict("v", About(a.id), VerdictKind.OUTCOME, float(a.text == "7")) for a in attempts
    ]
    ctx = host.context("select", slot="select.policy")
    AsOwn().select(ctx, [Group("g", tuple(attempts))], Verdicts(verdicts))
    return set(ctx.metrics)
