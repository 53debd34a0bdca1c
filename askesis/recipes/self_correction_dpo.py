"""SCL: better first answers from pairs of an attempt's own two (He et al. 2024)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.turns import AGAIN, SelfCorrect
from askesis.judge.turns import TurnVerifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Preference
from askesis.measure.ability import Ability
from askesis.measure.correction import Correction
from askesis.plan import Parts, Phase, Plan, Until
from askesis.recipes.second_answer import second_answer_phase
from askesis.select.pairs import BestAndWorst
from askesis.select.turn_pairs import TurnPairs, Which
from askesis.tasks.uniform import Uniform


def self_correction_dpo(
    num_attempts: int = 4,
    temperature: float = 0.7,
    beta: float = 0.1,
    nll_coef: float = 0.1,
    which: Which = "both",
    pairs: Literal["turns", "independent"] = "turns",
    second_answer: int = 512,
    instruction: str = AGAIN,
) -> Plan:
    """Answer, answer again; where exactly one of the two is right it is preferred to the other,
    both as answers to the task alone.

    beta: of DPO. nll_coef: of the likelihood of what is chosen. which: both, mended or spoilt.
    pairs: independent is the control: nobody is asked twice; of twice as many first answers to a
    task a right one and a wrong one, drawn at random, are a pair.
    second_answer: tasks of the phase that makes a second turn possible; 0 leaves it out.
    instruction: what is said between the answers.
    """
    learn = Learn(
        objectives=(Preference(beta=beta, nll_coef=nll_coef),),
        reference="previous",
        epochs=3,
        learning_rate=1e-4,
        schedule="cosine",
    )
    again = pairs == "turns"
    explore = SelfCorrect(
        num_attempts=num_attempts if again else 2 * num_attempts,
        num_turns=2 if again else 1,
        temperature=temperature,
        instruction=instruction,
    )
    select: Any = TurnPairs(which=which) if again else BestAndWorst(rejected="random")
    parts = Parts(
        tasks=Uniform(num=256),
        explore=explore,
        judge=TurnVerifier(),
        select={"policy": select},
        learn={"policy": learn},
    )
    measure = (Ability(), Correction())
    main = Phase(parts=parts, measure=measure, until=Until(rounds=8))
    begin = second_answer_phase(second_answer, instruction)
    return Plan(recipe="self_correction_dpo", phases=(*begin, main))
