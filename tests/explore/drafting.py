"""A policy whose drafts go wrong in their second step or nowhere, heads of letters, a refiner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from askesis.models.scripted import ScriptedModel
from askesis.models.tabular import TabularModel
from askesis.records import Task, TaskRole
from askesis.requests import Checked
from tests.explore.host import Host

SIX = "axyuz,;"
RIGHT, WRONG = "x;y,z", "x;u,z"
WAYS = {"a": "x", "x": ";", ";": "yu", "y": ",", "u": ",", ",": "z", "z": "."}  # "." is the end


class Letters:
    """Right is RIGHT; a "u" is a wrong step, and what does not begin with "x;" has no right one."""

    id, truth, max_answer_tokens = "letters-v1", frozenset({"answer", "steps"}), 8
    num_canonical = 1

    def make(self) -> Task:
        return Task("letters:a", self.id, "a", RIGHT, 0.0, TaskRole.TRAIN)

    def draw(self, role: Any, rng: np.random.Generator, num: int, difficulty: Any = None) -> Any:
        return [replace(self.make(), role=TaskRole(role))] * num

    def canonical(self, task: Task) -> str:
        return "a"

    def verify(self, task: Task, answer: str) -> Checked:
        steps = [s for s in answer.replace(";", ",").split(",") if s]
        ends = np.cumsum([len(s) + 1 for s in steps]) - 1
        spans = tuple((int(e) - len(s), int(e)) for s, e in zip(steps, ends, strict=True))
        right = tuple(float(s in ("x", "y", "z")) for s in steps)
        return Checked(float(answer == RIGHT), "", answer, right, spans)


def drafter(right: float = 0.5) -> TabularModel:
    """Says RIGHT with this probability, else WRONG."""
    logits = np.full((len(SIX) + 2,) * 2, -30.0)
    for letter, after in WAYS.items():
        for then in after:
            place = len(SIX) if then == "." else SIX.index(then)
            share = right if then == "y" else 1 - right if then == "u" else 1.0
            logits[SIX.index(letter), place] = np.log(max(share, 1e-12))
    return TabularModel("policy", SIX, logits)


def drafting(
    right: float = 0.5, outcome: dict[str, float] | None = None, refined: str = RIGHT, **at: float
) -> tuple[Host, list[str]]:
    """A host, and what its refiner reads. outcome: by the last letter, what its head says; at: what
    the head of steps says behind "first", "second" and "last"."""
    heard: list[str] = []

    def refiner(text: str, u: float) -> str:
        heard.append(text)
        return refined

    heads = {name: TabularModel(name, SIX) for name in ("outcome", "steps")}
    for letter, value in (outcome or {}).items():
        heads["outcome"].module.value.data[SIX.index(letter)] = value
    for name, place in (("first", SIX.index(";")), ("second", SIX.index(",")), ("last", len(SIX))):
        heads["steps"].module.value.data[place] = at.get(name, 3.0)
    models = {"policy": drafter(right), "refiner": ScriptedModel("refiner", refiner)}
    return Host(models | heads, world=Letters()), heard
