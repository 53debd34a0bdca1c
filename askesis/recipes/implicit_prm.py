"""Implicit process rewards: step rewards from outcome labels alone (Yuan et al. 2024)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.formulas.step_rewards import Aggregator
from askesis.judge.steps.aggregated import Aggregated
from askesis.judge.steps.implicit import ImplicitSteps
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.reward_models import ImplicitReward
from askesis.measure.ability import Ability
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.select.labelled import Labelled
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform

MODELS = {"policy": ModelSpec(), "reward": ModelSpec()}
ROLES = {"policy": RoleSpec(), "reward": RoleSpec(model="reward")}


def implicit_prm(beta: float = 0.05, by: Aggregator = "min", num_attempts: int = 16) -> Plan:
    """A model whose log-ratio to its first weights learns outcomes; then of many answers the one is
    learnt that it thinks best by its weakest step, without further truth.

    beta: scale of the log-ratio. by: what of an answer's steps counts; sum is the outcome's reward.
    num_attempts: of which one is learnt.
    """
    judge = Aggregated(inner=ImplicitSteps(beta=beta), by=by)
    parts = Parts(
        tasks=Uniform(num=256),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=judge,
        select={"policy": Threshold(threshold=-1e9, max_per_task=1, prefer="value")},
        learn={"policy": Learn(learning_rate=3e-4)},
    )
    measure = (Ability(judge=judge), StepQuality(judge=judge))
    main = Phase(parts=parts, measure=measure, until=Until(rounds=8))
    phases = (outcome_phase(beta, measure), main)
    return Plan(recipe="implicit_prm", phases=phases, models=MODELS, roles=ROLES)


def outcome_phase(beta: float, measure: tuple[object, ...], rounds: int = 8) -> Phase:
    """The phase in which the model "reward" learns outcomes of the first policy's answers."""
    learn = Learn(objectives=(ImplicitReward(beta=beta),), reference="base", learning_rate=3e-4)
    parts = Parts(
        tasks=Uniform(num=256),
        explore=SampleAttempts(num_attempts=8),
        judge=Verifier(),
        select={"reward": Labelled()},
        learn={"reward": learn},
    )
    return Phase(name="reward", parts=parts, measure=measure, until=Until(rounds=rounds))
