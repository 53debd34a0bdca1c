"""A world, a model and a recipe in a file of one's own, small enough to run in a blink.

The answer to a prompt of four letters is a letter that depends on the last one. The model is the
bigram softmax; at first it knows that an answer is one letter and nothing about which.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.models.tabular import TabularModel
from askesis.plan import ModelSpec, Parts, Phase, Plan, Until
from askesis.records import Task
from askesis.requests import Checked
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform
from askesis.worlds.family import Family

ASKED, ANSWERS = "abcd", "wxyz"


class Letters(Family):
    """Answer the last letter of the prompt: a -> w, b -> x, c -> y, d -> z."""

    id = "letters-v1"
    truth = frozenset({"answer", "demonstration"})
    num_canonical = 4**4
    max_answer_tokens = 2

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        letters = ASKED[: 2 + round(2 * difficulty)]
        prompt = "".join(letters[int(i)] for i in rng.integers(len(letters), size=4))
        return self.task(prompt, ANSWERS[ASKED.index(prompt[-1])], difficulty=difficulty)

    def verify(self, task: Task, answer: str) -> Checked:
        right = ANSWERS[ASKED.index(task.prompt[-1])]
        return Checked(float(answer == right), f"wanted {right}", answer[:1])

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str:
        place = ASKED.index(task.prompt[-1])
        return ANSWERS[(place + wrong) % 4]

    def hardness(self, task: Task) -> float:
        return float(ASKED.index(max(task.prompt)))


def bigram(name: str, spec: ModelSpec) -> TabularModel:
    """Says one of the four answers and ends."""
    logits = torch.full((10, 10), -8.0)
    logits[:4, 4:8] = 0.0
    logits[4:, 8] = 8.0
    return TabularModel(name, ASKED + ANSWERS, logits, spec.trainable)


def letters(tasks: int = 8, rate: float = 0.3) -> Plan:
    """Learn from one's own right answers."""
    parts = Parts(
        tasks=Uniform(num=tasks),
        explore=SampleAttempts(num_attempts=4),
        judge=Verifier(),
        select={"policy": Threshold(distinct="none")},
        learn={"policy": Learn(learning_rate=rate, batch_tokens=64)},
    )
    measure: tuple[Any, ...] = (Groups(), Ability(num_tasks=8, num_attempts=2, ks=(1, 2)))
    here = __file__
    phase = Phase(parts=parts, measure=measure, until=Until(rounds=3), measure_every=1)
    return Plan(
        recipe="letters",
        phases=(phase,),
        models={"policy": ModelSpec(source=f"{here}:bigram")},
        worlds={"main": f"{here}:Letters"},
    )
