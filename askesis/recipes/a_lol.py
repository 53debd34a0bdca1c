"""A-LoL: advantage-leftover lunch, offline policy gradients (Baheti et al. 2024)."""

from __future__ import annotations

from askesis.explore.annotated import Annotated
from askesis.explore.sample import SampleAttempts
from askesis.formulas.leftover import Importance
from askesis.judge.advantage import Advantage
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.likelihood import LeftoverLunch
from askesis.learn.objectives.reward_models import LabelledReward
from askesis.measure.ability import Ability
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.select.labels import StartLabels
from askesis.select.leftover import PositiveAdvantages
from askesis.tasks.uniform import Uniform


def a_lol(importance: Importance = "sequence", clip: float = 0.9, kl_coef: float = 0.0) -> Plan:
    """A critic of the first model; then the likelihood of given answers that are better than that
    model's, weighted by how much better they are. Answers may be good and bad, nobody filters them.

    importance: sequence (A-LoL), token ("A-LoL seq"), none (ref-free), gold. clip: how far the
    importance weight may go from 1. kl_coef: of A-LoL KL, which goes with importance none.
    """
    expect = Parts(
        tasks=Uniform(num=512),
        explore=SampleAttempts(num_attempts=1),
        judge=Verifier(),
        select={"critic": StartLabels()},
        learn={"critic": Learn(objectives=(LabelledReward(),), learning_rate=3e-4)},
    )
    lunch = LeftoverLunch(importance=importance, clip=clip, kl_coef=kl_coef)
    learn = Parts(
        tasks=Uniform(num=512),
        explore=Annotated(),
        judge=Advantage(),
        select={"policy": PositiveAdvantages()},
        learn={"policy": Learn(objectives=(lunch,), reference="base", learning_rate=3e-4)},
    )
    return Plan(
        recipe="a_lol",
        phases=(
            Phase(name="critic", parts=expect, until=Until(rounds=4)),
            Phase(parts=learn, until=Until(rounds=8), measure=(Ability(),), measure_every=2),
        ),
        models={"policy": ModelSpec(), "critic": ModelSpec(heads=("value",))},
        roles={"policy": RoleSpec(), "critic": RoleSpec(model="critic")},
        worlds={"main": "preferences"},
    )
