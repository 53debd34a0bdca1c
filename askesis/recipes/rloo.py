"""RLOO: REINFORCE with the mean of the others as baseline (Ahmadian et al. 2024)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.credit import KLInReward
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import Reinforce
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.advantages import GroupAdvantages
from askesis.tasks.uniform import Uniform


def rloo(num_attempts: int = 4, kl_coef: float = 0.03) -> Plan:
    """Whole answers as single actions, each compared with the others of its task.

    num_attempts: k, at least 2; the paper has 2 and 4. kl_coef: beta, of the log-ratio to the first
    model in the reward; 0 leaves it out.
    """
    learn = Learn(
        objectives=(Reinforce(),),
        columns=(KLInReward(coef=kl_coef, baseline="leave_one_out"),) if kl_coef else (),
        reference="base" if kl_coef else "",
        num_batches=1,
        learning_rate=3e-4,
    )
    parts = Parts(
        tasks=Uniform(num=128),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=Verifier(),
        select={"policy": GroupAdvantages(baseline="leave_one_out")},
        learn={"policy": learn},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64))
    return Plan(recipe="rloo", phases=(phase,))
