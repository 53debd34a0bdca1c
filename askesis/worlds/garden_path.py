"""garden_path-v1: take the right turns, after reading writers who mostly begin with a wrong one.

    prompt   "4871.."
    answer   "llrr"       at every even digit left, at every odd one right

Dots make all prompts equally long, so that a small model finds the digit of each turn.

The answers are the 2^n ways to go, few enough to list (`list_answers`). So what a model gives each
of them can be computed, and with it what sharpening is about: the likeliest answer, and how much
of the mass it has.

It is made so that a model of its writers goes wrong when it decodes greedily. A writer says

    the right turns                                         with probability share
    the wrong first turn, then any turns, all alike likely  with probability 1 - share

For share below 1/2 the wrong turn is the likeliest beginning, and yet each of the 2^(n-1) answers
behind it has only (1 - share) / 2^(n-1): the right one is the likeliest answer where share is more
than that. `law` says it exactly. The world declares "answer" (it scores) and no demonstration: what
it writes when a warm start asks is a writer's answer, right or not.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from askesis.errors import WorldError
from askesis.records import Task
from askesis.requests import Checked
from askesis.text.limits import unreadable
from askesis.worlds.family import HABITS, Family, no_habit

TURNS = "lr"
LEAST, MOST = 4, 6  # turns of the easiest and of the hardest prompts
MAX_ANSWER_CHARS = 64


class GardenPath(Family):
    """difficulty: LEAST to MOST turns, 16 to 64 answers.

    share: of a writer's answers that are right, in (0, 1). At 0.4 the right answer is the likeliest
    one at every size, and greedy decoding finds it at none. At 0.06 it is rare, and the likeliest
    only with five turns and more.
    """

    id = "garden_path-v1"
    truth = frozenset({"answer"})
    max_answer_tokens = 7

    def __init__(self, difficulty: float | None = None, share: float = 0.4) -> None:
        super().__init__(difficulty)
        if not 0 < share < 1:
            what = f"share of world {type(self).id!r}"
            raise WorldError(what, expected="above 0 and below 1", found=str(share))
        self.share = share
        told = [] if difficulty is None else [f"difficulty={difficulty:g}"]
        told += [] if share == 0.4 else [f"share={share:g}"]
        self.id = type(self).id + ("?" + "&".join(told) if told else "")
        if difficulty is None:
            self.num_canonical = sum(10**n for n in range(LEAST, MOST + 1))

    def count(self, difficulty: float) -> int:
        """Prompts of that many digits."""
        return int(10 ** num_turns(difficulty))

    def hardness(self, task: Task) -> float:
        """How many answers there are to choose from."""
        return float(2 ** len(task.data["digits"]))

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        digits = "".join(str(d) for d in rng.integers(0, 10, num_turns(difficulty)))
        return self.posed(digits, difficulty)

    def posed(self, digits: str, difficulty: float = 0.0) -> Task:
        """The task of these digits."""
        prompt = digits.ljust(MOST, ".")
        return self.task(
            prompt, right_turns(digits), difficulty=difficulty, data={"digits": digits}
        )

    def list_answers(self, task: Task) -> list[str]:
        """Every way to go, in alphabetical order. Uses no truth."""
        return ["".join(turns) for turns in product(TURNS, repeat=len(task.data["digits"]))]

    def law(self, task: Task) -> dict[str, float]:
        """Probability of every answer under a writer, by `list_answers`; they add up to 1."""
        right = right_turns(task.data["digits"])
        each = (1 - self.share) / 2 ** (len(right) - 1)
        found = {text: each * (text[0] != right[0]) for text in self.list_answers(task)}
        return found | {right: self.share}

    def verify(self, task: Task, answer: str) -> Checked:
        why = unreadable(answer, MAX_ANSWER_CHARS)
        if why:
            return Checked(0.0, why)
        found, right = self.extract(answer), right_turns(task.data["digits"])
        return Checked(float(found == right), "" if found == right else f"not {right}", found)

    def extract(self, answer: str) -> str:
        """The answer without white space around it; "" where it is too long to be one."""
        return answer.strip() if len(answer) <= MAX_ANSWER_CHARS else ""

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """A writer's answer, drawn from `law`. wrong: one that begins with the wrong turn."""
        if habit not in HABITS:
            raise no_habit(self.id, habit)
        right = right_turns(task.data["digits"])
        if not wrong and rng.random() < self.share:
            return right
        rest = "".join(TURNS[int(i)] for i in rng.integers(0, 2, len(right) - 1))
        return TURNS[1 - TURNS.index(right[0])] + rest


def num_turns(difficulty: float) -> int:
    """LEAST at difficulty 0, MOST at 1."""
    return LEAST + min(int(difficulty * (MOST - LEAST + 1)), MOST - LEAST)


def right_turns(digits: str) -> str:
    """Left at even digits, right at odd ones.

    >>> right_turns("4871")
    'llrr'
    """
    return "".join(TURNS[int(d) % 2] for d in digits)
