"""SPIN: self-play fine-tuning (Chen et al. 2024)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.context import Verdicts
from askesis.explore.against_demonstration import AgainstDemonstration
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Preference
from askesis.measure.ability import Ability
from askesis.measure.pair_truth import PairTruth
from askesis.plan import Parts, Phase, Plan, Until
from askesis.retain.replay import Replay
from askesis.select.sides import Sides
from askesis.tasks.uniform import Uniform


def spin(
    beta: float = 0.1,
    loss: Literal["logistic", "hinge"] = "logistic",
    epochs: int = 2,
    nll_coef: float = 0.0,
) -> Plan:
    """The model learns to tell demonstrations from what it says itself; then it says something
    else, and learns again, until nobody can tell.

    beta: how tightly an iteration holds the model to the one before it. loss: logistic or hinge.
    epochs: passes over an iteration's pairs. nll_coef: of the likelihood of the demonstration.
    """
    learn = Learn(
        objectives=(Preference(beta=beta, loss=loss, nll_coef=nll_coef),),
        reference="previous",
        epochs=epochs,
        learning_rate=1e-4,
        schedule="linear",
        optimizer="reset",
    )
    parts = Parts(
        tasks=Uniform(num=1500, pool_size=1500, pool_seed=0),
        explore=AgainstDemonstration(),
        select={"policy": Sides(chosen="demonstration", rejected="policy")},
        learn={"policy": learn},
    )
    last = Replay(rounds=1, fraction=0.5)  # the pairs of the iteration before
    measure = (Ability(), PairTruth())
    until = Until(rounds=4)
    phase = Phase(parts=parts, measure=measure, retain=(last,), until=until, round=unjudged_round)
    return Plan(recipe="spin", phases=(phase,))


def unjudged_round(rd: Any, p: Parts) -> None:
    """Who said it is all that counts."""
    groups = rd.explore(p.explore, rd.tasks(p.tasks))
    rd.learn("policy", p.learn["policy"], rd.select(p.select["policy"], groups, Verdicts()))
