"""Preferences between steps of a plan, on tables: the first update against one by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError, WorldError
from askesis.lab.begin import plan_for
from askesis.models.tabular import TabularModel
from askesis.records import Attempt, StopReason
from askesis.run import Run
from askesis.trees import Tree
from askesis.worlds.fits import must_fit
from tests.recipes.letters import first_adam_step, hand_gradient, on_letters
from tests.recipes.test_process_rewards import ALPHABET, QUICK, Short
from tests.recipes.test_search_recipes import END, IDS, attempts_of, trees_of
from tests.recipes.whole_runs import figures_by_name, killed_and_whole_are_one, to_its_end


class Easy(Short):
    """Right is an answer with an x in it."""

    max_answer_tokens = 8

    def verify(self, task: Any, answer: str) -> Any:
        return replace(super().verify(task, answer), score=float("x" in answer))


LINES = (("plans", "0"), ("explore.edge.mark", ""))  # a line is a plan's where it ends
STILL = ("learn.policy.learning-rate", "1e-12")


def planned(path: Any, *options: tuple[str, str], head: Any = None) -> Run:
    """A finished run of one round, both models tables of zeros; head: letter -> value."""
    models = {name: TabularModel(name, ALPHABET) for name in ("policy", "value")}
    for letter, value in (head or {}).items():
        models["value"].module.value.data[IDS[letter]] = value
    once = (("num-simulations", "12"), ("rounds", "1"), ("prefer.policy.num-batches", "1"))
    return on_letters("critical_plan_steps", path, *QUICK, *LINES, *once, *options,
                      world=Easy(), models=models)  # fmt: skip


def tokens_of(attempts: dict[str, Attempt], tree: Tree, index: int) -> Any:
    """An edge as `hand_gradient` reads it: the token before it, and those that it says."""
    node = tree.nodes[index]
    ids = [IDS[c] for t in node.edge for c in t.text]
    name = tree.attempt_id(index)
    if name and attempts[name].stop is StopReason.ENDED:
        ids.append(END)
    said = "a" + "".join(t.text for n in tree.path(node.parent) for t in n.edge)
    return SimpleNamespace(turns=(SimpleNamespace(context=[IDS[said[-1]]], tokens=ids),))


def by_definition(tree: Tree) -> list[tuple[int, int, float]]:
    """(better, worse, gap) of card [24], place by place."""
    found = []
    for node in tree.nodes:
        seen = [c for c in tree.children(node.index) if c.visits]
        lines, ends = ([c for c in seen if c.terminal == side] for side in (False, True))
        found += [(b.index, w.index, b.value - w.value)
                  for b in lines for w in lines if b.value > 0 > w.value]  # fmt: skip
        if ends:
            best, worst = max(ends, key=lambda c: c.value), min(ends, key=lambda c: c.value)
            if best.value > 0 > worst.value:
                found.append((best.index, worst.index, 0.3 * (best.value - worst.value)))
    return found


@pytest.mark.parametrize("alpha", ["1", pytest.param("0", marks=pytest.mark.slow)])
def test_a_step_is_preferred_to_its_sibling_the_more_the_wider_the_gap(tmp_path, alpha):
    run = planned(tmp_path / "run", STILL, ("alpha", alpha), head={",": 0.5})
    trees, attempts = [tree for tree, _ in trees_of(run)], attempts_of(run)
    pairs = [(t, *pair) for t in trees for pair in by_definition(t)]
    kept = [s for s in run.store.read("samples", {"round": 0}) if len(s.sequences) == 2]
    gaps = sorted(round(s.columns["advantage_gap"], 4) for s in kept)
    assert gaps == sorted(round(gap, 4) for *_, gap in pairs)
    assert {t.nodes[b].terminal for t, b, _, _ in pairs} == {False, True} and len(pairs) > 10
    pushes = []
    for tree, better, worse, gap in pairs:  # at a margin of 0 the slope is beta * sigmoid(alpha A)
        push = 0.3 / (1 + np.exp(-float(alpha) * gap)) / len(pairs)
        pushes.append((tokens_of(attempts, tree, better), push))
        pushes.append((tokens_of(attempts, tree, worse), -push))
    gradient = hand_gradient(pushes)
    sure = np.abs(gradient) > 1e-4
    assert sure.sum() > 10
    table = run.models["policy"].module.logits.detach()
    expected = first_adam_step(gradient, 1e-4)
    torch.testing.assert_close(table[sure], expected[sure], atol=1e-7, rtol=1e-2)
    run.store.close()


@pytest.mark.slow
def test_places_are_worth_what_the_value_model_says_and_ends_what_they_are(tmp_path):
    head = {"x": 0.5, "y": -2.0, ",": 0.3}
    run = planned(tmp_path / "run", STILL, head=head)
    attempts, lines = attempts_of(run), 0
    for tree, ends in trees_of(run):
        for node in tree.nodes[1:]:
            text = "".join(t.text for t in node.edge)
            if node.index in ends:
                is_cut = attempts[tree.attempt_id(node.index)].stop.cut_off
                assert node.value == (1.0 if ends[node.index] and not is_cut else -1.0)
            else:
                lines += 1
                assert text.endswith(",") and text.count(",") == 1
                if "own" in node.labels and not node.terminal:
                    assert node.labels["own"] == pytest.approx(np.tanh(head[","]), abs=1e-6)
    assert lines > 10
    run.store.close()


@pytest.mark.slow
def test_every_round_learns_right_ways_from_the_phases_first_weights(tmp_path):
    once = (("learn.policy.num-batches", "1"), ("prefer.policy.learning-rate", "1e-12"), ("rounds", "2"),
            ("learn.policy.epochs", "1"))  # fmt: skip
    run = planned(tmp_path / "run", *once)
    attempts = attempts_of(run, 1)
    rows = [s for s in run.store.read("samples", {"round": 1}) if s.model == "policy"]
    mine = [attempts[s.sources[0]] for s in rows if len(s.sequences) == 1]  # others are pairs
    assert len(mine) > 3 and {s["id"] for s in run.store.snapshots()} >= {"policy@2", "value@2"}
    num = sum(a.num_tokens for a in mine)
    gradient = hand_gradient([(a, 1 / num) for a in mine])
    sure = np.abs(gradient) > 1e-4
    table = run.models["policy"].module.logits.detach()
    torch.testing.assert_close(
        table[sure], first_adam_step(gradient, 3e-4)[sure], atol=1e-6, rtol=1e-2
    )
    run.store.close()


@pytest.mark.slow
def test_whole_answers_of_the_same_trees_are_the_other_preference(tmp_path):
    run = planned(tmp_path / "run", STILL, ("prefer", "answers"))
    attempts = attempts_of(run)
    pairs = [s for s in run.store.read("samples", {"round": 0}) if len(s.sequences) == 2]
    assert len(pairs) > 5
    for sample in pairs:
        assert sample.columns["margin"] == 1
        for row, name in zip(sample.sequences, sample.sources, strict=True):
            assert row.columns["weight"].sum() == attempts[name].num_tokens
    run.store.close()


def test_a_phase_of_demonstrations_teaches_plans_before(tmp_path):
    names = [p.name for p in plan_for("critical_plan_steps", []).phases]
    assert names == ["plans", "main"]
    assert [p.name for p in plan_for("critical_plan_steps", [("plans", "0")]).phases] == ["main"]
    with pytest.raises(ConfigError):
        plan_for("critical_plan_steps", [("beta", "0")])


def test_a_world_without_answers_has_nothing_to_plan_for():
    class Silent(Short):
        truth = frozenset({"preference"})

    with pytest.raises(WorldError, match=r"critical_plan_steps.* needs a verifier.*"):
        must_fit("critical_plan_steps", Silent())


# ---------------------------------------------------------------- by name, on two worlds


FEW = [("phases.main.until.rounds", "1"), ("phases.main.parts.tasks.num", "16"), ("plans", "128"),
       ("measure.ability.num-tasks", "4"), ("measure.ability.num-attempts", "2")]  # fmt: skip
WORLDS = ("countdown?difficulty=0", "chain_arithmetic?difficulty=0")
KEYS = ("measure/tree/nodes", "measure/tree/attempts", "measure/tree/judged", "select/pairs",
        "select/value/samples", "learn/value/tokens")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.partition("?")[0])
def test_critical_plan_steps_runs_by_name_to_the_metrics_it_had(tmp_path, quick_warm_start, world):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    found = figures_by_name(tmp_path / "run", "critical_plan_steps", world, FEW)
    got = [found.get(k, 0.0) for k in KEYS]
    assert got == pytest.approx(GOLDEN[world.partition("?")[0]], rel=1e-6), got
    assert found["measure/tree/broken_fraction"] == 0


GOLDEN: dict[str, list[float]] = {
    "countdown": [6.0, 5.0, 4.5625, 0.0, 64.0, 4241.0],
    "chain_arithmetic": [6.0, 5.0, 6.0, 4.0, 68.0, 1395.0],
}


def finish(path: Any) -> Run:
    """Begin or continue a run on tables, to its end."""
    plan = plan_for(
        "critical_plan_steps", [*QUICK, *LINES, ("num-simulations", "6"), ("rounds", "2")]
    )
    models = {name: TabularModel(name, ALPHABET) for name in plan.models}
    return to_its_end(path, plan, Short(), models)


@pytest.mark.slow
def test_a_run_killed_between_its_two_lessons_ends_as_the_whole_one(tmp_path, monkeypatch):
    killed_and_whole_are_one(tmp_path, monkeypatch, finish, lesson=6)
