"""OmegaPRM on tables: labels, votes and first updates against ones written out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError, WorldError
from askesis.judge.wrong import Misled
from askesis.lab.begin import plan_for
from askesis.models.tabular import TabularModel
from askesis.run import Run
from askesis.worlds.fits import must_fit
from tests.recipes.letters import first_adam_step, metrics_of, on_letters
from tests.recipes.test_process_rewards import ALPHABET, QUICK, STEPS, Short
from tests.recipes.whole_runs import figures_by_name, killed_and_whole_are_one, to_its_end

END = len(ALPHABET)
ONE = (("rounds", "1"), ("tasks.num", "12"), *STEPS)


def run_of(path: Any, *options: tuple[str, str], heads: dict[str, float] | None = None) -> Run:
    """A finished run of one round a phase, models of zeros but for what the head says of letters."""
    models = {name: TabularModel(name, ALPHABET) for name in ("policy", "steps")}
    for letter, value in (heads or {}).items():
        models["steps"].module.value.data[ALPHABET.index(letter)] = value
    return on_letters("omega_prm", path, *QUICK, *ONE, *options, world=Short(), models=models)


def test_the_head_learns_the_share_of_right_completions_of_each_prefix(tmp_path):
    once = (
        ("label-rounds", "1"),
        ("learn.steps.num-batches", "1"),
        ("learn.steps.epochs", "1"),
    )
    run = run_of(tmp_path / "run", *once)
    said = {v.about.attempt: v.value for v in run.store.read("verdicts", {"round": 0})}
    attempts = {a.id: a for a in run.store.read("attempts", {"round": 0})}
    labels, popped = [], 0
    for tree in run.store.read("trees", {"round": 0}):
        for node in tree.nodes:
            below = [n for n in tree.children(node.index) if n.terminal]
            if not node.terminal:
                right = [said[tree.attempt_id(n.index)] for n in below]
                assert len(right) == node.visits == 8 and node.value == np.mean(right)
                assert sum(n.visits for n in below) == len(set(right))
                popped += node.labels["popped"]
            else:
                (turn,) = attempts[tree.attempt_id(node.index)].turns
                assert turn.text == "".join(t.text for t in tree.turns(node.index))
            if node.visits and node.terminal:
                labels.append((int(turn.tokens[-1]), node.value))
            elif node.visits:
                read = [tree.start.task.prompt, *(t.text for t in tree.turns(node.index))]
                labels.append((ALPHABET.index("".join(read)[-1]), node.value))
    found = metrics_of(run, 0)
    assert popped > 3 and found["select/prefixes"] == len(labels)
    assert len({round(v, 3) for _, v in labels}) > 4
    gradient = np.zeros(END + 2)
    for token, label in labels:  # of the cross entropy at a logit of 0
        gradient[token] += (label - 0.5) / len(labels)
    assert found["learn/steps/grad_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
    head = run.models["steps"].module.value.detach()
    torch.testing.assert_close(head, first_adam_step(gradient, 1e-3), atol=1e-6, rtol=1e-3)
    run.store.close()


@pytest.mark.slow
def test_answers_vote_by_the_product_of_their_steps_and_the_winner_is_learnt(tmp_path):
    heads = {"x": 1.3, "y": -0.7, ",": 0.4, "a": -0.2}
    run = run_of(tmp_path / "run", ("label-rounds", "0"), ("num-attempts", "6"), heads=heads)
    logits = np.array([*(heads[c] for c in ALPHABET), 0.0, 0.0])
    attempts = [a for a in run.store.read("attempts", {"round": 0}) if a.purpose != "measure"]
    spans = {
        v.about.attempt: [end for _, _, end in v.about.spans]
        for v in run.store.read("verdicts", {"round": 0})
        if v.judge.startswith("step-head") and v.vector
    }
    learnt = {s.sources[0] for s in run.store.read("samples", {"round": 0})}
    groups: dict[str, dict[str, list[float]]] = {}
    for attempt in attempts:
        if attempt.id in spans:
            (turn,) = attempt.turns
            ends = [int(turn.tokens[end - 1]) for end in spans[attempt.id]]
            weight = float(np.prod(1 / (1 + np.exp(-logits[ends]))))
            groups.setdefault(attempt.start.key, {}).setdefault(attempt.text, []).append(weight)
    kept = {a.start.key: a for a in attempts if a.id in learnt}
    several = 0
    assert len(kept) == len(learnt) > 3
    for key, attempt in kept.items():
        votes = {text: sum(weights) for text, weights in groups[key].items()}
        assert votes[attempt.text] == pytest.approx(max(votes.values()))
        several += max(votes, key=lambda t: len(groups[key][t])) != attempt.text
    assert several  # the weights overruled a plain majority now and then
    run.store.close()


@pytest.mark.slow
def test_by_brute_force_every_step_of_an_answer_is_completed(tmp_path):
    run = run_of(tmp_path / "run", ("label-rounds", "1"), ("labels", "steps"))
    rows = [v for v in run.store.read("verdicts", {"round": 0}) if v.judge == "rollouts-v1"]
    assert len(rows) == 12 and not list(run.store.read("trees", {"round": 0}))
    assert metrics_of(run, 0)["select/steps"] == sum(len(v.vector) for v in rows)
    run.store.close()


@pytest.mark.slow
def test_by_halves_alone_every_step_up_to_the_one_that_lost_an_answer_is_labelled(tmp_path):
    run = run_of(tmp_path / "run", ("label-rounds", "1"), ("labels", "halves"))
    rows = [v for v in run.store.read("verdicts", {"round": 0}) if v.judge == "first-error:halves"]
    known = [v.vector for v in rows if v.vector]
    assert len(rows) == 12 * 8 and {v[-1] for v in known} == {0.0, 1.0}
    assert all(set(v[:-1]) <= {1.0} for v in known)
    found, steps = metrics_of(run, 0), [x for v in known for x in v]
    assert found["select/steps"] == len(steps) and found["select/good_fraction"] == np.mean(steps)
    run.store.close()


@pytest.mark.slow
def test_a_wrong_judge_misleads_the_search_too(tmp_path):
    plan = plan_for("omega_prm", [("false-pass", "1")])
    explore = plan.phases[0].parts.explore
    assert isinstance(explore, Misled) and explore.false_pass == 1.0
    assert not isinstance(plan.phases[1].parts.explore, Misled)
    run = run_of(tmp_path / "run", ("label-rounds", "1"), ("false-pass", "1"))
    for tree in run.store.read("trees", {"round": 0}):
        assert [n.value for n in tree.nodes if not n.terminal] == [1.0]  # nothing looks wrong
    run.store.close()


def test_a_world_without_answers_is_refused(tmp_path):
    class Silent(Short):
        truth = frozenset({"preference"})

    with pytest.raises(WorldError, match=r"omega_prm.* needs a verifier"):
        must_fit("omega_prm", Silent())
    with pytest.raises(WorldError, match="ErrorTree asks whether completions are right"):
        on_letters("omega_prm", tmp_path / "run", world=Silent(), models=None)
    with pytest.raises(ConfigError, match="num_rollouts is out of range; expected at least 1"):
        plan_for("omega_prm", [("explore.search.num-rollouts", "0")])


# ---------------------------------------------------------------- by name, and killed


FEW = [("rounds", "1"), ("tasks.num", "8"), ("label-rounds", "1"), ("num-attempts", "4"),
       ("measure.ability.num-tasks", "4"), ("measure.ability.num-attempts", "2"),
       ("measure.step-quality.num-tasks", "4"), ("measure.step-quality.num-attempts", "2")]  # fmt: skip
WORLDS = ("chain_arithmetic?difficulty=0", "countdown?difficulty=0")
KEYS = ("measure/tree/nodes", "measure/tree/simulations", "select/prefixes", "select/samples")


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.partition("?")[0])
def test_it_runs_by_name_to_the_metrics_it_had(tmp_path, quick_warm_start, world):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    found = figures_by_name(tmp_path / "run", "omega_prm", world, FEW)
    got = [found.get(k, 0.0) for k in KEYS]
    assert got == pytest.approx(GOLDEN[world.partition("?")[0]], rel=1e-6)


GOLDEN: dict[
    str, list[float]
] = {  # so little warmed it solves nothing, and there is nothing to pop
    "chain_arithmetic": [9.0, 0.0, 16.0, 8.0],
    "countdown": [9.0, 0.0, 16.0, 8.0],
}


def finish(path: Any) -> Run:
    """Begin or continue a run on tables, to its end."""
    plan = plan_for("omega_prm", [*QUICK, *STEPS, ("rounds", "2"), ("tasks.num", "6")])
    models = {name: TabularModel(name, ALPHABET) for name in plan.models}
    return to_its_end(path, plan, Short(), models)


@pytest.mark.slow
def test_a_run_killed_while_learning_ends_as_the_whole_one(tmp_path, monkeypatch):
    killed_and_whole_are_one(tmp_path, monkeypatch, finish)
