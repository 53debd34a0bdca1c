"""REINFORCE with a running baseline (Williams 1992)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import Reinforce
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.advantages import RunningAdvantages
from askesis.tasks.uniform import Uniform


def reinforce(decay: float = 0.95) -> Plan:
    """The log-likelihood of every attempt, times how much better it was than lately.

    decay: of the baseline; it remembers about 1 / (1 - decay) attempts.
    """
    parts = Parts(
        tasks=Uniform(num=512),
        explore=SampleAttempts(num_attempts=1),
        judge=Verifier(),
        select={"policy": RunningAdvantages(decay=decay)},
        learn={
            "policy": Learn(
                objectives=(Reinforce(mean="token"),), num_batches=1, learning_rate=3e-4
            )
        },
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64))
    return Plan(recipe="reinforce", phases=(phase,))
