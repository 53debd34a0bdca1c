"""garden_path-v1: say the letters backwards, after reading writers who mostly begin wrongly.

    prompt   "cafb"
    answer   "bfac"     the letters from last to first, nothing else

The answers are the orders of the letters, few enough to list (`list_answers`). So what a model gives
each of them can be computed, and with it what sharpening is about: the likeliest answer, and how
much of the mass it has.

It is made so that a model of its writers takes the wrong turn when it goes greedily. A writer says

    the letters backwards                                     with probability share
    the first letter, then the others in any order           with probability 1 - share

For share below 1/2 the first letter is the likeliest beginning, and yet each answer behind it has
only (1 - share) / (n - 1)! : the right one is the likeliest answer where share is more than that.
`law` says it exactly. The world declares "answer" (it scores) and no demonstration: what it writes
when a warm start asks is a writer's answer, right or not.
"""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np

from askesis.errors import WorldError
from askesis.records import Task
from askesis.requests import Checked
from askesis.text.limits import unreadable
from askesis.worlds.family import HABITS, Family, no_habit

LETTERS = "abcdefghijklmnopqr"
LEAST, MOST = 3, 5  # letters of the easiest and of the hardest prompts
MAX_ANSWER_CHARS = 64


class GardenPath(Family):
    """difficulty: LEAST to MOST letters, 6 to 120 answers.

    share: of a writer's answers that are right, in (0, 1). At 0.4 the right answer is the likeliest
    one at every size, and greedy decoding finds it at none. At 0.06 it is rare, and the likeliest
    only with five letters.
    """

    id = "garden_path-v1"
    truth = frozenset({"answer"})
    max_answer_tokens = 6

    def __init__(self, difficulty: float | None = None, share: float = 0.4) -> None:
        super().__init__(difficulty)
        if not 0 < share < 1:
            raise WorldError(
                f"share of world {type(self).id!r}",
                expected="above 0 and below 1",
                found=str(share),
            )
        self.share = share
        told = [] if difficulty is None else [f"difficulty={difficulty:g}"]
        told += [] if share == 0.4 else [f"share={share:g}"]
        self.id = type(self).id + ("?" + "&".join(told) if told else "")
        if difficulty is None:
            self.num_canonical = sum(num_prompts(n) for n in range(LEAST, MOST + 1))

    def count(self, difficulty: float) -> int:
        """Prompts of that many letters."""
        return num_prompts(num_letters(difficulty))

    def hardness(self, task: Task) -> float:
        """How many answers there are to choose from."""
        return float(factorial(len(task.data["letters"])))

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        drawn = rng.choice(len(LETTERS), size=num_letters(difficulty), replace=False)
        letters = [LETTERS[int(i)] for i in drawn]
        prompt = "".join(letters)
        return self.task(prompt, prompt[::-1], difficulty=difficulty, data={"letters": letters})

    def list_answers(self, task: Task) -> list[str]:
        """Every order of the letters, in alphabetical order of their places. Uses no truth."""
        return ["".join(order) for order in permutations(task.data["letters"])]

    def law(self, task: Task) -> dict[str, float]:
        """Probability of every order under a writer, by `list_answers`; they add up to 1."""
        letters = task.data["letters"]
        each = (1 - self.share) / factorial(len(letters) - 1)
        found = {text: each * (text[0] == letters[0]) for text in self.list_answers(task)}
        found["".join(reversed(letters))] += self.share
        return found

    def verify(self, task: Task, answer: str) -> Checked:
        why = unreadable(answer, MAX_ANSWER_CHARS)
        if why:
            return Checked(0.0, why)
        found, right = self.extract(answer), "".join(reversed(task.data["letters"]))
        return Checked(float(found == right), "" if found == right else f"not {right}", found)

    def extract(self, answer: str) -> str:
        """The answer without white space around it; "" where it is too long to be one."""
        return answer.strip() if len(answer) <= MAX_ANSWER_CHARS else ""

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """A writer's answer, drawn from `law`. wrong: one of those that begin with the first
        letter."""
        if habit not in HABITS:
            raise no_habit(self.id, habit)
        letters = task.data["letters"]
        if not wrong and rng.random() < self.share:
            return "".join(reversed(letters))
        behind = [letters[1:][int(i)] for i in rng.permutation(len(letters) - 1)]
        return "".join([letters[0], *behind])


def num_letters(difficulty: float) -> int:
    """LEAST at difficulty 0, MOST at 1."""
    return LEAST + min(int(difficulty * (MOST - LEAST + 1)), MOST - LEAST)


def num_prompts(size: int) -> int:
    """Different prompts of so many of the letters, their order counting."""
    return factorial(len(LETTERS)) // factorial(len(LETTERS) - size)
