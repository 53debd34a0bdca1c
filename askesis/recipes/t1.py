"""T1: reinforcement learning with many samples and a moving anchor (Hou et al. 2025)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.bad_patterns import BadPatterns
from askesis.learn.credit import KLInReward
from askesis.learn.learner import Learn
from askesis.learn.objectives.leashes import EntropyBonus
from askesis.learn.objectives.policy_gradient import Reinforce
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.retain.moving_average import MovingAverage
from askesis.select.advantages import GroupAdvantages
from askesis.tasks.uniform import Uniform


def t1(
    num_attempts: int = 64,
    temperature: float = 1.1,
    kl_coef: float = 2e-4,
    entropy_coef: float = 1e-3,
    decay: float = 0.99,
) -> Plan:
    """RLOO with many samples a task at a high temperature, an entropy bonus, penalties for bad
    patterns, and a distance that counts only above the round's mean, from a moving average.

    num_attempts: K; 4, 16 and 64 in the paper. temperature: 0.9 to 1.3 there. kl_coef: beta.
    entropy_coef, decay: alpha and the average's m, which the paper does not print.
    """
    learn = Learn(
        objectives=(Reinforce(), EntropyBonus(coef=entropy_coef)),
        columns=(KLInReward(coef=kl_coef, baseline="batch"),),
        reference="average",
        num_batches=1,
        learning_rate=3e-4,
    )
    parts = Parts(
        tasks=Uniform(num=32),
        explore=SampleAttempts(num_attempts=num_attempts, temperature=temperature),
        judge=BadPatterns(),
        select={"policy": GroupAdvantages(baseline="leave_one_out")},
        learn={"policy": learn},
    )
    phase = Phase(
        parts=parts,
        measure=(Groups(), Ability()),
        retain=(MovingAverage(decay=decay),),
        until=Until(rounds=32),
    )
    return Plan(recipe="t1", phases=(phase,))
