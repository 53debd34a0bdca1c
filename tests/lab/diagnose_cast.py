"""Scripted models and little worlds that are diagnosed in tests; every figure is known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from askesis.errors import ModelError, WorldError
from askesis.models.scripted import ScriptedModel, TextRenderer
from askesis.models.tabular import TabularModel
from askesis.plan import ModelSpec
from askesis.records import Task, TaskRole
from tests.lab.letters import ANSWERS, ASKED, Letters

HERE = __file__
LETTERS = f"{HERE}:Letters"


def silent(name: str, spec: ModelSpec) -> ScriptedModel:
    """Never answers."""
    return ScriptedModel(name, lambda text, u: "")


def half(name: str, spec: ModelSpec) -> ScriptedModel:
    """Knows two letters of four: right where the prompt ends with a or b, else "q"."""
    return ScriptedModel(
        name, lambda text, u: {"a": "w", "b": "x"}.get(text.strip()[-1], "q") if text else "q"
    )


def sure(name: str, spec: ModelSpec) -> ScriptedModel:
    """Always right."""
    return ScriptedModel(name, lambda text, u: ANSWERS[ASKED.index(text.strip()[-1])])


def cramped(name: str, spec: ModelSpec) -> TabularModel:
    """Has no room for an answer."""
    return TabularModel(name, ASKED + ANSWERS, trainable=True, context_length=4)


def broken(name: str, spec: ModelSpec) -> ScriptedModel:
    """Cannot read any prompt."""
    model = half(name, spec)
    model.renderer = Unreadable()
    return model


class Unreadable(TextRenderer):
    """Refuses every prompt."""

    def render(self, start: Any, turns: Any = (), role: str = "policy") -> Any:
        raise ModelError("the prompt cannot be read", hint="Use another model")


def skewed(name: str, spec: ModelSpec) -> TabularModel:
    """Says the right letter with probability 0.7, each wrong one with 0.1, and ends."""
    logits = torch.full((10, 10), -30.0)
    for i in range(4):
        logits[i, 4:8] = float(np.log(0.1))
        logits[i, 4 + i] = float(np.log(0.7))
    logits[4:, 8] = 30.0
    return TabularModel(name, ASKED + ANSWERS, logits, spec.trainable)


class Tastes(Letters):
    """Knows which of two answers is preferred, and nothing else."""

    id = "tastes-v1"
    truth = frozenset({"preference"})

    def annotated_pair(
        self, task: Task, rng: np.random.Generator, num_votes: int = 1
    ) -> tuple[str, str, float]:
        right = self.demonstrate(task, rng)
        return right, ANSWERS[(ANSWERS.index(right) + 1) % 4], 1.0

    def verify(self, task: Task, answer: str) -> Any:
        raise AssertionError("a world without answers is not asked for them")


class OneTask(Letters):
    """There is a single problem, and it is a train task."""

    id = "one-v1"
    num_canonical = 1

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        if TaskRole(role) is not TaskRole.TRAIN:
            raise WorldError("world 'one-v1' has only a train task")
        made = self.task("abcd", "z")
        return [Task("one-v1:0", self.id, made.prompt, made.answer)] * num
