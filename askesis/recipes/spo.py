"""SPO: self-play preference optimisation towards the minimax winner (Swamy et al. 2024)."""

from __future__ import annotations

from typing import Any

from askesis.explore.sample import SampleAttempts
from askesis.judge.win_rate import WinRate
from askesis.learn.learner import Learn
from askesis.learn.objectives.leashes import KLToReference
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.ability import Ability
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.advantages import GroupAdvantages
from askesis.tasks.uniform import Uniform


def spo(num_attempts: int = 8, num_votes: int = 1, eta: float = 1.0, epochs: int = 8) -> Plan:
    """The reward of an answer is how often annotators prefer it to the model's other answers; no
    reward model. What the guarantee is about is the average of all rounds' policies.

    num_attempts: answers that are compared with each other. num_votes: annotators a comparison; 0
    takes the exact probability. eta, epochs: of each round's step, see `mirror_step`.
    """
    parts = Parts(
        tasks=Uniform(num=64),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=WinRate(num_votes=num_votes),
        select={"policy": GroupAdvantages(baseline="half")},
        learn={"policy": mirror_step(eta, epochs)},
    )
    phase = Phase(parts=parts, measure=(Ability(),), until=Until(rounds=64))
    return Plan(recipe="spo", phases=(phase,), worlds={"main": "preferences"})


def mirror_step(eta: float, epochs: int, **options: Any) -> Learn:
    """A learner whose every round is one step of mirror descent, which has no regret:

        pi_{t+1}(y)  ~  pi_t(y) * exp( eta * A(y) )

    eta: size of the step. epochs: updates that look for it, all on the round's samples. options: of
    the learner.
    """
    options = {"learning_rate": 1e-4} | options
    push = ClippedPolicyGradient(clip_low=1.0, clip_high=100.0, mean="constant")
    leash = KLToReference(to="old", corrected=True, coef=1 / eta, mean="constant")
    return Learn(objectives=(push, leash), num_batches=1, epochs=epochs, **options)
