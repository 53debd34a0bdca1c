"""Clip and Delta: process rewards that policy gradients cannot hack (Gao et al. 2024)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from askesis.judge.several import Several
from askesis.judge.steps.head import StepHead
from askesis.judge.steps.rollouts import RolloutValues
from askesis.judge.verifier import Verifier
from askesis.learn.credit import GeneralisedAdvantages
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Plan
from askesis.recipes.ppo import ppo
from askesis.recipes.process_advantage import ROLES, head_phase
from askesis.select.outcomes import Outcomes
from askesis.select.step_labels import StepLabels
from askesis.select.step_outcomes import StepOutcomes
from askesis.select.step_rewards import StepRewards, Transform

Paid = Literal["none", "raw", "clip", "delta", "clip_delta"]
TRANSFORMS: dict[str, tuple[Transform, ...]] = {
    "none": (),
    "raw": (),
    "clip": ("clip",),
    "delta": ("delta",),
    "clip_delta": ("clip", "delta"),
}


def clip_delta(
    paid: Paid = "clip_delta", alpha: float = 1.0, eta: float = 0.5, kl_coef: float = 0.02
) -> Plan:
    """A process reward model from completions; then PPO with its scores paid at each step, such
    that the sum of them cannot grow with the number of steps.

    paid: which scores: none (PPO), raw, clip, delta, clip_delta. alpha: of the steps. eta: from
    where on a step costs nothing. kl_coef: beta, in the reward.
    """
    (phase,) = ppo(kl_coef=kl_coef).phases
    head = StepHead(says="correctness")
    steps = StepRewards(judge="step-head", transforms=TRANSFORMS[paid], eta=eta,
                        coef=0.0 if paid == "none" else alpha)  # fmt: skip
    select = StepOutcomes(outcomes=Outcomes(scale=False), steps=steps)
    credit = GeneralisedAdvantages(kl_coef=kl_coef, step_rewards=True)
    learn = {"policy": replace(phase.parts.learn["policy"], columns=(credit,))}
    judge = Several(judges=(head, Verifier()))
    own = {"judge": judge, "select": {"policy": select}, "learn": learn}
    parts = Parts(**{**phase.parts, **own})
    measure = (Groups(), Ability(), StepQuality(judge=head))
    first = head_phase(RolloutValues(label="any"), StepLabels(), measure)
    models = {"policy": ModelSpec(heads=("value",)), "steps": ModelSpec(heads=("value",))}
    phases = (first, replace(phase, parts=parts, measure=measure))
    return Plan(recipe="clip_delta", phases=phases, models=models, roles=ROLES)
