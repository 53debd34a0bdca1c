"""Cyclic preferences: what self-play finds, and what a score for every answer cannot.

A matrix of four answers whose minimax winner is (2, 1, 4, 0) / 7. Exploitability is how far above
one half the best answer to a policy wins: 0 for the winner, 0.1 for its best pure rival.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from askesis.explore.sample import SampleAttempts
from askesis.formulas.games import exploitability, minimax_winner, nash_mirror_step
from askesis.judge.reward_model import RewardModel
from askesis.lab.begin import plan_for
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.recipes.reward_model import reward_phase
from askesis.recipes.spo import mirror_step
from askesis.run import Run, Watcher
from askesis.select.advantages import GroupAdvantages
from askesis.tasks.uniform import Uniform
from tests.recipes.matrix_game import CYCLE, WINNER, MatrixGame, policy_of, table


class Policies(Watcher):
    """The policy after every round."""

    def __init__(self, model) -> None:
        self.model, self.seen = model, []

    def round_ended(self, rd, metrics) -> None:
        self.seen.append(policy_of(self.model))


def played(plan: Plan, path) -> np.ndarray:
    """The policies of all rounds, (rounds, answers)."""
    plan = replace(plan, phases=tuple(replace(p, measure=()) for p in plan.phases))
    models = {name: table(name) for name in plan.models}
    see = Policies(models["policy"])
    run = Run.create(
        plan, path, {"main": MatrixGame()}, models, watchers=[see], segment_s=float("inf")
    )
    run.improve()
    run.close()
    return np.array(see.seen)


def options(rounds: int, **more: str) -> list[tuple[str, str]]:
    fixed = {"rounds": str(rounds), "num_votes": "0", "tasks.num": "16"}
    return list((fixed | {"learn.policy.learning-rate": "0.05"} | more).items())


def test_the_linear_program_finds_the_winner_that_was_solved_by_hand():
    assert minimax_winner(CYCLE) == pytest.approx(WINNER, abs=1e-9)
    assert exploitability(WINNER, CYCLE) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.slow
def test_the_average_policy_of_spo_is_near_the_minimax_winner(tmp_path):
    policies = played(plan_for("spo", options(100)), tmp_path / "run")
    average = policies.mean(0)
    assert exploitability(average, CYCLE) < 0.03
    assert np.abs(average - WINNER).max() < 0.1
    assert exploitability(policies[0], CYCLE) > 2 * exploitability(average, CYCLE)


@pytest.mark.slow
def test_the_last_policy_of_nash_md_is_its_regularised_winner(tmp_path):
    more = {"beta": "0.05", "tau": "0.05"}
    last = played(plan_for("nash_md", options(100, **more)), tmp_path / "run")[-20:].mean(0)
    exact = base = np.full(4, 0.25)
    for t in range(4000):
        exact = nash_mirror_step(exact, base, CYCLE, min(20.0, 2 / (0.05 * (t + 2))), 0.05)
    assert exploitability(last, CYCLE) < 0.03
    assert np.abs(last - exact).max() < 0.06


@pytest.mark.slow
def test_a_score_for_every_answer_leads_to_one_answer_that_another_beats(tmp_path):
    """The same policy gradient, on a Bradley-Terry model of the same comparisons."""
    parts = Parts(
        tasks=Uniform(num=16), explore=SampleAttempts(num_attempts=8), judge=RewardModel(),
        select={"policy": GroupAdvantages(baseline="centred")},
        learn={"policy": mirror_step(1.0, 8, learning_rate=0.05)},
    )  # fmt: skip
    main = Phase(parts=parts, until=Until(rounds=60))
    learn = reward_phase(num_votes=8, rounds=20)
    plan = Plan(
        recipe="scores", phases=(learn, main),
        models={"policy": ModelSpec(), "reward": ModelSpec(heads=("value",))},
        roles={"policy": RoleSpec(), "reward": RoleSpec(model="reward")},
    )  # fmt: skip
    policy = played(plan_with(plan, "phases.reward.learn.reward.learning-rate", "0.1"), tmp_path)[
        -1
    ]
    assert policy.argmax() == 0 and policy.max() > 0.9  # the answer that wins most on average
    assert exploitability(policy, CYCLE) > 0.08  # and loses to the third


def plan_with(plan: Plan, path: str, value: str) -> Plan:
    from askesis.config import override

    return override(plan, path, value)
