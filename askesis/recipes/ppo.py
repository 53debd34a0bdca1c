"""PPO with a value head (Schulman et al. 2017), stabilised as PPO-max (Zheng et al. 2023)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.credit import GeneralisedAdvantages
from askesis.learn.learner import Learn
from askesis.learn.objectives.leashes import ValueLoss
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import ModelSpec, Parts, Phase, Plan, Until
from askesis.select.outcomes import Outcomes
from askesis.tasks.uniform import Uniform


def ppo(
    kl_coef: float = 0.02,
    lambda_: float = 0.95,
    clip: float = 0.2,
    value_coef: float = 0.1,
    num_attempts: int = 4,
    epochs: int = 1,
    num_batches: int = 4,
) -> Plan:
    """Advantages of tokens from a value head, a clipped policy and value loss, KL in the reward.

    kl_coef: beta, 0.01 to 0.02 in PPO-max. lambda_: of generalised advantage estimation. clip:
    epsilon, of ratios and of values. value_coef: of the value loss, whose head sits on the policy.
    """
    learn = Learn(
        objectives=(
            ClippedPolicyGradient(clip_low=clip, clip_high=clip, mean="token"),
            ValueLoss(clip=clip, coef=value_coef),
        ),
        columns=(GeneralisedAdvantages(kl_coef=kl_coef, lambda_=lambda_),),
        reference="base" if kl_coef else "",
        epochs=epochs,
        num_batches=num_batches,
        learning_rate=3e-4,
    )
    parts = Parts(
        tasks=Uniform(num=128),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=Verifier(),
        select={"policy": Outcomes()},
        learn={"policy": learn},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64))
    models = {"policy": ModelSpec(heads=("value",))}
    return Plan(recipe="ppo", phases=(phase,), models=models)
