"""NFT: negative-aware fine-tuning (Chen et al. 2025)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.formulas.nft import Priority
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.likelihood import NegativeAware
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.group_accuracy import GroupAccuracy
from askesis.tasks.uniform import Uniform


def nft(
    num_attempts: int = 16,
    priority: Priority = "hard",
    negative_coef: float = 1.0,
    num_batches: int = 4,
) -> Plan:
    """Supervised learning of right answers, and of wrong ones by what they imply.

    num_attempts: G. priority: how much a task counts by its accuracy: even, hard, standardised.
    negative_coef: weight of wrong answers; 0 is rejection-sampling fine-tuning. num_batches:
    updates a round, 16 in the paper.
    """
    likelihood = NegativeAware(negative_coef=negative_coef, mean="constant", max_tokens=64)
    learn = Learn(
        objectives=(likelihood,), num_batches=num_batches, together="prompt", learning_rate=3e-4
    )
    parts = Parts(
        tasks=Uniform(num=64),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=Verifier(),
        select={"policy": GroupAccuracy(priority=priority)},
        learn={"policy": learn},
    )
    phase = Phase(parts=parts, measure=(Groups(), Ability()), until=Until(rounds=64))
    return Plan(recipe="nft", phases=(phase,))
