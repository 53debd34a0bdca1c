"""Every figure of what is kept from round to round, and of lessons."""

from __future__ import annotations

from askesis.context import Verdicts
from askesis.explore.continue_saved import ContinueSaved
from askesis.models.scripted import ScriptedModel
from askesis.records import Group, Start, Task
from askesis.select.solution_pool import SolutionPool
from askesis.select.taught import Taught
from askesis.tasks.lessons import Lessons
from askesis.worlds.countdown import Countdown
from tests.explore.host import Host

TASK = Task("t", "countdown-v1", "3 7 12 -> 33", data={"numbers": [3, 7, 12], "target": 33})


def pool_keys() -> set[str]:
    """Keys with their stage."""
    host = Host({"policy": ScriptedModel("policy", {})}, world=Countdown())
    made = host.explore(ContinueSaved(), Start(TASK))
    ctx = host.context("select", slot="select.policy", state={})
    SolutionPool().select(ctx, [Group("t", tuple(made))], Verdicts([]))
    keys = set(ctx.metrics)
    groups, verdicts = [Group("t", tuple(made))], Verdicts([])
    ctx = host.context("tasks", inputs={"groups": groups, "verdicts": verdicts})
    Lessons().draw(ctx)
    keys |= set(ctx.metrics)
    ctx = host.context("select", slot="select.policy")
    Taught().select(ctx, groups, verdicts)
    return keys | set(ctx.metrics)
