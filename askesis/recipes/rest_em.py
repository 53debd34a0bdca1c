"""ReST-EM: expectation-maximisation with binary reward (Singh et al. 2023)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def rest_em() -> Plan:
    """E-step: many samples a task, filtered by the verifier, at most ten kept for each.
    M-step: fine-tune the base model (never the last one) on them. Then again."""
    parts = Parts(
        tasks=Uniform(num=512),
        explore=SampleAttempts(num_attempts=32, temperature=0.7, top_k=40),
        judge=Verifier(),
        select={"policy": Threshold(max_per_task=10)},
        learn={"policy": Learn(start="base", optimizer="reset")},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=4))
    return Plan(recipe="rest_em", phases=(phase,))
