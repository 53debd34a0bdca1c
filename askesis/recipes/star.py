"""STaR: bootstrap reasoning with reasoning (Zelikman et al. 2022)."""

from __future__ import annotations

from askesis.explore.rationalize import Rationalize
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def star(hint: bool = False) -> Plan:
    """Attempt, keep what is right, fine-tune the *base* model on it, repeat.

    hint: attempts that failed are tried again with the answer shown (rationalisation); the
    answer is stripped before learning.
    """
    explore = Rationalize() if hint else SampleAttempts(num_attempts=4, temperature=1.0)
    parts = Parts(
        tasks=Uniform(num=512),
        explore=explore,
        judge=Verifier(),
        select={"policy": Threshold(max_per_task=1)},
        learn={"policy": Learn(start="base", optimizer="reset")},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=8))
    return Plan(recipe="star", phases=(phase,))
