"""Nash-MD: learning from preferences as a game (Munos et al. 2023)."""

from __future__ import annotations

from typing import Literal

from askesis.explore.against import Against
from askesis.judge.win_rate import WinRate
from askesis.learn.credit import KLInReward
from askesis.measure.ability import Ability
from askesis.plan import Parts, Phase, Plan, RoleSpec, Until
from askesis.recipes.spo import mirror_step
from askesis.retain.moving_average import MovingAverage
from askesis.select.advantages import GroupAdvantages
from askesis.tasks.uniform import Uniform


def nash_md(
    tau: float = 0.008,
    beta: float = 0.25,
    opponent: Literal["mixture", "average"] = "mixture",
    num_attempts: int = 4,
    num_votes: int = 1,
    eta: float = 1.0,
    epochs: int = 8,
) -> Plan:
    """An answer's reward is how often it is preferred to an opponent's, less the distance from the
    first model; the last policy is the one that is meant.

    tau: weight of the distance. beta: share of the first model in the opponent, a mixture token by
    token; 0.125 to 0.375 did best. opponent: average is the form with a moving average of the
    policy. num_attempts: of each side. num_votes: annotators a comparison; 0 takes the exact
    probability. eta, epochs: of each round's step, see `askesis.recipes.spo.mirror_step`.
    """
    is_average = opponent == "average"
    learn = mirror_step(eta, epochs, columns=(KLInReward(coef=tau),), reference="base")
    parts = Parts(
        tasks=Uniform(num=64),
        explore=Against(num_attempts=num_attempts, snapshot="average" if is_average else ""),
        judge=WinRate(opponents="opponent", num_votes=num_votes),
        select={"policy": GroupAdvantages(baseline="half")},
        learn={"policy": learn},
    )
    kept = (MovingAverage(),) if is_average else ()
    phase = Phase(parts=parts, measure=(Ability(),), retain=kept, until=Until(rounds=64))
    mixture = RoleSpec(mixture={"policy": 1 - beta, "reference": beta})
    roles = {"policy": RoleSpec(), "reference": RoleSpec(snapshot="base")}
    roles["opponent"] = RoleSpec() if is_average else mixture
    worlds = {"main": "preferences"}
    return Plan(recipe="nash_md", phases=(phase,), roles=roles, worlds=worlds)
