"""RLSP: reinforcement learning via self-play, with a bonus for searching (card [10])."""

from __future__ import annotations

from dataclasses import replace

from askesis.judge.search_bonus import SearchBonus
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.measure.habits import Habits
from askesis.plan import Parts, Plan
from askesis.recipes.ppo import ppo
from askesis.select.outcomes import Outcomes


def rlsp(
    alpha: float = 0.8, gamma: float = 0.8, kl_coef: float = 0.02, lambda_: float = 1.0
) -> Plan:
    """PPO whose reward is a mixture of being right and of having tried different steps.

    alpha: share of being right; 1 is PPO. gamma: how slowly the bonus for steps saturates.
    kl_coef: beta, of the distance from the first model, in the reward. lambda_: of generalised
    advantage estimation; below 1 the end of an answer gets more of the credit than its beginning.
    """
    plan = ppo(kl_coef=kl_coef, lambda_=lambda_)
    (phase,) = plan.phases
    judge, select = SearchBonus(alpha=alpha, gamma=gamma), Outcomes(judge="search-bonus")
    parts = Parts(**{**phase.parts, "judge": judge, "select": {"policy": select}})
    measure = (Groups(), Ability(), Habits())
    return replace(plan, recipe="rlsp", phases=(replace(phase, parts=parts, measure=measure),))
