"""Critique in the loop: a trained critic helps where plain attempts fail (Xi et al. 2024)."""

from __future__ import annotations

from askesis.explore.turns import SelfCorrect
from askesis.judge.turns import TurnVerifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.measure.tail import Tail
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.recipes.critic_phase import TAUGHT, critic_phase
from askesis.retain.replay import Replay
from askesis.select.refined import Refined
from askesis.tasks.uniform import Uniform


def critique_in_the_loop(
    num_attempts: int = 5,
    num_refinements: int = 1,
    min_success: float = 0.25,
    slack: int | None = 2,
    critic_rounds: int = 4,
) -> Plan:
    """Attempts; a critic says of failed ones which step is wrong; a refinement; what is right in
    the end is learnt from the task alone, each round from the weights before the first, with what
    earlier rounds found.

    num_attempts: N. num_refinements: after each critique, of which the best is kept; 0, with twice
    the attempts, is the control. min_success: share of refinements that a teacher's feedback must
    bring right to be learnt by the critic. slack: of the guard against shortcuts. critic_rounds: of
    the phase that teaches the critic, 0 for none.
    """
    explore = SelfCorrect(
        num_attempts=num_attempts,
        num_turns=2 if num_refinements else 1,
        num_revisions=num_refinements or 1,
        temperature=0.7,
        until_right=True,
        critic="critic",
        critic_temperature=0.0,
        critic_tokens=32,
    )
    start = TAUGHT if critic_rounds else "base"
    learn = Learn(start=start, optimizer="reset", epochs=2, batch_tokens=2048, schedule="cosine")
    parts = Parts(
        tasks=Uniform(num=512),
        explore=explore,
        judge=TurnVerifier(),
        select={"policy": Refined(slack=slack)},
        learn={"policy": learn},
    )
    measure = (Groups(), Ability(num_bins=4), Tail())
    found = (Replay(rounds=1000, fraction=0.8),)  # tasks are fresh: else only the last round counts
    main = Phase(parts=parts, measure=measure, retain=found, until=Until(rounds=3))
    models = {"policy": ModelSpec(), "critic": ModelSpec(trainable=critic_rounds > 0)}
    roles = {"policy": RoleSpec(), "critic": RoleSpec(model="critic")}
    phases = (*critic_phase(critic_rounds, min_success), main)
    return Plan(
        recipe="critique_in_the_loop", phases=phases, models=models, roles=roles, truth="steps"
    )
