"""preferences-v1: put letters into the order that a hidden taste likes best.

    prompt   "dbka"
    answer   "kabd"     any order of the same letters, nothing else

The taste is a fixed hidden ranking of eighteen letters; the more a letter is liked the earlier it
shall come. An order's *gold score* is the sum of ranks, each times the number of letters behind it,
scaled to 0 for the worst order of these letters and 1 for the best. It is exact and known to the
world alone. What others may see are *preferences* between two answers:

    x        = (1 - cycle) * (s_first - s_second) + cycle * c(first, second)
    P        = (1 - noise) * sigmoid(sharpness * x) + noise * sigmoid(-sharpness * x)

With cycle 0 and noise 0 that is the Bradley-Terry model of the gold score. c is rock, paper,
scissors: an order's style is that of its first letter, letters take turns to have style 0, 1, 2,
and each style beats the one before it (c = 1, -1, or 0 within a style); no score explains that.
An answer that is not an order of the letters scores 0 and is preferred to by every order (s = -1).

The world declares "answer" (it scores) and "preference". It declares no demonstration: what it
writes when asked is an ordinary writer's answer, any order of the letters, and mostly not the best.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import numpy as np

from askesis.errors import WorldError
from askesis.records import Task
from askesis.requests import Checked
from askesis.rng import key, uniforms
from askesis.text.limits import unreadable
from askesis.worlds.family import HABITS, Family, no_habit

LETTERS = "abcdefghijklmnopqr"
LEAST, MOST = 4, 7  # letters of the easiest and of the hardest prompts
MAX_ANSWER_CHARS = 64
MALFORMED = -1.0  # gold score, in preferences, of what is no order of the letters


class Preferences(Family):
    """difficulty: LEAST to MOST letters.

    noise: probability that an annotator says the opposite, in [0, 0.5]. sharpness: how sure one is
    about the whole range of gold scores, above 0; 8 is sure of half of it at 98 %. cycle: share of
    the cyclic part in what is preferred, in [0, 1]. slips: probability that an answer shown to
    annotators has a letter left out, doubled or in place of another, in [0, 1]; without, what
    learns from pairs never sees what is no order of the letters, and thinks the best of it.
    """

    id = "preferences-v1"
    truth = frozenset({"answer", "preference"})
    max_answer_tokens = 8

    def __init__(
        self,
        difficulty: float | None = None,
        noise: float = 0.0,
        sharpness: float = 8.0,
        cycle: float = 0.0,
        slips: float = 0.2,
    ) -> None:
        super().__init__(difficulty)
        limits = {
            "noise": (noise, 0 <= noise <= 0.5, "in [0, 0.5]"),
            "sharpness": (sharpness, 0 < sharpness < float("inf"), "above 0"),
            "cycle": (cycle, 0 <= cycle <= 1, "in [0, 1]"),
            "slips": (slips, 0 <= slips <= 1, "in [0, 1]"),
        }
        for name, (value, fits, expected) in limits.items():
            if not fits:
                what = f"{name} of world {type(self).id!r}"
                raise WorldError(what, expected=expected, found=str(value))
        self.noise, self.sharpness, self.cycle, self.slips = noise, sharpness, cycle, slips
        usual = {"noise": 0.0, "sharpness": 8.0, "cycle": 0.0, "slips": 0.2}
        told = [] if difficulty is None else [f"difficulty={difficulty:g}"]
        told += [f"{n}={v:g}" for n, (v, _, _) in limits.items() if v != usual[n]]
        self.id = type(self).id + ("?" + "&".join(told) if told else "")
        if difficulty is None:
            self.num_canonical = sum(num_sets(n) for n in range(LEAST, MOST + 1))

    # ------------------------------------------------------------ tasks

    def count(self, difficulty: float) -> int:
        """Sets of that many letters."""
        return num_sets(num_letters(difficulty))

    def hardness(self, task: Task) -> float:
        """How many letters there are to order."""
        return float(len(task.data["letters"]))

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        drawn = rng.choice(len(LETTERS), size=num_letters(difficulty), replace=False)
        letters = [LETTERS[int(i)] for i in drawn]
        best = extremes("".join(sorted(letters)))[2]
        return self.task("".join(letters), best, difficulty=difficulty, data={"letters": letters})

    def canonical(self, task: Task) -> str:
        """The letters in the order of the alphabet."""
        return "".join(sorted(task.data["letters"]))

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """An ordinary writer's answer: any order of the letters, all alike likely. wrong: one that
        is not the best."""
        if habit not in HABITS:
            raise no_habit(self.id, habit)
        letters = task.data["letters"]
        for _ in range(100):
            text = "".join(letters[int(i)] for i in rng.permutation(len(letters)))
            if not wrong or self.gold(task, text) < 1.0:
                return text
        return None

    def list_answers(self, task: Task) -> list[str]:
        """Every order of the letters, in alphabetical order: 24 of four letters, 5,040 of seven.
        Uses no truth."""
        return sorted("".join(order) for order in permutations(task.data["letters"]))

    # ------------------------------------------------------------ the truth

    def gold(self, task: Task, answer: str) -> float:
        """The hidden score: in [0, 1] for an order of the letters, MALFORMED for anything else."""
        text = self.extract(answer)
        canonical = self.canonical(task)
        if "".join(sorted(text)) != canonical:
            return MALFORMED
        least, most, _ = extremes(canonical)
        return (liking(text) - least) / (most - least) if most > least else 1.0

    def verify(self, task: Task, answer: str) -> Checked:
        """The gold score, between 0 and 1; 0 as well for what is no order of the letters."""
        why = unreadable(answer, MAX_ANSWER_CHARS)
        if why:
            return Checked(0.0, why)
        score = self.gold(task, answer)
        if score == MALFORMED:
            return Checked(0.0, "is no order of the letters")
        return Checked(score, "", self.extract(answer))

    def extract(self, answer: str) -> str:
        """The answer without white space around it; "" where it is too long to be one."""
        return answer.strip() if len(answer) <= MAX_ANSWER_CHARS else ""

    def preference(self, task: Task, first: str, second: str) -> float:
        """Probability that an annotator prefers the first answer; with the two the other way round
        it is one minus that."""
        gap = self.gold(task, first) - self.gold(task, second)
        turn = beats(self.extract(first), self.extract(second))
        if MALFORMED in (self.gold(task, first), self.gold(task, second)):
            turn = float(np.sign(gap))
        x = self.sharpness * ((1 - self.cycle) * gap + self.cycle * turn)
        sure = 1 / (1 + np.exp(-x))
        return float((1 - self.noise) * sure + self.noise * (1 - sure))

    def annotated_pair(
        self, task: Task, rng: np.random.Generator, num_votes: int = 1
    ) -> tuple[str, str, float]:
        """Two writers' answers and the share of votes for the first, the better-liked one first."""
        first = second = ""
        while first == second:
            first, second = (self._written(task.data["letters"], rng) for _ in range(2))
        votes = rng.random(num_votes) < self.preference(task, first, second)
        share = float(votes.mean())
        return (first, second, share) if share >= 0.5 else (second, first, 1 - share)

    def _written(self, letters: list[str], rng: np.random.Generator) -> str:
        """Any order of the letters, perhaps with a slip in it."""
        written = [letters[int(i)] for i in rng.permutation(len(letters))]
        if rng.random() < self.slips:
            here, there = (int(i) for i in rng.choice(len(written), 2, replace=False))
            written[here : here + 1] = [
                [],
                [written[here], written[here]],
                [written[there]],
            ][int(rng.integers(3))]
        return "".join(written)


def num_letters(difficulty: float) -> int:
    """LEAST at difficulty 0, MOST at 1."""
    return LEAST + min(int(difficulty * (MOST - LEAST + 1)), MOST - LEAST)


def num_sets(size: int) -> int:
    """Different sets of so many of the letters."""
    found = 1
    for i in range(size):
        found = found * (len(LETTERS) - i) // (i + 1)
    return found


@lru_cache(maxsize=1)
def taste() -> dict[str, int]:
    """The hidden ranking: letter -> how much it is liked, 0 to 17. A function of this file alone,
    the same on every machine."""
    places = np.arange(len(LETTERS))
    keys = np.full(len(LETTERS), key("preferences", "taste"), np.uint64)
    order = np.argsort(uniforms(keys, places), kind="stable")
    return {LETTERS[int(letter)]: rank for rank, letter in enumerate(order)}


def liking(text: str) -> int:
    """The sum of the letters' ranks, each times the number of letters behind it."""
    ranks = taste()
    return sum(ranks[c] * behind for behind, c in enumerate(reversed(text)))


@lru_cache(maxsize=1 << 15)
def extremes(letters: str) -> tuple[int, int, str]:
    """The least and the most liking of any order of some letters, and the order liked most."""
    best = "".join(sorted(letters, key=lambda c: -taste()[c]))
    return liking(best[::-1]), liking(best), best


def beats(first: str, second: str) -> float:
    """Rock, paper, scissors between the styles of two orders: 1, -1, or 0 for the same style."""
    if not first or not second or first[0] not in LETTERS or second[0] not in LETTERS:
        return 0.0
    apart = (LETTERS.index(first[0]) - LETTERS.index(second[0])) % 3
    return (0.0, 1.0, -1.0)[apart]
