"""The first round of every recipe that learns from preferences, against gradients by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError, WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.records import Attempt
from askesis.run import Run, Watcher
from askesis.store.run_store import RunStore
from askesis.worlds.open import open_world
from askesis.worlds.preferences import LETTERS
from tests.recipes.letters import first_adam_step, hand_gradient, metrics_of
from tests.recipes.matrix_game import ANSWERS, CYCLE, MatrixGame, table


def on_matrix(recipe: str, path: Path, *options: tuple[str, str]) -> Run:
    """A finished run on the matrix game from tables of zeros, its store open for reading."""
    plan = plan_for(recipe, [("tasks.num", "8"), ("rounds", "1"), *options])
    models = {name: TabularModel(name, "a" + ANSWERS) for name in plan.models}
    run = Run.create(plan, path, {"main": MatrixGame()}, models, segment_s=0)
    run.improve()
    run.close()
    run.store = RunStore.open(path)
    return run


def groups_of(run: Run, index: int = 0) -> list[list[Attempt]]:
    groups: dict[str, list[Attempt]] = {}
    for attempt in run.store.read("attempts", {"round": index}):
        if attempt.purpose != "measure":
            groups.setdefault(attempt.start.key, []).append(attempt)
    return list(groups.values())


def pushed(pushes: list[tuple[Attempt, float]]) -> np.ndarray:
    """Minus the gradient at a table of zeros over "a", four answers, an end and padding."""
    return hand_gradient(pushes, vocab=7)


def agrees(run: Run, gradient: np.ndarray, rate: float) -> None:
    found, length = metrics_of(run, 0), np.linalg.norm(gradient)
    assert found["learn/policy/grad_norm"] == pytest.approx(length, rel=1e-4)
    moved = np.abs(gradient) > 1e-6
    assert moved.any()
    logits = run.models["policy"].module.logits.detach()
    expected = first_adam_step(gradient * min(1.0, 1 / length), rate)
    torch.testing.assert_close(logits[moved], expected[moved], atol=1e-5, rtol=1e-3)
    run.store.close()


def prefers(first: Attempt, second: Attempt) -> float:
    return MatrixGame().preference(first.task, first.text, second.text)


def test_dpo_pushes_the_chosen_answer_up_and_the_other_down_by_half_of_beta(tmp_path):
    run = on_matrix("dpo", tmp_path / "run", ("learn.policy.learning-rate", "0.1"))
    groups = groups_of(run)
    assert all(
        g[0].rewards["annotator"] == 1.0 and g[1].rewards["annotator"] == 0.0 for g in groups
    )
    pushes = []
    for chosen, rejected in groups:  # the derivative of -log sigmoid(beta * margin) at 0
        pushes += [(chosen, 0.05 / len(groups)), (rejected, -0.05 / len(groups))]
    agrees(run, pushed(pushes), 0.1)


def test_a_reward_model_s_first_step_is_half_a_push_for_each_side(tmp_path):
    run = on_matrix("reward_model", tmp_path / "run", ("learn.reward.learning-rate", "0.1"))
    groups, value = groups_of(run), np.zeros(7)
    for chosen, rejected in groups:  # read after the answer's only letter
        value[chosen.turns[0].tokens[0]] += 0.5 / len(groups)
        value[rejected.turns[0].tokens[0]] -= 0.5 / len(groups)
    found = metrics_of(run, 0)
    assert found["learn/reward/grad_norm"] == pytest.approx(np.linalg.norm(value), rel=1e-5)
    assert found["learn/reward/loss"] == pytest.approx(np.log(2))
    head = run.models["reward"].module.value.detach()
    assert torch.equal(torch.sign(head), torch.sign(torch.tensor(value).float()))
    run.store.close()


@pytest.mark.slow
def test_a_reward_model_learns_who_wins_and_the_judge_reads_what_was_learnt(tmp_path):
    run = on_matrix("online_dpo", tmp_path / "run", ("phases.reward.until.rounds", "30"),
                    ("tasks.num", "64"), ("learn.reward.learning-rate", "0.1"))  # fmt: skip
    scores = run.models["reward"].module.value.detach()[1:5]
    assert scores.argmax() == 0 and scores.argmin() == 3  # the most and the least preferred
    groups = groups_of(run, 30)
    said = {v.about.attempt: v.value for v in run.store.read("verdicts", {"round": 30})}
    for attempt in (a for g in groups for a in g if len(a.text) == 1 and a.text in ANSWERS):
        # what a score is for the last letter of the whole attempt
        assert said[attempt.id] == pytest.approx(float(scores[ANSWERS.index(attempt.text)]))
    sample = next(iter(run.store.read("samples", {"round": 30})))
    best, worst = (said[name] for name in sample.sources)
    assert best - worst == pytest.approx(sample.columns["margin"], rel=1e-5)
    found = {k: v for k, v in metrics_of(run, 0).items() if k.startswith("measure/preference")}
    assert found["measure/preference_accuracy"] >= 0.5
    run.store.close()


@pytest.mark.parametrize("recipe", ["online_dpo", "superhf", "reward_model"])
def test_a_reward_model_learns_to_read_the_turns_that_it_will_judge(recipe):
    """Renderers show a role its own turns otherwise than others', so whose turn it is matters."""
    plan = plan_for(recipe)
    assert {phase.parts.explore.role for phase in plan.phases} == {"policy"} <= set(plan.roles)
    assert plan.phases[0].parts.select["reward"].reader == "reward"
    assert plan.phases[0].measure[0].role == "policy"
    if recipe != "reward_model":
        assert plan.phases[1].parts.judge.role == "reward"


SPO = (("num-votes", "0"), ("learn.policy.learning-rate", "0.1"), ("epochs", "1"))


def test_spo_s_reward_is_the_share_of_wins_in_the_group(tmp_path):
    run = on_matrix("spo", tmp_path / "run", *SPO)
    groups = groups_of(run)
    num, pushes = sum(map(len, groups)), []
    for group in groups:
        for one in group:
            wins = np.mean([prefers(one, other) for other in group if other is not one])
            pushes.append((one, (wins - 0.5) / num))
    agrees(run, pushed(pushes), 0.1)


def test_nash_md_s_reward_is_the_share_of_wins_against_the_opponent(tmp_path):
    run = on_matrix("nash_md", tmp_path / "run", *SPO)
    groups = groups_of(run)
    assert all([t.turns[0].role for t in g] == ["policy"] * 4 + ["opponent"] * 4 for g in groups)
    pushes = [
        (one, (np.mean([prefers(one, other) for other in group[4:]]) - 0.5) / (4 * len(groups)))
        for group in groups
        for one in group[:4]
    ]
    agrees(run, pushed(pushes), 0.1)


class After(Watcher):
    """The table of logits after every round."""

    def __init__(self, model: TabularModel) -> None:
        self.model, self.seen = model, []

    def round_ended(self, rd, metrics) -> None:
        self.seen.append(self.model.module.logits.detach()[0].double().numpy().copy())


@pytest.mark.slow
def test_nash_md_s_opponent_is_the_mixture_of_the_policy_and_the_first_model(tmp_path):
    plan = plan_for("nash_md", [("beta", "0.5"), ("eta", "50"), ("tasks.num", "200"), ("rounds", "2"),
                                ("learn.policy.learning-rate", "0.3")])  # fmt: skip
    policy = table()
    after = After(policy)
    run = Run.create(plan, tmp_path / "run", {"main": MatrixGame()}, {"policy": policy},
                     watchers=[after])  # fmt: skip
    run.improve()
    said = [a for a in run.store.read("attempts", {"round": 1}) if a.turns[0].role == "opponent"]
    run.close()
    weights = np.exp(0.5 * after.seen[0][1:5])  # the first model's are all alike
    shares = [np.mean([a.text == letter for a in said]) for letter in ANSWERS]
    assert shares == pytest.approx(list(weights / weights.sum()), abs=0.05)
    alone = np.exp(after.seen[0][1:5])
    assert np.abs(np.array(shares) - alone / alone.sum()).max() > 0.1
    assert {a.author for a in said} == {"0.5*policy@1+0.5*policy@0"}


@pytest.mark.slow
def test_nash_md_s_other_opponent_is_the_policy_as_it_was_on_average(tmp_path):
    run = on_matrix("nash_md", tmp_path / "run", ("opponent", "average"), ("rounds", "3"))
    speakers = [{a.author for g in groups_of(run, r) for a in g[4:]} for r in range(3)]
    assert speakers == [{"policy@0"}, {"policy~average@1"}, {"policy~average@2"}]
    run.store.close()


@pytest.mark.slow
def test_superhf_learns_the_answer_its_reward_model_likes_best(tmp_path):
    run = on_matrix("superhf", tmp_path / "run", ("num-attempts", "32"), ("tasks.num", "1"),
                    ("phases.main.explore.top-p", "1"), ("select.policy.cut-off", "true"))  # fmt: skip
    said = {v.about.attempt: v.value for v in run.store.read("verdicts", {"round": 1})}
    (group,) = groups_of(run, 1)
    (sample,) = run.store.read("samples", {"round": 1})
    assert len(group) == 32 and len(set(said.values())) > 1
    assert said[sample.sources[0]] == max(said[a.id] for a in group)
    assert metrics_of(run, 1)["learn/policy/kl_reference"] == pytest.approx(0.0, abs=1e-6)
    run.store.close()


@pytest.mark.slow
def test_a_lol_learns_what_is_better_than_its_critic_expects_by_how_much(tmp_path):
    plan = plan_for("a_lol", [("world", "preferences?difficulty=0"), ("tasks.num", "32"),
                              ("rounds", "1"), ("select.policy.priority", "false"),
                              ("learn.*.learning-rate", "0.1")])  # fmt: skip
    models = {name: TabularModel(name, LETTERS) for name in plan.models}
    worlds = open_worlds(plan)
    run = Run.create(plan, tmp_path / "run", worlds, models, segment_s=0)
    run.improve()
    run.close()
    run.store = RunStore.open(tmp_path / "run")
    expected = run.models["critic"].module.value.detach().sigmoid()
    assert len(set(expected.tolist())) > 1
    pushes = []
    for group in groups_of(run, 1):
        for one in group:
            seen = float(expected[one.turns[0].context[-1]])  # the critic reads the prompt alone
            left = worlds["main"].verify(one.task, one.text).score - seen
            pushes += [(one, left)] if left > 0 else []
    assert 0 < len(pushes) < 2 * 32
    gradient = hand_gradient(
        [(a, left / len(pushes)) for a, left in pushes], vocab=len(LETTERS) + 2
    )
    found, length = metrics_of(run, 1), np.linalg.norm(gradient)
    assert found["select/kept_fraction"] == len(pushes) / 64
    assert found["learn/policy/grad_norm"] == pytest.approx(length, rel=1e-4)
    run.store.close()


@pytest.mark.parametrize("recipe", ["dpo", "reward_model", "spo", "nash_md"])
def test_a_world_without_preferences_is_refused_in_a_line(tmp_path, recipe):
    plan = plan_for(recipe, [("world", "addition"), ("tasks.num", "2"), ("rounds", "1")])
    with pytest.raises(WorldError, match=r"needs annotated preferences, .* --world preferences"):
        open_worlds(plan)
    models = {name: TabularModel(name, "0123456789+=/#\n ") for name in plan.models}
    run = Run.create(plan, tmp_path / "run", {"main": open_world("addition")}, models)
    with pytest.raises(WorldError, match="--world preferences") as error:
        run.improve()
    assert "\n" not in str(error.value)
    run.close()


def test_a_reference_of_another_vocabulary_is_refused_in_a_line(tmp_path):
    plan = plan_for("dpo", [("tasks.num", "2"), ("learn.policy.reference", "other")])
    models = {"policy": TabularModel("policy", "a" + ANSWERS), "other": TabularModel("other", "ab")}
    run = Run.create(plan, tmp_path / "run", {"main": MatrixGame()}, models)
    with pytest.raises(ConfigError, match="'other' of model 'policy' has another vocabulary"):
        run.improve()
    run.close()


def test_dpo_learns_from_a_file_of_preferences(tmp_path):
    rows = "".join(
        f'{{"prompt": "{p}", "chosen": "x", "rejected": "y"}}\n'
        for p in ("".join(q) for q in __import__("itertools").product("ab", repeat=7))
    )
    (tmp_path / "mine.jsonl").write_text(rows)
    plan = plan_for("dpo", [("world", f"pairs:{tmp_path}/mine.jsonl"), ("tasks.num", "32"),
                            ("rounds", "4"), ("learn.policy.learning-rate", "0.3")])  # fmt: skip
    model = TabularModel("policy", "abxy")
    run = Run.create(plan, tmp_path / "run", open_worlds(plan), {"policy": model})
    run.improve()
    accuracy = [
        m["value"] for m in run.store.metrics() if m["key"] == "measure/preference_accuracy"
    ]
    run.close()
    assert accuracy == [1.0, 1.0] and CYCLE.shape == (4, 4)
    row = model.module.logits.detach()[0]
    assert row[2] > row[3]
