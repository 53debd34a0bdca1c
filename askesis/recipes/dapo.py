"""DAPO: decoupled clip and dynamic sampling (Yu et al. 2025)."""

from __future__ import annotations

from typing import Any

from askesis.context import Verdicts
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.records import Group
from askesis.select.advantages import GroupAdvantages
from askesis.select.refill import Refill
from askesis.tasks.uniform import Uniform


def dapo(
    num_attempts: int = 16, clip_low: float = 0.2, clip_high: float = 0.28, num_batches: int = 4
) -> Plan:
    """Mixed groups only, an asymmetric clip, a mean over tokens, a soft penalty on length, no KL.

    num_attempts: G. clip_low, clip_high: the wider upper side lets unlikely tokens rise.
    num_batches: updates a round, 16 in the paper.
    """
    surrogate = ClippedPolicyGradient(clip_low=clip_low, clip_high=clip_high, mean="token")
    learn = Learn(
        objectives=(surrogate,), num_batches=num_batches, together="prompt", learning_rate=3e-4
    )
    parts = Parts(
        tasks=Uniform(num=64),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=Verifier(),
        refill=Refill(num_groups=32),
        select={"policy": GroupAdvantages(overlong_fraction=0.2)},
        learn={"policy": learn},
    )
    phase = Phase(
        parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64), round=refilled_round
    )
    return Plan(recipe="dapo", phases=(phase,))


def refilled_round(rd: Any, p: Parts) -> None:
    """Draw, attempt and judge until enough groups are mixed; learn from those."""
    groups: list[Group] = []
    verdicts = Verdicts()
    for _ in range(p.refill.max_waves):
        wave = rd.explore(p.explore, rd.tasks(p.tasks))
        verdicts.extend(rd.judge(p.judge, wave))
        groups = p.refill.mixed([*groups, *wave], verdicts)
        if len(groups) == p.refill.num_groups:
            break
    rd.learn("policy", p.learn["policy"], rd.select(p.select["policy"], groups, verdicts))
