"""Two worlds that contradict each other, learnt one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from askesis.explore.demonstrate import Demonstrate
from askesis.learn.learner import Learn
from askesis.measure.groups import Groups
from askesis.measure.worlds import Worlds
from askesis.plan import Parts, Plan, Until
from askesis.records import Task
from askesis.requests import Checked
from askesis.tasks.uniform import Uniform
from tests.lab.letters import ANSWERS, ASKED, Letters, letters


class Turned(Letters):
    """The same prompts, the answers in the opposite order: a -> z, ..., d -> w."""

    id = "turned-v1"

    def verify(self, task: Task, answer: str) -> Checked:
        right = ANSWERS[3 - ASKED.index(task.prompt[-1])]
        return Checked(float(answer == right), f"wanted {right}", answer[:1])

    def demonstrate(self, task: Task, *_: Any, **__: Any) -> str:
        return ANSWERS[3 - ASKED.index(task.prompt[-1])]


def one_then_the_other(order: tuple[str, ...] = ("main", "turned", "main")) -> Plan:
    """Phases of three rounds, each on one of the worlds."""
    plan = letters(tasks=32, rate=0.15)
    phases = []
    for number, world in enumerate(order):
        changed: dict[str, Any] = {"tasks": Uniform(num=32, world=world)}
        if world == "turned":  # own attempts at the opposite of what one knows are seldom right
            changed["explore"] = Demonstrate()
            changed["learn"] = {"policy": Learn(learning_rate=0.8, batch_tokens=64)}
        parts = Parts(**{**plan.phases[0].parts, **changed})
        phases.append(
            replace(
                plan.phases[0],
                name=f"{world}{number}",
                parts=parts,
                measure=(Groups(), Worlds(num_tasks=16, num_attempts=2)),
                until=Until(rounds=3),
            )
        )
    worlds = {"main": plan.worlds["main"], "turned": f"{__file__}:Turned"}
    return replace(plan, recipe="two_worlds", phases=tuple(phases), worlds=worlds)


def only_main() -> Plan:
    """The single-task expert."""
    plan = one_then_the_other(("main",))
    return replace(plan, worlds={"main": plan.worlds["main"]})
