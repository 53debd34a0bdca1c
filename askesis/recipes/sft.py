"""Supervised learning on a world's demonstrations: the start of most methods, and the control."""

from __future__ import annotations

from askesis.explore.demonstrate import Demonstrate
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def sft() -> Plan:
    """Rounds of learning from demonstrations. As the control arm it gets the same start and the
    same budget as a self-improving recipe, and the very demonstrations the warm start read."""
    parts = Parts(
        tasks=Uniform(num=512, pool_size=1500, pool_seed=0),
        explore=Demonstrate(),
        judge=Verifier(),
        select={"policy": Threshold()},
        learn={"policy": Learn()},
    )
    phase = Phase(parts=parts, measure=(Ability(),), until=Until(rounds=8))
    return Plan(recipe="sft", phases=(phase,))
