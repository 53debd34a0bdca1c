"""GRPO: group relative policy optimisation (Shao et al. 2024)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.leashes import KLToReference
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.advantages import GroupAdvantages
from askesis.tasks.uniform import Uniform


def grpo(
    num_attempts: int = 8,
    clip: float = 0.2,
    kl_coef: float = 0.04,
    num_batches: int = 1,
    importance_cap: float = 0.0,
) -> Plan:
    """Rewards in units of their group's spread, PPO's clip without a value head, KL in the loss.

    num_attempts: G. clip: epsilon, both ways. kl_coef: beta, to the first model; 0 leaves it out.
    num_batches: updates a round; the paper makes one. importance_cap: truncated weights from the
    sampler's log-probabilities to the learner's, at least 1; 0 for none.
    """
    surrogate = ClippedPolicyGradient(clip_low=clip, clip_high=clip, importance_cap=importance_cap)
    learn = Learn(
        objectives=(surrogate, KLToReference(coef=kl_coef)) if kl_coef else (surrogate,),
        reference="base" if kl_coef else "",
        num_batches=num_batches,
        together="prompt",
        learning_rate=3e-4,
    )
    parts = Parts(
        tasks=Uniform(num=64),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=Verifier(),
        select={"policy": GroupAdvantages(sampling_logp=importance_cap > 0)},
        learn={"policy": learn},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64))
    return Plan(recipe="grpo", phases=(phase,))
