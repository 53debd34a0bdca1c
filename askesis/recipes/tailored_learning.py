"""Tailored learning: a student's mistakes choose the teacher's next lessons (Wang et al. 2023)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.sample import SampleAttempts
from askesis.explore.teach import Teach
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.contrast import Triplet
from askesis.learn.supervised import Supervised
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.taught import Taught
from askesis.tasks.lessons import Lessons
from askesis.tasks.uniform import Uniform


def tailored_learning(
    lesson: Literal["tailored", "failed", "any"] = "tailored",
    num_lessons: int = 64,
    reflect: bool = True,
) -> Plan:
    """An exam; for what went wrong a teacher, the world's solver, writes a right answer that keeps
    what was right; the student learns those, and to tell its own right answers from its wrong ones.

    lesson: see `Lessons`; "failed" shows the teacher nothing, "any" asks about tasks at random.
    num_lessons: a round, at most. reflect: whether own answers are set against each other.
    """
    objectives = (Supervised(), Triplet()) if reflect else (Supervised(),)
    parts = Parts(
        tasks=Uniform(num=128),
        explore=SampleAttempts(num_attempts=4),
        judge=Verifier(),
        lessons=Lessons(lesson=lesson, num=num_lessons),
        teach=Teach(),
        select={"policy": Taught(reflect=reflect)},
        learn={"policy": Learn(objectives=objectives, epochs=4, learning_rate=3e-4)},
    )
    measure = (Groups(), Ability())
    phase = Phase(parts=parts, measure=measure, until=Until(rounds=16), round=school_round)
    truth: Literal["steps", "answers"] = "steps" if lesson == "tailored" else "answers"
    return Plan(recipe="tailored_learning", phases=(phase,), truth=truth)


def school_round(rd: Any, p: Parts) -> None:
    """Exam, lessons on what it showed, and then both are learnt from."""
    exam = rd.explore(p.explore, rd.tasks(p.tasks))
    verdicts = rd.judge(p.judge, exam)
    wanted = rd.tasks(p.lessons, groups=exam, verdicts=verdicts)
    lessons = rd.explore(p.teach, wanted)
    verdicts.extend(rd.judge(p.judge, lessons))
    rd.view.groups.pop("teach")  # measures look at what the student did
    rd.learn(
        "policy", p.learn["policy"], rd.select(p.select["policy"], [*exam, *lessons], verdicts)
    )
