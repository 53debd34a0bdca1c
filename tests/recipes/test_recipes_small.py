"""Every recipe of policy gradients and preferences: two rounds of a byte model on its own world, and
a killed run that ends as the whole one."""

from __future__ import annotations

import pytest

from askesis.lab.begin import open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.run import Run
from tests.engines.cast import SMALL
from tests.probes.house import LetterWorld
from tests.recipes.matrix_game import ANSWERS, MatrixGame
from tests.recipes.whole_runs import killed_and_whole_are_one, to_its_end

ANSWERED = [
    "reinforce",
    "rloo",
    "grpo",
    "dr_grpo",
    "dapo",
    "gspo",
    "nft",
    "ppo",
    "t1",
    "simplerl_zoo",
]
PREFERRED = ["reward_model", "dpo", "a_lol", "online_dpo", "superhf", "spo", "nash_md"]
GIVEN = {"reward_model", "dpo", "a_lol"}  # they learn from answers that were given


QUICK = {"grpo", "ppo", "online_dpo", "nash_md"}  # one of each kind; the others are slow ones
EVERY = [
    pytest.param(r, marks=() if r in QUICK else pytest.mark.slow) for r in [*ANSWERED, *PREFERRED]
]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", EVERY)
def test_a_recipe_runs_two_rounds_of_a_byte_model_on_its_world(tmp_path, recipe):
    options = [("rounds", "2"), ("tasks.num", "4"), ("measure-every", "9")]
    if recipe in ANSWERED:
        options += [("world", "addition?difficulty=0"), ("explore.max-tokens", "4")]
    if recipe not in {"reinforce", *GIVEN}:
        options += [("num-attempts", "4")]
    plan = plan_for(recipe, options)
    models = {}
    for name, spec in plan.models.items():
        models[name] = tiny_model(name, 0, **SMALL | {"initializer_range": 0.2})
        models[name].add_heads(spec.heads)
    run = Run.create(plan, tmp_path / "run", open_worlds(plan), models)
    run.improve()
    store = run.store
    assert len(store.rounds()) == 2 * len(plan.phases)
    assert run.speakers.voice(next(iter(plan.roles))).engine.name == "native"
    metrics = store.metrics()
    assert all(m["value"] == m["value"] and abs(m["value"]) < 1e9 for m in metrics)
    assert not [m for m in metrics if m["key"].endswith("num_refused") and m["value"]]
    # random weights are never right on their world; what needs no right answer does learn
    learnt = [m["value"] for m in metrics if m["key"].endswith("/num_updates")]
    assert learnt if recipe in ANSWERED else sum(learnt) >= 2
    run.close()


def finish(recipe: str, path, *options: tuple[str, str]) -> Run:
    """Begin or continue a run on tables, to its end."""
    world = MatrixGame() if recipe in PREFERRED else LetterWorld()
    alphabet = "a" + ANSWERS if recipe in PREFERRED else "abxy"
    plan = plan_for(recipe, [("rounds", "3"), ("tasks.num", "4"), ("measure-every", "9"), *options])
    models = {name: TabularModel(name, alphabet) for name in plan.models}
    return to_its_end(path, plan, world, models)


FEW = (("num-attempts", "4"),)
RESUMED = [
    pytest.param("reinforce", (), id="reinforce"),
    pytest.param("ppo", FEW, id="ppo"),
    pytest.param("t1", FEW, id="t1"),
    pytest.param("nash_md", (*FEW, ("opponent", "average")), id="nash_md-average"),
    *(
        pytest.param(r, () if r in GIVEN else FEW, id=r, marks=pytest.mark.slow)
        for r in [*ANSWERED[1:], *PREFERRED]
        if r not in ("ppo", "t1")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "options"), RESUMED)
def test_a_recipe_killed_in_its_second_round_ends_as_the_whole_one(
    tmp_path, monkeypatch, recipe, options
):
    killed_and_whole_are_one(tmp_path, monkeypatch, lambda path: finish(recipe, path, *options))
