"""GLoRe: when, where and how to refine, globally and locally (Havrilla et al. 2024)."""

from __future__ import annotations

from typing import Any

from askesis.explore.branches import Branches
from askesis.explore.refine import How, Refine, Where
from askesis.explore.sample import SampleAttempts
from askesis.judge.reward_model import RewardModel
from askesis.judge.steps.branches import BranchLabels
from askesis.judge.steps.head import StepHead
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.reward_models import LabelledReward
from askesis.measure.ability import Ability
from askesis.measure.refinements import Refinements
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.select.drafts import Drafts
from askesis.select.labelled import Labelled
from askesis.select.refine_lessons import Kind, RefineLessons
from askesis.select.repaired import AsOwn
from askesis.select.step_labels import StepLabels
from askesis.tasks.uniform import Uniform


def glore(
    how: How = "both", where: Where = "steps", num_attempts: int = 4, taught: int = 8
) -> Plan:
    """A head learns which drafts are right, another one which of their steps can still be finished,
    a refiner to mend drafts as a whole and from a step on; then doubted drafts are refined, and the
    policy learns from what came out right.

    how: both, global, local, or none, which is plain rejection sampling. where: the step that a
    local refinement is told, by the step head or at random. num_attempts: drafts a task. taught:
    rounds in which all but the policy learn.
    """
    refine = Refine(num_attempts=num_attempts, how=how, where=where)
    is_local, is_global = how in ("both", "local"), how in ("both", "global")
    kinds: tuple[Kind, ...] = (
        *(("global",) if is_global else ()),
        *(("local",) if is_local else ()),
    )
    lessons: dict[str, Any] = {"outcome": Drafts(keep=Labelled(reader="outcome"))}
    heads = {"outcome": Learn(objectives=(LabelledReward(),), epochs=2, learning_rate=1e-3)}
    if is_local:
        lessons |= {"steps": StepLabels(balance=True, by_place=True)}
        steps = LabelledReward(where="weight")
        heads |= {"steps": Learn(objectives=(steps,), epochs=2, learning_rate=1e-3)}
    names = ("policy", *(heads if kinds else ()), *(("refiner",) if kinds else ()))
    measure: list[object] = [Ability()]
    if is_local:
        measure.append(StepQuality(judge=StepHead(says="correctness")))
    if how == "both":
        measure.append(Refinements(explore=refine, judge=RewardModel(role="outcome")))
    first = Parts(
        tasks=Uniform(num=128),
        explore=Branches() if is_local else SampleAttempts(num_attempts=4),
        judge=BranchLabels() if is_local else Verifier(),
        select=lessons | {"refiner": RefineLessons(kinds=kinds or ("global",), max_per_task=4)},
        learn=heads | {"refiner": Learn(epochs=4, batch_tokens=1024)},
    )
    main = Parts(
        tasks=Uniform(num=128),
        explore=refine,
        judge=Verifier(),
        select={"policy": AsOwn(reflector="refiner")},
        learn={"policy": Learn(learning_rate=3e-4)},
    )
    until = Until(rounds=taught)
    before = Phase(name="taught", parts=first, measure=tuple(measure), until=until)
    phase = Phase(parts=main, measure=tuple(measure), until=Until(rounds=16))
    read = {"outcome": ("value",), "steps": ("value",)}
    return Plan(
        recipe="glore",
        phases=(before, phase) if kinds and taught else (phase,),
        models={name: ModelSpec(heads=read.get(name, ())) for name in names},
        roles={name: RoleSpec(model=name) for name in names},
    )
