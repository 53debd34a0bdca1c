"""The metrics of drafts that are refined."""

from __future__ import annotations

from askesis.context import Verdicts
from askesis.explore.refine import Refine
from askesis.judge.reward_model import RewardModel
from askesis.judge.verifier import Verifier
from askesis.measure.refinements import Refinements
from askesis.records import Group
from askesis.select.refine_lessons import RefineLessons
from askesis.select.repair_trees import DraftPairs
from tests.explore.drafting import RIGHT, drafting
from tests.judge.test_branch_labels import B1, DRAFT, HOST, OTHER, Says
from tests.search.test_repair_trees import grown, wrong


def refined_keys() -> set[str]:
    """Every key, on a round in which every figure applies."""
    ctx = drafting()[0].context("measure")
    found = Refinements(explore=Refine(), judge=RewardModel(role="outcome"), num_tasks=8)
    keys = {f"measure/{key}" for key in found.measure(ctx, None)}
    group = Group("g", (DRAFT, OTHER, B1))
    said = Verdicts(HOST.judge(Says(frozenset({"o"})), group))
    ctx = HOST.context("select", slot="select.policy")
    RefineLessons(kinds=("global",)).select(ctx, [group], said)
    keys |= set(ctx.metrics) | {"select/local_lessons"}
    group, _, host = grown(wrong, lambda text, u: RIGHT)
    ctx = host.context("select", slot="select.policy")
    DraftPairs().select(ctx, [group], Verdicts(host.judge(Verifier(), group)))
    keys |= set(ctx.metrics)
    return keys
