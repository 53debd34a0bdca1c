"""glore on tables: every first update against one written out by hand; then by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import WorldError
from askesis.lab.begin import plan_for
from askesis.models.tabular import TabularModel
from askesis.records import Attempt
from askesis.run import Run
from askesis.search.branches import drafts_of, kept_steps, repair_kind
from askesis.worlds.fits import must_fit
from tests.recipes.letters import first_adam_step, metrics_of, on_letters
from tests.recipes.test_process_rewards import QUICK, STEPS, Short
from tests.recipes.whole_runs import figures_by_name

A = "axy,wrongstepi \n0123456789"
IDS = {c: i for i, c in enumerate(A)}
END = len(A)
ONE = (*QUICK, ("phases.main.until.rounds", "1"))
TAUGHT = (*STEPS, ("taught", "1"), ("measure.refinements.num-tasks", "2"))
ONCE = (("learn.outcome.num-batches", "1"), ("learn.outcome.epochs", "1"))


def tables() -> dict[str, Any]:
    """A policy of four letters; heads that know nothing; a refiner that says mostly x."""
    logits = np.zeros((END + 2, END + 2))
    logits[:, 4:END] = -9.0
    models = {n: TabularModel(n, A, logits) for n in ("policy", "outcome", "steps")}
    refiner = logits.copy()
    refiner[:, IDS["x"]], refiner[IDS["x"], END] = 6.0, 12.0
    return models | {"refiner": TabularModel("refiner", A, refiner)}


def refining(path: Any, *options: tuple[str, str]) -> Run:
    models = tables()
    plan = plan_for("glore", list(options))
    both = TAUGHT if len(plan.models) > 1 else ()
    own = {n: models[n] for n in plan.models}
    return on_letters("glore", path, *ONE, *both, *options, world=Short(), models=own)


def told(run: Run, index: int) -> tuple[dict[str, list[Attempt]], dict[str, float]]:
    """Attempts of a round by start's task, and what the verifier says of each."""
    groups: dict[str, list[Attempt]] = {}
    for attempt in run.store.read("attempts", {"round": index}):
        if attempt.purpose != "measure":
            groups.setdefault((attempt.task.id, attempt.start.copy), []).append(attempt)
    rows = run.store.read("verdicts", {"round": index})
    return groups, {v.about.attempt: v.value for v in rows if v.judge.startswith("verifier")}


def steps_by_hand(draft: Attempt, branches: list[Attempt], right: dict[str, float]) -> list[int]:
    num = max(1, len([s for s in draft.text.split(",") if s])) if draft.text.strip(",") else 0
    if right[draft.id]:
        return [1] * num
    last = max((kept_steps(b) for b in branches if right[b.id]), default=0)
    return [int(i < last) for i in range(num)]


@pytest.mark.slow
def test_heads_learn_which_drafts_are_right_and_which_of_their_steps_can_still_be(tmp_path):
    run = refining(tmp_path / "run", *ONCE, ("phases.main.until.rounds", "0"))
    groups, right = told(run, 0)
    drafts = [pair for group in groups.values() for pair in drafts_of(group)]
    gradient = np.zeros(END + 2)
    for draft, _ in drafts:  # of the cross entropy at a logit of 0
        gradient[IDS[("a" + draft.text)[-1]]] += (right[draft.id] - 0.5) / len(drafts)
    found = run.models["outcome"].module.value.detach()
    sure = torch.tensor(np.abs(gradient) > 1e-6)
    step = first_adam_step(gradient, 1e-3)
    torch.testing.assert_close(found[sure], step[sure], atol=1e-6, rtol=1e-3)
    # steps: at each place good and bad ones weigh alike
    rows = []
    for draft, branches in drafts:
        labels = steps_by_hand(draft, branches, right)
        if labels and (right[draft.id] or branches or len(labels) == 1):
            rows.append((draft, labels))
    assert metrics_of(run, 0)["select/steps/steps"] == sum(len(labels) for _, labels in rows)
    for place in range(max(len(labels) for _, labels in rows)):
        here = [labels[place] for _, labels in rows if len(labels) > place]
        samples = [s.sequences[0] for s in run.store.read("samples") if s.model == "steps"]
        weights: dict[int, float] = {0: 0.0, 1: 0.0}
        for row in samples:
            at = np.flatnonzero(row.columns["weight"])
            if len(at) > place and 0 < sum(here) < len(here):
                weights[int(row.columns["label"][at[place]])] += row.columns["weight"][at[place]]
        if place == 0:
            assert 0 < sum(here) < len(here)
            assert weights[0] == pytest.approx(weights[1]) == pytest.approx(len(here) / 2, rel=0.01)
    assert not [s for s in run.store.read("samples") if s.model == "policy"]
    run.store.close()


@pytest.mark.slow
def test_the_policy_learns_drafts_and_refinements_from_the_task_alone(tmp_path):
    run = refining(tmp_path / "run", ("taught", "0"), ("phases.main.explore.accept", "none"))
    groups, right = told(run, 0)
    chosen, seen = [], set()
    for group in groups.values():
        assert sum(bool(repair_kind(a)) for a in group) == 2 * sum(
            bool(a.text) for a, _ in drafts_of(group)
        )
        for attempt in group:
            if right[attempt.id] and not attempt.stop.cut_off:
                seen.add(attempt.text)
                chosen.append(attempt)
    learnt = [s for s in run.store.read("samples") if s.model == "policy"]
    decode = run.models["policy"].renderer.decode
    by_id = {a.id: a for a in chosen}
    mended = [s for s in learnt if repair_kind(by_id[s.sources[0]])]
    assert learnt and mended
    for sample in learnt:
        (row,) = sample.sequences
        assert decode(row.tokens) == "a" + by_id[sample.sources[0]].text
    found = metrics_of(run, 0)
    assert found["select/repaired_fraction"] == pytest.approx(len(mended) / len(learnt))
    run.store.close()


@pytest.mark.slow
def test_without_refining_it_is_rejection_sampling(tmp_path):
    run = refining(tmp_path / "run", ("how", "none"), ("learn.policy.num-batches", "1"))
    assert [p.name for p in plan_for("glore", [("how", "none")]).phases] == ["main"]
    assert set(run.models) == {"policy"}
    groups, right = told(run, 0)
    push = []
    for group in groups.values():
        kept = {a.text: a for a in reversed(group) if right[a.id] and not a.stop.cut_off}
        push += list(kept.values())
    num = sum(a.num_tokens for a in push)
    logits = tables()["policy"].module.logits.detach().double()
    logits[:, -1] = -torch.inf  # padding is never said
    logits = logits.softmax(-1)
    gradient = np.zeros((END + 2, END + 2))
    for attempt in push:
        (turn,) = attempt.turns
        for before, token in zip([turn.context[-1], *turn.tokens[:-1]], turn.tokens, strict=True):
            gradient[before] += (np.eye(END + 2)[token] - logits[before].numpy()) / num
    assert len(push) > 5
    assert metrics_of(run, 0)["learn/policy/grad_norm"] == pytest.approx(
        np.linalg.norm(gradient), rel=1e-2
    )
    run.store.close()


def test_a_world_without_answers_is_refused():
    class Silent(Short):
        truth = frozenset({"preference"})

    with pytest.raises(WorldError, match=r"'glore' needs a verifier of answers"):
        must_fit("glore", Silent())


FEW = [("taught", "1"), ("phases.main.until.rounds", "1"), ("tasks.num", "16"),
       ("phases.main.explore.accept", "0.9"), ("measure.refinements.num-tasks", "4"),
       ("measure.ability.num-tasks", "4"), ("measure.ability.num-attempts", "2"),
       ("measure.step-quality.num-tasks", "4"), ("measure.step-quality.num-attempts", "2")]  # fmt: skip
KEYS = ("select/samples", "select/steps/steps", "select/refiner/global_lessons",
        "select/refiner/local_lessons", "learn/refiner/tokens", "learn/outcome/tokens")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("world", ["chain_arithmetic?difficulty=0", "addition"])
def test_it_runs_by_name_to_the_metrics_it_had(tmp_path, quick_warm_start, world):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    num = "48" if world.startswith("chain") else "4"  # so that some are right, and cheap
    found = figures_by_name(
        tmp_path / "run", "glore", world, [("phases.taught.explore.num-attempts", num), *FEW]
    )
    got = [found.get(k, 0.0) for k in KEYS]
    assert got == pytest.approx(GOLDEN[world.partition("?")[0]], rel=1e-6)


GOLDEN: dict[str, list[float]] = {
    "chain_arithmetic": [768.0, 294.0, 12.0, 12.0, 11324.0, 89136.0],
    "addition": [64.0, 90.0, 0.0, 0.0, 0.0, 12080.0],
}
