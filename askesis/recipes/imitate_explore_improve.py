"""STILL-2: imitate long answers, explore hard tasks, learn what was found (Min et al. 2024)."""

from __future__ import annotations

from typing import Literal

from askesis.explore.demonstrate import Demonstrate
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Preference
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.grown import GrownSet
from askesis.select.pairs import BestAndWorst
from askesis.tasks.uniform import Uniform


def imitate_explore_improve(
    habit: str = "backtrack+verify",
    num_seeds: int = 1000,
    improve: Literal["sft", "dpo"] = "sft",
    difficulty: float | None = 0.75,
    max_tokens: int = 192,
) -> Plan:
    """A few long demonstrations; then rounds of many attempts at hard tasks, whose right ones join
    the demonstrations in one set, from which the first model is trained anew.

    habit: of the demonstrations. num_seeds: how many. improve: dpo sets right against wrong
    attempts instead, going on from the imitating model. difficulty: of the tasks that are explored,
    None for all. max_tokens: of an attempt.
    """
    grown = GrownSet()
    anew = Learn(start="base", optimizer="reset", epochs=5, batch_tokens=1024, schedule="cosine")
    seeds = Parts(
        tasks=Uniform(num=num_seeds),
        explore=Demonstrate(habit=habit),
        judge=Verifier(),
        select={"policy": grown},
        learn={"policy": anew},
    )
    pairs = Learn(objectives=(Preference(),), reference="phase_start", learning_rate=1e-4)
    found = Parts(
        tasks=Uniform(num=64, difficulty=difficulty, pool_size=256),
        explore=SampleAttempts(num_attempts=16, max_tokens=max_tokens),
        judge=Verifier(),
        select={"policy": grown if improve == "sft" else BestAndWorst()},
        learn={"policy": anew if improve == "sft" else pairs},
    )
    measure = (Groups(), Ability(max_tokens=max_tokens))
    phases = (
        Phase(name="imitate", parts=seeds, until=Until(rounds=1)),
        Phase(parts=found, measure=measure, until=Until(rounds=8)),
    )
    return Plan(recipe="imitate_explore_improve", phases=phases)
