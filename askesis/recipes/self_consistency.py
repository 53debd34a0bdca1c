"""Self-improvement by majority vote, without any truth (Huang et al. 2022)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.self_consistency import SelfConsistency
from askesis.learn.learner import Learn
from askesis.measure.groups import Votes
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def self_consistency() -> Plan:
    """Many attempts a task; those that agree with the majority answer are learnt, if the
    majority is large enough. The world is handed over without answers (`truth="none"`)."""
    parts = Parts(
        tasks=Uniform(num=256),
        explore=SampleAttempts(num_attempts=32, temperature=0.7),
        judge=SelfConsistency(),
        select={"policy": Threshold(max_per_task=4)},
        learn={"policy": Learn()},
    )
    phase = Phase(parts=parts, measure=(Votes(),), until=Until(rounds=8))
    return Plan(recipe="self_consistency", phases=(phase,), truth="none")
