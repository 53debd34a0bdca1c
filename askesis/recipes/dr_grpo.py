"""Dr. GRPO: GRPO without its two biases (Liu et al. 2025)."""

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


def dr_grpo(num_attempts: int = 8, max_tokens: int = 64, num_batches: int = 1) -> Plan:
    """Rewards less their group's mean, and a constant instead of each answer's length.

    num_attempts: G, 8 in the paper. max_tokens: the constant that sums over tokens are divided by;
    the paper takes the allowance of new tokens. num_batches: updates a round.
    """
    surrogate = ClippedPolicyGradient(mean="constant", max_tokens=max_tokens)
    learn = Learn(
        objectives=(surrogate,), num_batches=num_batches, together="prompt", learning_rate=3e-4
    )
    parts = Parts(
        tasks=Uniform(num=64),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=Verifier(),
        select={"policy": GroupAdvantages(baseline="centred")},
        learn={"policy": learn},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64))
    return Plan(recipe="dr_grpo", phases=(phase,))
