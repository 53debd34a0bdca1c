"""SuperHF: supervised learning of the best of many (Mukobi et al. 2023)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.reward_model import RewardModel
from askesis.learn.learner import Learn
from askesis.learn.objectives.likelihood import AnchoredLikelihood
from askesis.measure.ability import Ability
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.recipes.reward_model import reward_phase
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def superhf(num_attempts: int = 32, kl_coef: float = 0.23) -> Plan:
    """A reward model from annotated pairs; then the likelihood of the best of many answers, with a
    leash to the first model. Online best-of-n distillation.

    num_attempts: the superbatch. kl_coef: lambda; without it answers collapse onto a few.
    """
    learn = Learn(
        objectives=(AnchoredLikelihood(kl_coef=kl_coef),), reference="base", learning_rate=3e-4
    )
    parts = Parts(
        tasks=Uniform(num=128),
        explore=SampleAttempts(num_attempts=num_attempts, top_p=0.95),
        judge=RewardModel(),
        select={"policy": Threshold(threshold=-1e9, max_per_task=1, prefer="value")},
        learn={"policy": learn},
    )
    main = Phase(parts=parts, measure=(Ability(),), until=Until(rounds=16))
    return Plan(
        recipe="superhf",
        phases=(reward_phase(), main),
        models={"policy": ModelSpec(), "reward": ModelSpec(heads=("value",))},
        roles={"policy": RoleSpec(), "reward": RoleSpec(model="reward")},
        worlds={"main": "preferences"},
    )
