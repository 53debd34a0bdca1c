"""Iterative-deepening sampling: told to look again at budgets of tokens that grow (card [20])."""

from __future__ import annotations

from dataclasses import replace

from askesis.explore.deepening import Deepening
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.measure.spontaneous import Spontaneous
from askesis.plan import Parts, Phase, Plan, Until
from askesis.recipes.spontaneous_correction import spontaneous_correction
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def id_sampling(
    num_taught: int = 2000,
    first_tokens: int = 16,
    growth: float = 2.0,
    trigger: str = "#",
    end_checks: int = 0,
    num_attempts: int = 8,
) -> Plan:
    """The world teaches how a wrong step is taken back; then attempts are opened for a remark
    whenever a budget of tokens is used up, each budget larger, and right ones are learnt.

    num_taught: tasks of the first phase; 0 leaves it out. first_tokens: the first budget. growth:
    of budgets; 1 puts triggers at even distances. trigger: what opens a remark; it is read and
    never learnt. end_checks: how often an answer that has ended is opened again; with first_tokens
    beyond the longest answer the only triggers.
    """
    deepening = Deepening(
        num_attempts=num_attempts,
        first_tokens=first_tokens,
        growth=growth,
        trigger=trigger,
        end_checks=end_checks,
    )
    parts = Parts(
        tasks=Uniform(num=256),
        explore=deepening,
        judge=Verifier(),
        select={"policy": Threshold(max_per_task=4)},
        learn={"policy": Learn(learning_rate=3e-4)},
    )
    measure = (Groups(), Ability(), Spontaneous())
    main = Phase(parts=parts, measure=measure, until=Until(rounds=16), reset=("optimizer",))
    taught = spontaneous_correction(num_taught=num_taught).phases[0]
    first = (replace(taught, measure=measure),) if num_taught else ()
    worlds = {"main": "chain_arithmetic"}  # whose remarks are lines
    return Plan(recipe="id_sampling", phases=(*first, main), worlds=worlds, truth="steps")
