"""CCT: confidence and critique from answers that are put together (Yang et al. 2024)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.demonstrate import Demonstrate
from askesis.explore.sample import SampleAttempts
from askesis.explore.turns import AGAIN, SelfCorrect
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.revisions import Revisions as FreshRevisions
from askesis.plan import Parts, Phase, Plan, Until
from askesis.recipes.second_answer import second_answer_phase
from askesis.records import Group
from askesis.select.revisions import Revisions
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def with_demonstrations(rd: Any, p: Parts) -> None:
    """Own attempts and the demonstration as one group; two-turn samples and plain ones from it."""
    starts = rd.tasks(p.tasks)
    own, given = rd.explore(p.explore, starts), rd.explore(p.demonstrate, starts)
    groups = [Group(a.key, (*a.attempts, *b.attempts)) for a, b in zip(own, given, strict=True)]
    verdicts = rd.judge(p.judge, groups)
    samples = rd.select(p.select["policy"], groups, verdicts)
    samples += rd.select(p.plain["policy"], given, verdicts)
    rd.learn("policy", p.learn["policy"], samples)


def confidence_critique(
    keep_share: float = 0.4,
    source: Literal["own", "demonstration"] = "demonstration",
    num_attempts: int = 4,
    second_answer: int = 512,
    instruction: str = AGAIN,
) -> Plan:
    """Own first answers, right ones followed by themselves and wrong ones by a right one; only the
    second turn is learnt. Beside it plain answers to the task, so that the first turn stays.

    keep_share: share of samples whose first answer is right; 1 trains confidence alone, 0 critique
    alone. source: of right second answers, the demonstration or an own right attempt.
    num_attempts: first answers a task. second_answer: tasks of the phase that makes a second turn
    possible; 0 leaves it out. instruction: what is said between the answers.
    """
    parts = Parts(
        tasks=Uniform(num=128),
        explore=SampleAttempts(num_attempts=num_attempts),
        demonstrate=Demonstrate(),
        judge=Verifier(),
        select={"policy": Revisions(keep_share=keep_share, source=source, instruction=instruction)},
        plain={"policy": Threshold(distinct="none")},
        learn={"policy": Learn(learning_rate=3e-4)},
    )
    measure = (FreshRevisions(explore=SelfCorrect(instruction=instruction)),)
    phase = Phase(parts=parts, measure=measure, until=Until(rounds=16), round=with_demonstrations)
    begin = second_answer_phase(second_answer, instruction)
    return Plan(recipe="confidence_critique", phases=(*begin, phase))
