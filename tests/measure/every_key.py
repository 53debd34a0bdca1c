"""Every figure of the measures that read a round's own attempts, and Ability's optional ones."""

from __future__ import annotations

import numpy as np

from askesis.measure.ability import Ability
from askesis.measure.audit import Audit
from askesis.measure.correction import Correction
from askesis.measure.exploration import Exploration
from askesis.measure.habits import Habits
from askesis.records import About, Group, TaskRole, Verdict, VerdictKind
from askesis.worlds.open import open_world
from tests.explore.host import Host, attempt, says, view
from tests.measure.rounds import Steps, corrected, judged, with_logp


class SaysHalf:
    """A judge without opinion."""

    async def judge(self, ctx, group):
        return [Verdict("half", About(a.id), VerdictKind.OUTCOME, 0.5) for a in group.attempts]


def own_attempt_keys() -> set[str]:
    """Keys with their stage, on rounds made so that every figure applies."""
    world = Steps()
    host = Host(says(lambda text, u: "1" if u < 0.5 else "2"), world=world)
    ctx = host.context("measure")
    keys = set(
        Ability(num_tasks=40, num_attempts=3, ks=(2,), num_bins=1, judge=SaysHalf()).measure(
            ctx, None
        )
    )

    right, wrong = [("1=1", 0.9), ("1", 0.8), ("7", 0.2)], [("7", 0.2), ("8", 0.1), ("9", 0.3)]
    second = [("2", 0.9), ("2=2", 0.4), ("3", 0.6)]
    part = Exploration(threshold=0.5, distinct=(2,))
    state = part.init(None)
    for index, groups in enumerate(([right, wrong, wrong], [right, second, second])):
        seen = with_logp(judged(*groups, world=world, index=index), -1.0)
        ctx = host.context("measure", index, state=state)
        keys |= set(part.measure(ctx, seen))
        state = part.observe(ctx, state, seen)

    seen = judged(right, second, [("3", 0.2), ("3=3", 0.9)], [("0", 0.1), ("0", 0.9)],
                  world=world, steps=True)  # fmt: skip
    keys |= set(Audit().measure(host.context("measure"), seen))

    turns = corrected([["9", "1"], ["1", "1"], ["1", "8"]], [["2", "2"], ["3", "4"], ["2", "2"]])
    keys |= set(Correction().measure(Host(says({})).context("measure"), turns))

    countdown = open_world("countdown")
    tasks = countdown.draw(TaskRole.TRAIN, np.random.default_rng(0), 2)
    groups = [Group(t.id, (attempt(t, "1+1=2", 0), attempt(t, "#3-1=2;2", 1))) for t in tasks]
    keys |= set(Habits().measure(host.context("measure"), view(groups)))
    return {f"measure/{key}" for key in keys}
