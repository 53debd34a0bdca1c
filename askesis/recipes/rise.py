"""RISE: recursive introspection, improving on one's own answers (Qu et al. 2024)."""

from __future__ import annotations

from askesis.explore.turns import AGAIN, SelfCorrect
from askesis.judge.turns import TurnVerifier
from askesis.learn.learner import Learn
from askesis.measure.revisions import Revisions
from askesis.plan import Parts, Phase, Plan, Until
from askesis.recipes.second_answer import second_answer_phase
from askesis.select.turn_prefixes import Keep, TurnPrefixes
from askesis.tasks.uniform import Uniform


def rise(
    tau: float = 0.4,
    keep: Keep = "all",
    num_turns: int = 2,
    num_revisions: int = 16,
    test_turns: int = 5,
    window: int = 1,
    second_answer: int = 512,
    instruction: str = AGAIN,
) -> Plan:
    """An answer; where it is wrong, several revisions, of which the best is kept; every answer is
    learnt after what was said before it, weighted by its reward; again with the new model.

    tau: weights are exp(reward / tau). keep: all, better, best or right. num_turns: answers while
    learning. num_revisions: n. test_turns, window: answers while measuring, and how many of them a
    revision sees. second_answer: tasks of the phase that makes a second turn possible; 0 leaves it
    out. instruction: what is said between the answers.
    """
    explore = SelfCorrect(
        num_attempts=1,
        num_turns=num_turns,
        num_revisions=num_revisions,
        until_right=True,
        instruction=instruction,
    )
    used = SelfCorrect(num_turns=test_turns, window=window, instruction=instruction)
    parts = Parts(
        tasks=Uniform(num=256),
        explore=explore,
        judge=TurnVerifier(unreadable=-1.0),
        select={"policy": TurnPrefixes(tau=tau, keep=keep)},
        learn={"policy": Learn(learning_rate=3e-4)},
    )
    main = Phase(parts=parts, measure=(Revisions(explore=used),), until=Until(rounds=16))
    begin = second_answer_phase(second_answer, instruction)
    return Plan(recipe="rise", phases=(*begin, main))
