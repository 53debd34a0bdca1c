"""GSPO: group sequence policy optimisation (Zheng et al. 2025)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.advantages import GroupAdvantages
from askesis.tasks.uniform import Uniform


def gspo(
    num_attempts: int = 8, clip_low: float = 3e-4, clip_high: float = 4e-4, num_batches: int = 4
) -> Plan:
    """One ratio for a whole answer, the geometric mean of its tokens', clipped very tightly.

    num_attempts: G. clip_low, clip_high: of that ratio. num_batches: updates a round, 4 in the
    paper; with a single one nothing is ever clipped and it is GRPO without KL.
    """
    surrogate = ClippedPolicyGradient(ratio="sequence", clip_low=clip_low, clip_high=clip_high)
    learn = Learn(
        objectives=(surrogate,), num_batches=num_batches, together="prompt", learning_rate=3e-4
    )
    parts = Parts(
        tasks=Uniform(num=64),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=Verifier(),
        select={"policy": GroupAdvantages()},
        learn={"policy": learn},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64))
    return Plan(recipe="gspo", phases=(phase,))
