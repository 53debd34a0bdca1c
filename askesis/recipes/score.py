"""SCoRe: self-correction via reinforcement learning (Kumar et al. 2024)."""

from __future__ import annotations

from askesis.explore.turns import AGAIN, SelfCorrect
from askesis.judge.turns import TurnVerifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import Reinforce
from askesis.learn.turn_credit import KLOfTurns
from askesis.measure.correction import Correction
from askesis.measure.revisions import Revisions
from askesis.plan import Parts, Phase, Plan, Until
from askesis.recipes.second_answer import ASKED, second_answer_phase
from askesis.select.turn_advantages import TurnAdvantages
from askesis.tasks.uniform import Uniform


def score(
    bonus: float = 10.0,
    kl_coef: float = 0.01,
    first_kl_coef: float = 0.1,
    num_attempts: int = 8,
    stage_one: int = 16,
    second_answer: int = 512,
    instruction: str = AGAIN,
) -> Plan:
    """Two turns, two stages: first revisions are paid while first answers are pinned to the
    reference, then both are paid, and a revision for the change it makes on top.

    bonus: alpha, of stage two. kl_coef: b1. first_kl_coef: b2, of first answers in stage one.
    stage_one: its rounds. second_answer: tasks of the phase that makes a second turn possible. 0
    leaves out either; naive two-turn reinforcement is --bonus 0 --stage-one 0. instruction: what is
    said between the answers.
    """
    explore = SelfCorrect(num_attempts=num_attempts, instruction=instruction)

    def stage(name: str, rounds: int, first_coef: float, alpha: float, first_kl: float) -> Phase:
        learn = Learn(
            objectives=(Reinforce(),),
            columns=(KLOfTurns(first_coef=first_kl, later_coef=kl_coef),),
            reference=ASKED if second_answer else "base",
            num_batches=1,
            learning_rate=3e-4,
        )
        parts = Parts(
            tasks=Uniform(num=32),
            explore=explore,
            judge=TurnVerifier(),
            select={"policy": TurnAdvantages(first_coef=first_coef, bonus=alpha)},
            learn={"policy": learn},
        )
        measure = (Correction(), Revisions(explore=explore))
        return Phase(name=name, parts=parts, measure=measure, until=Until(rounds=rounds))

    begin = second_answer_phase(second_answer, instruction)
    one = (stage("stage_one", stage_one, 0.0, 0.0, first_kl_coef),) if stage_one else ()
    two = stage("stage_two", 48, 1.0, bonus, kl_coef)
    return Plan(recipe="score", phases=(*begin, *one, two))
