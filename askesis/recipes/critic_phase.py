"""The stretch in which a critic learns from a teacher, and who answers learns to listen."""

from __future__ import annotations

from typing import Any

from askesis.explore.demonstrate import Demonstrate
from askesis.explore.turns import SelfCorrect
from askesis.judge.turns import TurnVerifier
from askesis.learn.learner import Learn
from askesis.plan import Parts, Phase, Until
from askesis.records import Group
from askesis.retain.pin import Pin
from askesis.select.feedback_lessons import FeedbackLessons
from askesis.tasks.uniform import Uniform

TAUGHT = "taught"  # the snapshot of the policy at the end of this phase


def with_demonstrations(rd: Any, p: Parts) -> None:
    """Attempts and the demonstration as one group, from which both models learn."""
    starts = rd.tasks(p.tasks)
    own, given = rd.explore(p.explore, starts), rd.explore(p.demonstrate, starts)
    groups = [Group(a.key, (*a.attempts, *b.attempts)) for a, b in zip(own, given, strict=True)]
    verdicts = rd.judge(p.judge, groups)
    for model, learner in p.learn.items():
        rd.learn(model, learner, rd.select(p.select[model], groups, verdicts))


def critic_phase(rounds: int, min_success: float) -> tuple[Phase, ...]:
    """Answers; the teacher's feedback on wrong ones; four refinements behind each. The critic
    learns the feedback where at least `min_success` of the refinements came right, the policy to
    refine towards the demonstration, and the demonstration itself.

    A warm-started tiny model has never read feedback, so in the first rounds hardly any helps and
    the critic learns what is right; no rounds: no such phase.
    """
    if rounds == 0:
        return ()
    answers = SelfCorrect(num_attempts=4, num_revisions=4, until_right=True, instruction="{step}")
    critic = FeedbackLessons(terms=("feedback",), min_success=min_success)
    actor = FeedbackLessons(terms=("refined", "direct"), max_per_task=2)
    learn = Learn(epochs=2, batch_tokens=2048, schedule="cosine")  # both are new to them
    parts = Parts(
        tasks=Uniform(num=256),
        explore=answers,
        demonstrate=Demonstrate(),
        judge=TurnVerifier(),
        select={"policy": actor, "critic": critic},
        learn={"policy": learn, "critic": learn},
    )
    kept, until = (Pin(tag=TAUGHT),), Until(rounds=rounds)
    return (Phase(name="critic", parts=parts, retain=kept, until=until, round=with_demonstrations),)
