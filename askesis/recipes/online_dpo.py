"""Online iterative DPO: the RLHF workflow (Dong et al. 2024)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.reward_model import RewardModel
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Preference
from askesis.measure.ability import Ability
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.recipes.reward_model import reward_phase
from askesis.select.pairs import BestAndWorst, Rejected
from askesis.tasks.uniform import Uniform


def online_dpo(
    num_attempts: int = 8,
    beta: float = 0.1,
    smoothing: float = 0.1,
    rejected: Rejected = "worst",
    length_coef: float = 0.0,
    reference: str = "previous",
) -> Plan:
    """A reward model from annotated pairs; then rounds of DPO on the best and worst of a model's
    own answers, as that reward model sees them.

    num_attempts: K, 4 or 8. smoothing: of labels. rejected: worst, or random of those that are not
    best. length_coef: what a token costs when answers are ranked. reference: previous is the
    round's starting weights, as in the authors' scripts; base is their theory.
    """
    learn = Learn(
        objectives=(Preference(beta=beta, smoothing=smoothing),),
        reference=reference,
        epochs=2,
        learning_rate=1e-4,
        schedule="cosine",
    )
    parts = Parts(
        tasks=Uniform(num=512),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=RewardModel(),
        select={"policy": BestAndWorst(rejected=rejected, length_coef=length_coef)},
        learn={"policy": learn},
    )
    main = Phase(parts=parts, measure=(Ability(),), until=Until(rounds=3))
    return Plan(
        recipe="online_dpo",
        phases=(reward_phase(), main),
        models={"policy": ModelSpec(), "reward": ModelSpec(heads=("value",))},
        roles={"policy": RoleSpec(), "reward": RoleSpec(model="reward")},
        worlds={"main": "preferences"},
    )
