"""AlphaMath: one model whose search teaches its policy and its value head (Chen et al. 2024)."""

from __future__ import annotations

from askesis.explore.search import Search
from askesis.judge.steps.head import StepHead
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import Reinforce
from askesis.learn.objectives.step_values import StepValueLoss
from askesis.measure.ability import Ability
from askesis.measure.searches import Searches
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Phase, Plan, Until
from askesis.search.evaluate import ValueHead, Verified
from askesis.search.expand import Draws
from askesis.search.select import PUCT
from askesis.select.tree_paths import TreePaths
from askesis.tasks.uniform import Uniform


def alphamath(num_simulations: int = 24, value_coef: float = 0.1) -> Plan:
    """Trees by PUCT under the model's own value head; the right ways of each are learnt as
    answers, and at the steps of right and wrong ones the values that the tree found.

    num_simulations: of each tree. value_coef: b, of the value loss.
    """
    search = Search(
        select=PUCT(exploration_coef=1.25),
        expand=Draws(num=5),
        evaluate=ValueHead(squash="tanh"),
        end=Verified(right=1.0, wrong=-1.0),
        visit="opened",
        num_simulations=num_simulations,
    )
    objectives = (Reinforce(mean="sequence"), StepValueLoss(coef=value_coef))
    parts = Parts(
        tasks=Uniform(num=128),
        explore=search,
        judge=Verifier(),
        select={"policy": TreePaths()},
        learn={"policy": Learn(objectives=objectives, learning_rate=3e-4)},
    )
    measure = (Searches(), Ability(), StepQuality(judge=StepHead(head="policy")))
    phase = Phase(parts=parts, measure=measure, until=Until(rounds=8))
    models = {"policy": ModelSpec(heads=("value",))}
    return Plan(recipe="alphamath", phases=(phase,), models=models)
