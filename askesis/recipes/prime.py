"""PRIME: implicit process rewards that learn beside the policy (Cui et al. 2025)."""

from __future__ import annotations

from typing import Any

from askesis.context import Verdicts
from askesis.explore.sample import SampleAttempts
from askesis.judge.steps.implicit import ImplicitSteps
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.learn.objectives.reward_models import ImplicitReward
from askesis.measure.ability import Ability
from askesis.measure.step_quality import StepQuality
from askesis.plan import Parts, Phase, Plan, Until
from askesis.recipes.implicit_prm import MODELS, ROLES, outcome_phase
from askesis.select.band import Band
from askesis.select.labelled import Labelled
from askesis.select.step_advantages import StepAdvantages
from askesis.select.step_rewards import StepRewards
from askesis.tasks.uniform import Uniform


def prime(num_attempts: int = 4, coef: float = 1.0, update: bool = True, warm: int = 0) -> Plan:
    """Outcomes and the log-ratios of tokens, each against the others of a group, added up.

    coef: of the log-ratios; 0 leaves the outcome. update: whether the model of the log-ratios
    learns every round's outcomes. warm: rounds in which it learns alone before, as a frozen one
    must.
    """
    process = ImplicitSteps(beta=1.0, separators="")
    paid = StepRewards(judge="implicit", normalise=True, coef=coef)
    credit = StepAdvantages(steps=paid, step_baseline="leave_one_out", whiten=True)
    ratio, outcome = ClippedPolicyGradient(mean="token"), ImplicitReward()
    actor = Learn(objectives=(ratio,), num_batches=1, learning_rate=3e-4)
    reward = Learn(objectives=(outcome,), reference="base", num_batches=1, max_grad_norm=10.0,
                   learning_rate=6e-4)  # fmt: skip
    learn = {"policy": actor} | ({"reward": reward} if update else {})
    select = {"policy": credit} | ({"reward": Labelled()} if update else {})
    explore = SampleAttempts(num_attempts=num_attempts)
    parts = Parts(tasks=Uniform(num=128), explore=explore, judge=Verifier(), band=Band(),
                  process=process, select=select, learn=learn)  # fmt: skip
    measure = (Ability(), StepQuality(judge=ImplicitSteps()))
    main = Phase(parts=parts, measure=measure, until=Until(rounds=64), round=prime_round)
    before = (outcome_phase(outcome.beta, measure, warm),) if warm else ()
    return Plan(recipe="prime", phases=(*before, main), models=MODELS, roles=ROLES)


def prime_round(rd: Any, p: Parts) -> None:
    """Attempts, outcomes, the groups in the band; their tokens judged by the model as it is; then
    that model and the policy learn from them."""
    groups = rd.explore(p.explore, rd.tasks(p.tasks))
    outcomes = rd.judge(p.judge, groups)
    groups = p.band.inside(groups, outcomes)
    verdicts = Verdicts([*rd.judge(p.process, groups), *outcomes])
    for model, learner in p.learn.items():
        rd.learn(model, learner, rd.select(p.select[model], groups, verdicts))
