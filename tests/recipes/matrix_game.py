"""One question, a handful of answers of one letter, and a matrix of who is preferred to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.models.tabular import TabularModel
from askesis.records import Task, TaskRole
from askesis.requests import Checked

ANSWERS = "wxyz"
# Rock, paper, scissors with unequal margins, and an answer that loses to all of them. The cycle's
# odds of 0.4, 0.2 and 0.1 above one half give the winner (2, 1, 4) / 7: what beats you rarely weighs
# most. Solved by hand; `minimax_winner` finds the same.
CYCLE = np.array(
    [
        [0.5, 0.9, 0.4, 0.8],
        [0.1, 0.5, 0.7, 0.8],
        [0.6, 0.3, 0.5, 0.8],
        [0.2, 0.2, 0.2, 0.5],
    ]
)
WINNER = np.array([2, 1, 4, 0]) / 7


@dataclass(frozen=True)
class MatrixGame:
    """Answer "a" with a letter of ANSWERS. Anything else loses to every letter."""

    preferences: Any = None
    id: str = "matrix-v1"
    truth = frozenset({"answer", "preference"})
    num_canonical = 1
    max_answer_tokens = 1

    def draw(self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: Any = None):
        return [Task("matrix:a", self.id, "a", None, 0.0, role)] * num

    def canonical(self, task: Task) -> str:
        return task.prompt

    def verify(self, task: Task, answer: str) -> Checked:
        return Checked(0.0)

    def demonstrate(self, task: Task, rng: np.random.Generator, habit: str = "plain") -> None:
        return None

    def preference(self, task: Task, first: str, second: str) -> float:
        known = [ANSWERS.find(text) if len(text) == 1 else -1 for text in (first, second)]
        if min(known) < 0:
            return 0.5 if known[0] == known[1] else float(known[1] < 0)
        table = CYCLE if self.preferences is None else self.preferences
        return float(table[known[0]][known[1]])

    def annotated_pair(
        self, task: Task, rng: np.random.Generator, num_votes: int = 1
    ) -> tuple[str, str, float]:
        first, second = (ANSWERS[i] for i in rng.choice(len(ANSWERS), 2, replace=False))
        share = float((rng.random(num_votes) < self.preference(task, first, second)).mean())
        return (first, second, share) if share >= 0.5 else (second, first, 1 - share)


def table(name: str = "policy") -> TabularModel:
    """A table that begins with every answer alike, and hardly anything else."""
    model = TabularModel(name, "a" + ANSWERS)
    logits = model.module.logits.detach()
    logits[0, 0] = logits[0, -2] = -30.0  # neither the question nor an empty answer
    return model


def policy_of(model: TabularModel) -> np.ndarray:
    """Probabilities of the answers."""
    logits = model.next_logits([model.renderer.encode("a")])[0].softmax(-1)
    found = logits[1 : 1 + len(ANSWERS)].double().numpy()
    return found / found.sum()
