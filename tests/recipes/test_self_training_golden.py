"""Recipes of self-training end to end on tables: golden figures, and a kill that changes nothing.

What each figure means is tested exactly beside its recipe; here is that none of them moves unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from askesis.lab.begin import open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.run import Run
from askesis.store.run_store import RunStore
from askesis.worlds.views import Blind
from tests.measure.test_sharpness import Listed
from tests.measure.test_sharpness import table as listing_table
from tests.probes.house import LetterWorld
from tests.recipes.letters import metrics_of
from tests.recipes.test_b_star import OPTIONS as STEERED
from tests.recipes.test_b_star import Steps
from tests.recipes.test_recipes_of_turns import ALPHABET as ASKED
from tests.recipes.test_recipes_of_turns import SHORT
from tests.recipes.test_repair_and_habits import MAZES, Wordy, blind_agent, helpful
from tests.recipes.whole_runs import killed_and_whole_are_one

Models = dict[str, TabularModel]
RATE = ("learn.policy.learning-rate", "0.1")
QUIET = ("measure-every", "1")


def letters(alphabet: str = "abxy", context: int = 64) -> Callable[[], Models]:
    return lambda: {"policy": TabularModel("policy", alphabet, context_length=context)}


@dataclass(frozen=True)
class Case:
    """A recipe on tables. golden: figures of its last round; recorded by this test's first version
    (x86-64, torch 2.13.0, one thread)."""

    options: tuple[tuple[str, str], ...]
    golden: dict[str, float]
    world: Callable[[], Any] = LetterWorld
    models: Callable[[], Models] = field(default_factory=letters)


TURNS = (*SHORT[:1], ("explore.max-tokens", "1"), QUIET, ("measure.revisions.num-tasks", "4"), RATE)
CASES = {
    "score": Case(
        (
            *TURNS,
            ("second-answer", "8"),
            ("phases.second_answer.select.policy.cut-off", "true"),
            ("stage-one", "2"),
            ("phases.stage_two.until.rounds", "2"),
            ("tasks.num", "8"),
        ),
        {
            "select/advantage_size": 1.96875,
            "select/reward_std": 5.158593,
            "measure/turn_accuracy/2": 0.15625,
            "learn/policy/grad_norm": 0.977596,
        },
        models=letters(ASKED),
    ),
    "rise": Case(
        (
            *TURNS,
            ("second-answer", "0"),
            ("num-revisions", "4"),
            ("tasks.num", "16"),
            ("rounds", "3"),
        ),
        {
            "select/samples": 21,
            "select/mean_weight": 4.115555,
            "learn/policy/loss/last": 1.526716,
            "measure/fresh/turn_accuracy/5": 0.09375,
        },
        models=letters(ASKED),
    ),
    "b_star": Case(
        (*STEERED, ("tasks.num", "16"), RATE),
        {
            "select/threshold": 1.0,
            "select/steering_score": 0.722222,
            "measure/train_accuracy": 0.34375,
            "learn/policy/grad_norm": 0.605638,
        },
        world=Steps,
    ),
    "spin": Case(
        (
            ("tasks.num", "16"),
            ("tasks.pool-size", "0"),
            ("explore.max-tokens", "1"),
            QUIET,
            ("measure.ability.num-tasks", "4"),
            RATE,
            ("rounds", "3"),
        ),
        {"select/pairs": 16, "learn/policy/margin": 0.014463, "learn/policy/loss/last": 0.678797},
    ),
    "four_habits": Case(
        (
            ("habit", "plain"),
            ("num-demonstrations", "16"),
            ("max-tokens", "2"),
            QUIET,
            ("measure.ability.num-tasks", "4"),
            ("phases.main.parts.tasks.num", "16"),
            ("phases.main.until.rounds", "2"),
            RATE,
        ),
        {
            "select/advantage_size": 0.356291,
            "select/reward": 0.078125,
            "learn/policy/grad_norm": 0.084031,
        },
        world=Wordy,
    ),
    "agent_r": Case(
        (
            ("world", "maze?difficulty=0"),
            ("imitate-rounds", "1"),
            ("tasks.num", "12"),
            ("phases.main.until.rounds", "2"),
            ("phases.main.parts.explore.max-tokens", "1"),
            ("measure.walks.num-tasks", "4"),
            ("measure.walks.walk.max-tokens", "1"),
            QUIET,
            RATE,
        ),
        {
            "select/splice_pairs": 65,
            "select/splices": 4,
            "measure/walks/success": 0.125,
            "learn/policy/loss/last": 2.853246,
        },
        world=lambda: None,
        models=letters(MAZES, 512),
    ),
    "re_rest": Case(
        (
            ("tasks.num", "12"),
            ("explore.max-tokens", "2"),
            ("reflector-rounds", "1"),
            QUIET,
            ("phases.main.until.rounds", "2"),
            ("measure.ability.num-tasks", "4"),
            RATE,
        ),
        {
            "select/repair_success": 1.0,
            "select/repaired_fraction": 0.5,
            "measure/train_accuracy": 0.583333,
            "learn/policy/loss/last": 5.200051,
        },
        models=lambda: {"policy": blind_agent(), "reflector": helpful()},
    ),
    "sharpening": Case(
        (
            ("num-attempts", "4"),
            ("measure.sharpness.num-tasks", "8"),
            ("tasks.num", "16"),
            QUIET,
            ("rounds", "3"),
            RATE,
        ),
        {
            "select/samples": 2,
            "measure/sharpness/favourite_mass": 0.789693,
            "learn/policy/loss/last": 0.155592,
        },
        world=lambda: Blind(Listed()),
        models=lambda: {"policy": listing_table((0.6, 0.4), (0.3, 0.7))},
    ),
}


def finish(recipe: str, path: Path) -> Run:
    """Begin or continue, to the end."""
    case = CASES[recipe]
    plan, models = plan_for(recipe, case.options), case.models()
    worlds = open_worlds(plan) if case.world() is None else {"main": case.world()}
    if (path / "ledger.sqlite").exists():
        run = Run.resume(path, worlds, models, segment_s=0)
    else:
        run = Run.create(plan, path, worlds, models, segment_s=0)
    try:
        run.improve()
    finally:
        run.close()
    return run


@pytest.mark.slow
@pytest.mark.parametrize("recipe", CASES)
def test_a_recipe_gives_its_golden_figures_and_ends_so_after_a_kill_too(
    tmp_path, monkeypatch, recipe
):
    whole = killed_and_whole_are_one(tmp_path, monkeypatch, lambda path: finish(recipe, path))
    whole.store = RunStore.open(tmp_path / "whole")
    found = metrics_of(whole, whole.store.rounds()[-1]["round"])
    whole.store.close()
    golden = CASES[recipe].golden
    assert {k: found[k] for k in golden} == {
        k: pytest.approx(v, rel=1e-4, abs=1e-6) for k, v in golden.items()
    }
