"""SimpleRL-Zoo: plain GRPO straight from a base model (Zeng et al. 2025)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.leashes import EntropyBonus, KLToReference
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.advantages import GroupAdvantages
from askesis.tasks.uniform import Uniform


def simplerl_zoo(
    num_attempts: int = 8,
    difficulty: float | None = None,
    kl_coef: float = 1e-4,
    entropy_coef: float = 1e-3,
    clip: float = 0.2,
    num_batches: int = 4,
) -> Plan:
    """GRPO with nothing but right or wrong as reward, on tasks as hard as the model can just bear.

    num_attempts: G. difficulty: of the tasks, matched to the model (None: the world's spread).
    kl_coef: 1e-4 up to 14 billion parameters in the paper, 1e-3 above. num_batches: updates a
    round; 1024 prompts in batches of 256 there.
    """
    learn = Learn(
        objectives=(
            ClippedPolicyGradient(clip_low=clip, clip_high=clip, mean="token"),
            KLToReference(coef=kl_coef, mean="token"),
            EntropyBonus(coef=entropy_coef),
        ),
        reference="base",
        num_batches=num_batches,
        together="prompt",
        learning_rate=3e-4,
    )
    parts = Parts(
        tasks=Uniform(num=128, difficulty=difficulty),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=Verifier(),
        select={"policy": GroupAdvantages(epsilon=1e-6)},
        learn={"policy": learn},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64))
    return Plan(recipe="simplerl_zoo", phases=(phase,))
