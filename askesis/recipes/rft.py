"""Online rejection-sampling fine-tuning: keep correct distinct attempts and go on from there."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def rft() -> Plan:
    """Expert iteration in many small rounds: fresh tasks, several attempts each, the distinct
    correct ones learnt with weights and optimiser carried on."""
    parts = Parts(
        tasks=Uniform(num=256),
        explore=SampleAttempts(num_attempts=8, temperature=1.0),
        judge=Verifier(),
        select={"policy": Threshold(max_per_task=4)},
        learn={"policy": Learn(start="continue", optimizer="keep")},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=16))
    return Plan(recipe="rft", phases=(phase,))
