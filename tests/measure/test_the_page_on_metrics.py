"""Every key that a part emits is on the page, and every key on the page is emitted by a part."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from askesis.context import Verdicts
from askesis.learn.credit import GeneralisedAdvantages, KLInReward
from askesis.learn.learner import Learn
from askesis.learn.pair_columns import AdvantageGap, PairBeta, PairLabel
from askesis.learn.reference_point import ReferencePoint
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups, Votes
from askesis.measure.preferences import PreferenceAccuracy
from askesis.models.tabular import TabularModel
from askesis.records import About, Group, Sample, Sequence, Start, Verdict, VerdictKind
from askesis.retain.keep_or_revert import KeepOrRevert
from askesis.retain.replay import Replay
from askesis.select.advantages import GroupAdvantages, RunningAdvantages
from askesis.select.group_accuracy import GroupAccuracy
from askesis.select.labelled import Labelled
from askesis.select.outcomes import Outcomes
from askesis.select.pairs import BestAndWorst
from askesis.select.sets import CorrectSets, Rankings
from askesis.select.threshold import Threshold
from askesis.tasks.difficulty_mixed import DifficultyMixed
from tests.explore.host import Host, Sums, attempt, says, view
from tests.learn.fakes import Learning, Net, samples
from tests.measure.drift_keys import drift_keys
from tests.measure.every_key import own_attempt_keys
from tests.measure.mended_keys import mended_keys
from tests.measure.pool_keys import pool_keys
from tests.measure.refined_keys import refined_keys
from tests.measure.steered_keys import steered_keys
from tests.measure.step_keys import step_keys
from tests.measure.tree_keys import tree_keys
from tests.measure.turn_keys import turn_keys
from tests.measure.walked_keys import walked_keys
from tests.recipes.matrix_game import MatrixGame

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def on_the_page() -> set[str]:
    """The keys; a row "key[/low, /high]" stands for three."""
    keys: set[str] = set()
    for key in re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE):
        name, bracket, _ = key.partition("[/low, /high]")
        keys |= {name + end for end in (("", "/low", "/high") if bracket else ("",))}
    return keys


def generalised(key: str) -> str:
    key = re.sub(r"@(?!1(?:\b|_))\d+", "@<k>", key)
    key = re.sub(r"@<k>/\d+", "@<k>/<s>", key)
    key = re.sub(r"_of_bin/\d+", "_of_bin/<bin>", key)
    key = re.sub(r"^measure/fresh/", "measure/", key)
    key = re.sub(r"^measure/turn_accuracy/\d+", "measure/turn_accuracy/<turn>", key)
    key = re.sub(r"^tasks/share_of_bin/\d+", "tasks/share_of_bin/<bin>", key)
    key = re.sub(r"^measure/drift/kl_(base|previous)", "measure/drift/kl_<snapshot>", key)
    key = re.sub(r"^measure/drift/distinct_\d+", "measure/drift/distinct_<n>", key)
    key = re.sub(r"^measure/world/main/", "measure/world/<world>/", key)
    return re.sub(r"^(learn|retain/replay)/policy/", r"\1/<model>/", key)


def emitted() -> set[str]:
    """What the parts write on rounds made so that every one of their figures applies."""
    host = Host(says(lambda text, u: "7" if u < 0.5 else "8"))
    keys: set[str] = set()

    def note(stage: str, found: dict[str, float], ctx) -> None:
        keys.update(f"{stage}/{k}" for k in found)
        keys.update(ctx.metrics)

    ctx = host.context("tasks")
    DifficultyMixed(num=8).draw(ctx)
    note("tasks", {}, ctx)

    task = Sums().make(3, 4)
    hint = Start(task, tag="hint", privileged="7")
    made = [attempt(task, "7", 0), attempt(task, "8", 1), attempt(task, "7", 2, start=hint)]
    votes = [Verdict("self-consistency-v1", About(a.id), VerdictKind.OUTCOME, 1.0, (), (1.0, 0.0))
             for a in made]  # fmt: skip
    truth = [Verdict("verifier:sums-v1", About(a.id), VerdictKind.OUTCOME, v)
             for a, v in zip(made, (1.0, 0.0, 1.0), strict=True)]  # fmt: skip
    groups = [Group("g", tuple(made))]

    ctx = host.context("select", slot="select.policy")
    Threshold().select(ctx, groups, Verdicts(truth))
    note("select", {}, ctx)

    task = Sums().make(1, 1)
    pair = Group("p", tuple(attempt(task, text, i) for i, text in enumerate("ab")))
    won = [Verdict("j", About(a.id), VerdictKind.OUTCOME, float(i))
           for i, a in enumerate(pair.attempts)]  # fmt: skip
    for part in (
        GroupAdvantages(),
        RunningAdvantages(),
        GroupAccuracy(),
        Labelled(),
        CorrectSets(),
        Rankings(),
        Outcomes(),
        BestAndWorst(),
    ):
        state = part.init(None) if hasattr(part, "init") else None
        ctx = host.context("select", slot="select.policy", state=state)
        part.select(ctx, [pair], Verdicts(won))
        note("select", {}, ctx)

    game = Host({"policy": TabularModel("policy", "awxyz"), "reference": TabularModel("reference", "awxyz")},
                world=MatrixGame())  # fmt: skip
    ctx = game.context("measure")
    note("measure", PreferenceAccuracy(num_pairs=4).measure(ctx, None), ctx)

    found = Learn().learn(Learning(), Net(), samples(4), [])
    note("learn/policy", found, host.context("learn"))

    for part in (Ability(num_tasks=4, num_attempts=3, ks=(2,)), Groups(), Votes()):
        ctx = host.context("measure")
        note("measure", part.measure(ctx, view([*groups, pair], [*votes, *truth])), ctx)

    rows = [Sample("policy", (Sequence(np.arange(2, dtype=np.int32), dict.fromkeys(
        ("weight", "logp_old", "logp_reference", "value_old"), np.ones(2, np.float32))),),
        {"advantage": 1.0, "reward": 1.0})]  # fmt: skip
    for maker in (KLInReward(), GeneralisedAdvantages()):
        note("learn/policy", maker(rows)[1], host.context("learn"))
    note("learn/policy", ReferencePoint(of="own")(rows, rows)[1], host.context("learn"))
    margins = [Sample("policy", rows[0].sequences, {"margin": 1.0})]
    for maker in (PairLabel(), PairBeta(), AdvantageGap()):
        note("learn/policy", maker(margins)[1], host.context("learn"))

    replay = Replay()
    state = replay.observe(ctx, {}, view([], samples={"policy": samples(3)}))
    ctx = host.context("retain", state=state)
    replay.mix(ctx, "policy", samples(2))
    note("retain", {}, ctx)

    model = TabularModel("policy", "0123456789+")
    host = Host({"policy": model})
    keep, ctx = KeepOrRevert(every=1, num_tasks=8), host.context("retain")
    keep.on_phase_start(ctx)
    host.shelf.learnt(model, 0)
    note("retain", keep.settle(ctx, view([]), None), ctx)
    keys |= own_attempt_keys() | drift_keys() | turn_keys() | steered_keys()
    keys |= walked_keys() | pool_keys() | mended_keys() | tree_keys()
    keys |= step_keys() | refined_keys()
    return {generalised(k) for k in keys}


def test_every_metric_that_a_part_emits_is_on_the_page():
    assert emitted() - on_the_page() == set()


def test_every_metric_on_the_page_is_emitted_by_a_part():
    assert on_the_page() - emitted() == set()
