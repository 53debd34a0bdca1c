"""Every figure of scores of steps: what selectors note, and the measures of judges of steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from askesis.context import Verdicts
from askesis.judge.several import Several
from askesis.judge.steps.head import StepHead
from askesis.judge.steps.truth import StepTruth
from askesis.judge.verifier import Verifier
from askesis.measure.padding import PaddingProbe
from askesis.measure.step_quality import StepQuality
from askesis.records import Group, TaskRole
from askesis.select.played import Played
from askesis.select.step_advantages import StepAdvantages
from askesis.select.step_labels import StepLabels
from tests.explore.host import Host, view
from tests.explore.test_sneaky_game import played
from tests.judge.test_step_judges import ALPHABET, GROUP, Chain, tables


class Drawn(Chain):
    """Tasks have the role they were drawn for."""

    def draw(self, role, rng, num, difficulty=None):
        return [replace(self.make(), role=TaskRole(role))] * num


def writer() -> Host:
    """Mostly writes "x," and now and then "y,"; ends now and then."""
    host = tables()
    host.worlds["main"] = Drawn()
    model = host.models["policy"]
    table = np.full((len(ALPHABET) + 2,) * 2, -9.0, np.float32)
    table[[0, 3], 1], table[[0, 3], 2] = 1.0, 0.3
    table[[1, 2], 3], table[[1, 2], 4] = 1.0, 0.0
    model.module.logits.data[:] = model.module.logits.data.new_tensor(table)
    return host


def step_keys() -> set[str]:
    """Keys with their stage."""
    host, keys = writer(), set(played(Played(), num=1)[0])
    said = Verdicts(host.judge(Several(judges=(StepTruth(), Verifier())), GROUP))
    for part in (StepAdvantages(), StepLabels()):
        ctx = host.context("select", slot="select.policy")
        part.select(ctx, [GROUP], said)
        keys |= set(ctx.metrics)
    ctx = host.context("measure")
    found = StepQuality(judge=StepHead(says="correctness"), num_tasks=60).measure(ctx, None)
    groups = [GROUP, Group("two", GROUP.attempts[:2])]
    probe = PaddingProbe(judge=StepHead(), pad=",x").measure(host.context("measure"), view(groups))
    return keys | {f"measure/{key}" for key in (found | probe)}
