"""Sharpening: a model learns what it likes best itself (Huang et al. 2024)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.against import Against
from askesis.explore.sample import SampleAttempts
from askesis.judge.own_likelihood import OwnLikelihood
from askesis.learn.learner import Learn
from askesis.learn.objectives.regression import PairRegression
from askesis.measure.sharpness import Sharpness
from askesis.plan import Parts, Phase, Plan, RoleSpec, Until
from askesis.select.sides import Sides
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def sharpening(
    form: Literal["supervised", "pairs", "exploring"] = "supervised",
    num_attempts: int = 16,
    beta: float = 0.5,
    bonus_coef: float = 0.1,
) -> Plan:
    """No truth: the reward of an answer is its log-probability under the first model.

    form: supervised learns the likeliest of the first model's answers; pairs fits log-ratios to
    rewards on pairs of them; exploring draws one side from the policy, with a bonus for what the
    first model rarely says. num_attempts: answers a prompt (of each side, in pairs half of it).
    beta, bonus_coef: of pairs, see `PairRegression`.
    """
    explorer = "policy" if form == "exploring" else "first"
    parts: dict[str, Any]
    if form == "supervised":
        sample = SampleAttempts(num_attempts=num_attempts, role="first")
        imitate = Learn(learning_rate=3e-4, batch_tokens=512)
        favourite = Threshold(threshold=-1e9, max_per_task=1, prefer="value", role="first")
        parts = {"explore": sample, "select": {"policy": favourite}, "learn": {"policy": imitate}}
    else:
        bonus = bonus_coef if form == "exploring" else 0.0
        fit = PairRegression(beta=beta, bonus_coef=bonus)
        explore = Against(num_attempts=max(1, num_attempts // 2), role=explorer, opponent="second")
        sides = Sides(chosen=explorer, rejected="second", judged=True)
        learn = Learn(objectives=(fit,), reference="base", learning_rate=1e-4)
        parts = {"explore": explore, "select": {"policy": sides}, "learn": {"policy": learn}}
    judge = OwnLikelihood(snapshot="base")
    phase = Phase(parts=Parts(tasks=Uniform(num=256), judge=judge, **parts),
                  measure=(Sharpness(),), until=Until(rounds=8))  # fmt: skip
    first = RoleSpec(snapshot="base")
    roles = {"policy": RoleSpec(), "first": first, "second": first}
    return Plan(recipe="sharpening", phases=(phase,), roles=roles, truth="none",
                worlds={"main": "garden_path"})  # fmt: skip
