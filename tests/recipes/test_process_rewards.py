"""Recipes of process rewards on tables: every first update against one written out by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from askesis.errors import WorldError
from askesis.formulas.advantages import leave_one_out
from askesis.formulas.step_rewards import delta
from askesis.lab.begin import begin, plan_for
from askesis.models.tabular import TabularModel
from askesis.records import Attempt, Verdict
from askesis.run import Run
from askesis.store.run_store import RunStore
from tests.judge.test_step_judges import ALPHABET, Chain
from tests.recipes.letters import first_adam_step, hand_gradient, metrics_of, on_letters
from tests.recipes.whole_runs import killed_and_whole_are_one, to_its_end


class Short(Chain):
    """Right is an answer with one letter x that ends in a letter: solved now and then."""

    max_answer_tokens = 5

    def draw(self, role, rng, num, difficulty=None):
        names = [f"chain:{n}" for n in rng.integers(1_000_000, size=num)]
        return [replace(self.make(), id=name, role=role) for name in names]

    def canonical(self, task):
        return task.id

    def verify(self, task, answer):
        found = super().verify(task, answer)
        right = answer.count("x") == 1 and not answer.endswith(",")
        return type(found)(float(right), "", answer, found.steps, found.spans)


QUICK = (("measure-every", "99"), ("tasks.num", "32"), ("measure.ability.num-tasks", "2"),
         ("measure.ability.num-attempts", "2"))  # fmt: skip
STEPS = (("measure.step-quality.num-tasks", "2"), ("measure.step-quality.num-attempts", "2"))


def on_chains(recipe: str, path, *options: tuple[str, str]) -> Run:
    names = plan_for(recipe, list(options)).models
    models = {name: TabularModel(name, ALPHABET) for name in names}
    quick = (*QUICK, *(() if recipe == "ppo" else STEPS))
    return on_letters(recipe, path, *quick, *options, world=Short(), models=models)


def read(run: Run, index: int) -> tuple[list[list[Attempt]], dict[str, dict[str, Verdict]]]:
    """Groups of a round's own attempts; judge -> attempt -> verdict."""
    groups: dict[str, list[Attempt]] = {}
    for attempt in run.store.read("attempts", {"round": index}):
        if attempt.purpose != "measure":
            groups.setdefault(attempt.start.key, []).append(attempt)
    said: dict[str, dict[str, Verdict]] = {}
    for verdict in run.store.read("verdicts", {"round": index}):
        said.setdefault(verdict.judge, {})[verdict.about.attempt] = verdict
    return list(groups.values()), said


def moved(run: Run, model: str, gradient: np.ndarray, rate: float, longest: float = 1.0) -> None:
    """The model, a table of zeros before, has made one step of Adam along this gradient."""
    length = np.linalg.norm(gradient)
    assert length > 0
    expected = first_adam_step(gradient * min(1.0, longest / length), rate)
    table = run.models[model].module.logits.detach()
    sure = np.abs(gradient) > 1e-5
    torch.testing.assert_close(table[sure], expected[sure], atol=1e-5, rtol=1e-3)


def log_ratio(run: Run, model: str, attempt: Attempt) -> np.ndarray:
    """Of each token, under a table now and under one of zeros."""
    rows = run.models[model].module.logits.detach().double()[:, :5].log_softmax(-1)
    (turn,) = attempt.turns
    ids = [turn.context[-1], *turn.tokens]
    return np.array([float(rows[a, b]) + np.log(5) for a, b in pairwise(ids)])


# ---------------------------------------------------------------- implicit rewards


@pytest.mark.slow
def test_the_reward_learns_outcomes_and_the_policy_the_best_by_its_weakest_step(tmp_path):
    options = (
        ("rounds", "1"),
        ("num-attempts", "6"),
        ("tasks.num", "12"),
        ("learn.reward.learning-rate", "0.1"),
    )
    run = on_chains("implicit_prm", tmp_path / "run", *options)
    groups, said = read(run, 0)
    every = [a for group in groups for a in group]
    labels = [said["verifier:chain-v1"][a.id].value for a in every]
    # at a log-ratio of 0 the cross entropy pushes an answer by beta * (label - 1/2)
    pushes = [(a, 0.05 * (y - 0.5) / len(every)) for a, y in zip(every, labels, strict=True)]
    moved(run, "reward", hand_gradient(pushes), 0.1)
    groups, said = read(run, 1)
    best, expected = {s.sources[0] for s in run.store.read("samples", {"round": 1})}, 0
    for group in groups:
        weakest = {}
        for attempt in group:
            verdict = said["implicit-v1"][attempt.id]
            ratio = 0.05 * log_ratio(run, "reward", attempt)
            steps = [ratio[a:b].sum() for _, a, b in verdict.about.spans]
            assert list(verdict.vector) == pytest.approx(steps, abs=1e-6)
            if steps and not attempt.stop.cut_off:
                weakest[attempt.id] = min(steps)
        chosen = [a.id for a in group if a.id in best]
        assert len(chosen) == bool(weakest)
        if weakest:
            expected += 1
            assert weakest[chosen[0]] == pytest.approx(max(weakest.values()), abs=1e-7)
    assert expected > 3 and len({m["key"] for m in run.store.metrics()}) > 5
    run.store.close()


def banded(groups: list[list[Attempt]], values: dict[str, Verdict]) -> list[list[Attempt]]:
    return [g for g in groups if 0.2 <= np.mean([values[a.id].value for a in g]) <= 0.8]


@pytest.mark.slow
def test_primes_first_round_is_rloo_in_the_band_and_its_reward_learns_beside_it(tmp_path):
    run = on_chains("prime", tmp_path / "run", ("rounds", "2"), ("num-attempts", "6"))
    groups, said = read(run, 0)
    outcome = said["verifier:chain-v1"]
    kept = banded(groups, outcome)
    assert 1 < len(kept) < len(groups)
    credit = [(a, x) for g in kept
              for a, x in zip(g, leave_one_out([outcome[a.id].value for a in g]), strict=True)]  # fmt: skip
    assert set(said["implicit-v1"]) == {a.id for a, _ in credit}
    assert all(x == 0 for v in said["implicit-v1"].values() for x in v.vector)
    every = np.concatenate([np.full(a.num_tokens, x) for a, x in credit])
    pushes = [(a, (x - every.mean()) / every.std() / len(every)) for a, x in credit]
    found = metrics_of(run, 0)
    length = np.linalg.norm(hand_gradient(pushes))
    assert found["learn/policy/grad_norm"] == pytest.approx(length, rel=1e-4)
    num = len(credit)
    labels = [(a, 0.05 * (outcome[a.id].value - 0.5) / num) for a, _ in credit]
    length = np.linalg.norm(hand_gradient(labels))
    assert found["learn/reward/grad_norm"] == pytest.approx(length, rel=1e-4)
    run.store.close()


@pytest.mark.slow
def test_primes_second_round_pays_tokens_what_the_updated_reward_says_of_them(tmp_path):
    run = on_chains("prime", tmp_path / "run", ("rounds", "2"), ("num-attempts", "6"))
    groups, said = read(run, 0)
    outcome = said["verifier:chain-v1"]
    first = [a for g in banded(groups, outcome) for a in g]
    labels = [(a, 0.05 * (outcome[a.id].value - 0.5) / len(first)) for a in first]
    table = first_adam_step(hand_gradient(labels), 6e-4).double()[:, :5].log_softmax(-1) + np.log(5)
    groups, said = read(run, 1)
    outcome, rewards = said["verifier:chain-v1"], {}
    kept = banded(groups, outcome)
    for attempt in (a for g in kept for a in g):
        (turn,) = attempt.turns
        ids = [turn.context[-1], *turn.tokens]
        rewards[attempt.id] = np.array([float(table[a, b]) for a, b in pairwise(ids)])
        assert list(said["implicit-v1"][attempt.id].vector) == pytest.approx(
            rewards[attempt.id].tolist(), abs=2e-6
        )
    largest = max(np.abs(np.cumsum(r[::-1])).max() for r in rewards.values())
    credit = {}
    for group in kept:
        outcomes = leave_one_out([outcome[a.id].value for a in group])
        means = [rewards[a.id].mean() / largest for a in group]
        for i, attempt in enumerate(group):
            others = (sum(means) - means[i]) / (len(group) - 1)
            own = rewards[attempt.id] / largest - others
            credit[attempt.id] = outcomes[i] + np.cumsum(own[::-1])[::-1]
    every = np.concatenate(list(credit.values()))
    samples = list(run.store.read("samples", {"round": 1}))
    learnt = [s for s in samples if "advantage" in s.sequences[0].columns]
    assert {s.model for s in samples} == {"policy", "reward"} and len(learnt) == len(credit)
    for sample in learnt:
        (row,) = sample.sequences
        found = row.columns["advantage"][row.columns["weight"] != 0]
        expected = (credit[sample.sources[0]] - every.mean()) / every.std()
        assert found == pytest.approx(expected, abs=0.02)  # of numbers of 1e-3, in float32
    run.store.close()


@pytest.mark.slow
def test_a_frozen_reward_learns_before_and_then_no_more(tmp_path):
    run = on_chains("prime", tmp_path / "run", ("rounds", "2"), ("update", "false"), ("warm", "2"))
    assert [s["id"] for s in run.store.snapshots() if s["model"] == "reward"][-1] == "reward@2"
    assert metrics_of(run, 3)["select/step_reward"] != 0
    run.store.close()
    options = (("rounds", "2"), ("coef", "0"))
    for name, more in (("with", ()), ("without", (("update", "false"),))):
        run = on_chains("prime", tmp_path / name, *options, *more)
        run.store.close()
        if name == "with":
            table = run.models["policy"].module.logits.detach().clone()
    assert torch.equal(table, run.models["policy"].module.logits)  # the reward counts nothing


# ---------------------------------------------------------------- heads


@pytest.mark.slow
def test_progress_under_a_prover_is_added_to_the_outcomes_advantage(tmp_path):
    options = (("rounds", "1"), ("num-attempts", "6"), ("alpha", "2"), ("best-of", "3"),
               ("learn.steps.learning-rate", "0.3"))  # fmt: skip
    run = on_chains("process_advantage", tmp_path / "run", *options)
    groups, said = read(run, 1)
    outcome, pushes = said["verifier:chain-v1"], []
    head = run.models["steps"].module.value.detach().double()
    num = sum(map(len, groups))
    for group in groups:
        outcomes = leave_one_out([outcome[a.id].value for a in group])
        for attempt, credit in zip(group, outcomes, strict=True):
            (turn,) = attempt.turns
            push = np.full(len(turn.tokens), float(credit))
            spans = said["prover-v1"][attempt.id].about.spans if attempt.text.strip(",") else ()
            before = 1 - (1 - head[0].sigmoid()) ** 3
            for _, first, end in spans:
                value = 1 - (1 - head[turn.tokens[end - 1]].sigmoid()) ** 3
                push[first:end] += 2 * float(value - before)
                before = value
            pushes.append((attempt, push / num))
    assert said["step-head-v1:steps"] and metrics_of(run, 1)["select/step_reward"] != 0
    length = np.linalg.norm(hand_gradient(pushes))
    assert metrics_of(run, 1)["learn/policy/grad_norm"] == pytest.approx(length, rel=1e-4)
    run.store.close()


@pytest.mark.slow
def test_without_process_rewards_clip_delta_is_ppo_to_the_last_bit(tmp_path):
    weights = []
    own = (("rounds", "2"), ("paid", "none"), ("phases.steps.until.rounds", "0"))
    for recipe, options in (("ppo", (("rounds", "2"), ("select.policy.scale", "false"))),
                            ("clip_delta", own)):  # fmt: skip
        run = on_chains(recipe, tmp_path / recipe, *options)
        weights.append({k: v.numpy() for k, v in run.models["policy"].weights().items()})
        run.store.close()
    for name, one in weights[0].items():
        np.testing.assert_array_equal(one, weights[1][name])


SLOW = [pytest.param(paid, marks=pytest.mark.slow) for paid in ("raw", "clip", "delta")]


@pytest.mark.slow
@pytest.mark.parametrize("paid", [*SLOW, "clip_delta"])
def test_a_step_is_paid_its_score_clipped_or_differenced(tmp_path, paid):
    options = (("rounds", "1"), ("paid", paid), ("alpha", "2"), ("eta", "0.55"),
               ("learn.steps.learning-rate", "0.3"))  # fmt: skip
    run = on_chains("clip_delta", tmp_path / "run", *options)
    _, said = read(run, 1)
    samples = [s for s in run.store.read("samples", {"round": 1}) if s.model == "policy"]
    several = 0
    for sample in samples:
        (row,) = sample.sequences
        scores = np.array(said["step-head-v1:steps"][sample.sources[0]].vector)
        if "clip" in paid:
            scores = np.minimum(scores - 0.55, 0)
        if "delta" in paid:
            scores = delta(scores)
        found = row.columns["step_reward"][row.columns["weight"] != 0]
        spans = said["step-head-v1:steps"][sample.sources[0]].about.spans
        assert found[[end - 1 for _, _, end in spans]] == pytest.approx(2 * scores, abs=1e-6)
        assert found.sum() == pytest.approx(2 * scores.sum(), abs=1e-5)
        several += len(scores) > 1
    assert several > 3
    run.store.close()


@pytest.mark.parametrize("recipe", ["process_advantage", "clip_delta"])
def test_worlds_that_know_no_answers_are_refused_before_the_first_round(tmp_path, recipe):
    class Silent(Short):
        truth = frozenset({"preference"})

    with pytest.raises(WorldError, match="RolloutValues asks whether completions are right"):
        on_letters(recipe, tmp_path / "run", world=Silent(), models=None)


# ---------------------------------------------------------------- by name, on two worlds


FEW = [("rounds", "1"), ("tasks.num", "8"), ("measure.ability.num-tasks", "4"),
       ("measure.ability.num-attempts", "2"), ("measure.step-quality.num-tasks", "8"),
       ("measure.step-quality.num-attempts", "2")]  # fmt: skip
WORLDS = ("chain_arithmetic?difficulty=0", "countdown?difficulty=0")
RECIPES = ("implicit_prm", "prime", "process_advantage", "clip_delta")


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.partition("?")[0])
@pytest.mark.parametrize("recipe", RECIPES)
def test_it_runs_by_name_to_the_metrics_it_had(tmp_path, quick_warm_start, recipe, world):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    options = [("world", world), *FEW]
    if recipe in ("process_advantage", "clip_delta"):
        options.append(("judge.num-rollouts", "2"))
    if recipe == "prime":
        options.append(("band.low", "0"))  # nothing is right yet
    plan = plan_for(recipe, options)
    run = begin(plan, tmp_path / "run", say=lambda line: None)
    run.improve()
    run.close()
    store = RunStore.open(tmp_path / "run")
    last = max(m["round"] for m in store.metrics())
    found = {m["key"]: m["value"] for m in store.metrics() if m["round"] == last}
    before = {m["key"]: m["value"] for m in store.metrics() if m["round"] == 0}
    keys = ("select/samples", "select/steps_per_attempt", "select/tokens")
    got = [found.get(k, 0.0) for k in keys] + [before.get("measure/steps/num_answers", 0.0)]
    assert got == pytest.approx(GOLDEN[recipe, world.partition("?")[0]], rel=1e-6)
    assert not [k for k in found if k.endswith("num_refused") and found[k]]
    store.close()


GOLDEN = {
    ("implicit_prm", "chain_arithmetic"): [8.0, 0.0, 195.0, 5.0],
    ("implicit_prm", "countdown"): [8.0, 0.0, 264.0, 7.0],
    ("prime", "chain_arithmetic"): [32.0, 30.9375, 1278.0, 6.0],
    ("prime", "countdown"): [32.0, 24.625, 1216.0, 9.0],
    ("process_advantage", "chain_arithmetic"): [32.0, 2.15625, 2026.0, 2.0],
    ("process_advantage", "countdown"): [32.0, 2.0, 1233.0, 5.0],
    ("clip_delta", "chain_arithmetic"): [32.0, 2.15625, 2026.0, 2.0],
    ("clip_delta", "countdown"): [32.0, 2.0, 1233.0, 5.0],
}


def finish(recipe: str, path) -> Run:
    """Begin or continue a run on tables, to its end."""
    options = [*QUICK, *STEPS, ("rounds", "2")]
    options += [("judge.num-rollouts", "2")] if recipe in RECIPES[2:] else []
    plan = plan_for(recipe, options)
    models = {name: TabularModel(name, ALPHABET) for name in plan.models}
    return to_its_end(path, plan, Short(), models)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_killed_while_learning_ends_as_the_whole_one(tmp_path, monkeypatch, recipe):
    killed_and_whole_are_one(tmp_path, monkeypatch, lambda path: finish(recipe, path), lesson=4)
