"""countdown-v1: reach a target from a few numbers with + - * /, using every number exactly once.

    prompt   "3 7 12 -> 33"
    answer   "7*3=21,21+12=33"     step by step, or
             "7*3+12"              as one expression ("7*3+12=33" too), or a mixture of the two

**The rule.** An answer is a row of *pieces* separated by commas or line ends. The pool begins as
the numbers of the prompt. A piece is `expression` or `expression=value`; every number in it must
be in the pool and is taken out; the value is put in. The answer is right when each piece is, and
at its end the pool holds the target and nothing else. Values are exact fractions: negative
numbers and fractions are allowed on the way, a stated value must be exactly the expression's.
Only the last piece may leave out its value.

**Several tries.** ";" separates tries, and only the last one counts. A try that begins with "#"
is a remark and no try at all (habits of writing use remarks: "#16 no").

**Walked**, step by step: see `askesis.worlds.countdown_walk`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from askesis.records import Task
from askesis.requests import Checked, Transition
from askesis.text.answers import marked_answer
from askesis.text.expressions import ExpressionError, parse_expression
from askesis.text.limits import unreadable
from askesis.text.rationals import parse_number, write_number
from askesis.text.steps import split_steps
from askesis.worlds import countdown_walk as walk
from askesis.worlds.countdown_partial import followed, gone_on, pool_name
from askesis.worlds.countdown_steps import Step, combine, moves, solve
from askesis.worlds.family import HABITS, Family
from askesis.worlds.habits import MATCHED, wanted_habits, with_dots
from askesis.worlds.mending import LONGEST

MAX_TARGET = 99
MAX_ANSWER_CHARS = 2_048
MAX_PIECES = 16
COUNTDOWN_HABITS = (*HABITS, "backward", "search")


@dataclass(frozen=True)
class Level:
    """One notch of the difficulty knob: how many numbers, up to what, with which operators.

    num_canonical: how many different problems `generate` can make, counted exhaustively with
    `reachable` (the test counts the first three again).
    """

    num_numbers: int
    largest: int
    operators: str
    num_canonical: int


LEVELS = (
    Level(3, 12, "+-", 1_264),
    Level(3, 9, "+-*", 1_692),
    Level(4, 9, "+-", 2_717),
    Level(4, 9, "+-*", 18_654),
    Level(4, 12, "+-*/", 63_133),
)


@dataclass
class _Reading:
    """What following an answer piece by piece found."""

    steps: list[float] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    why: str = ""


class Countdown(Family):
    """Numbers and a target. difficulty 0 ... 1 goes through LEVELS in equal parts."""

    id = "countdown-v1"
    truth = frozenset({"answer", "steps", "demonstration", "turns", "states", "corrections"})
    num_canonical = 65_539  # the union of the levels, which overlap
    max_answer_tokens = 80
    step_end = ","
    remark_end = ";"

    def count(self, difficulty: float) -> int | None:
        return level_of(difficulty).num_canonical

    def hardness(self, task: Task) -> float:
        """How many ends all the ways to combine the numbers have, for each that is the target:
        about the number of random tries that one hit takes."""
        ends = _ends(tuple(sorted(int(n) for n in task.data["numbers"])))
        return sum(ends.values()) / max(1, ends.get(int(task.data["target"]), 0))

    # ------------------------------------------------------------ making

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        """Random numbers, combined at random until one is left: that one is the target."""
        level = level_of(difficulty)
        while True:
            numbers = [int(n) for n in rng.integers(1, level.largest + 1, level.num_numbers)]
            steps = _random_steps(rng, numbers, level.operators)
            if steps is not None and 1 <= steps[-1].value <= MAX_TARGET:
                break
        numbers.sort()
        target = steps[-1].value
        prompt = f"{' '.join(map(str, numbers))} -> {target}"
        worked = ",".join(map(str, steps))
        data = {"numbers": numbers, "target": target, "truth_steps": worked}
        return self.task(prompt, worked, difficulty=difficulty, data=data)

    def canonical(self, task: Task) -> str:
        """Sorted numbers and target: the order in the prompt does not make another problem."""
        return f"{','.join(map(str, sorted(task.data['numbers'])))}={task.data['target']}"

    # ------------------------------------------------------------ checking

    def verify(self, task: Task, answer: str) -> Checked:
        """1 where the last try follows the rule to the target, else 0.

        `steps`: 1 for a piece that uses only numbers of its pool and states its true value,
        else 0, over all tries; `spans` are the pieces' places in the text.
        """
        why = unreadable(answer, MAX_ANSWER_CHARS)
        if why:
            return Checked(0.0, why)
        numbers, target = [int(n) for n in task.data["numbers"]], int(task.data["target"])
        shift = 0
        marked = marked_answer(answer) if "<" in answer or "\\" in answer else None
        if marked is not None:
            shift, answer = answer.rfind(marked), marked
        reading, pool = _Reading(why="no answer in it"), []
        for first, last in split_steps(answer, ";"):
            if answer[first] == "#":
                continue
            reading.why = ""
            pool = _follow(answer, first, last, numbers, reading)
        if not reading.why and pool != [Fraction(target)]:
            left = " ".join(write_number(n) for n in pool[:8])
            reading.why = f"ends with {left}, not {target}"
        spans = tuple((a + shift, b + shift) for a, b in reading.spans)
        score = float(not reading.why)
        return Checked(score, reading.why, self.extract(answer), tuple(reading.steps), spans)

    def extract(self, answer: str) -> str:
        """The last try without white space; votes count tries that are written alike."""
        if unreadable(answer, MAX_ANSWER_CHARS):
            return ""
        tries = [answer[a:b] for a, b in split_steps(answer, ";") if answer[a] != "#"]
        return ",".join(tries[-1].replace(",", " ").split()) if tries else ""

    # ------------------------------------------------------------ demonstrating

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """Worked steps: the ones that made the task, or (for tasks that came from elsewhere)
        found by search; None where there is no solution.

        plain      7*3=21,21+12=33
        verify     7*3=21,21+12=33;#33=33 ok             (the result held against the target)
        backtrack  12-7=5,5*3=15;#15 no;7*3=21,21+12=33  (a try that fails is seen and left)
        search     the same with one to three tries that fail
        sub_goal   #21+12=33;7*3=21,21+12=33             (the last step is named first)
        backward   #33-12=21;7*3=21,21+12=33             (from the target to what it takes)
        filler     #......;7*3=21,21+12=33               (dots that mean nothing)

        Several with "+", "filler:" in front for dots of the same length (`askesis.worlds.habits`).
        wrong: ends with a try whose steps are true but miss the target (and, with "verify",
        are waved through all the same; with "backward" the remark is true of the target).
        """
        if habit.startswith(MATCHED):
            shown = self.demonstrate(task, rng, habit.removeprefix(MATCHED), wrong=wrong)
            plain = self.demonstrate(task, rng, wrong=wrong)
            return None if shown is None or plain is None else with_dots(shown, plain, ";")
        habits = wanted_habits(self.id, habit, COUNTDOWN_HABITS)
        target = int(task.data["target"])
        worked = task.data.get("truth_steps") or solve(task.data["numbers"], target)
        if worked is None:
            return None
        if wrong:
            worked = _missing(rng, task.data["numbers"], target)
        told = []
        if habits & {"backtrack", "search"}:
            num_failed = int(rng.integers(1, 4)) if "search" in habits else 1
            for _ in range(num_failed):
                failed = _missing(rng, task.data["numbers"], target)
                told += [failed, f"#{failed.rsplit('=', 1)[1]} no"]
        if "backward" in habits:
            told.append(f"#{_from_target(worked.rsplit(',', 1)[-1], target)}")
        if "sub_goal" in habits:
            told.append(f"#{worked.rsplit(',', 1)[-1]}")
        if "filler" in habits:
            told.append(f"#{'.' * int(rng.integers(3, 9))}")
        told.append(worked)
        if "verify" in habits:
            told.append(f"#{worked.rsplit('=', 1)[1]}={target} ok")
        return ";".join(told)

    def correction(
        self, task: Task, wrong: str, right: str, *, again: bool = False, remark: bool = True
    ) -> str | None:
        """What follows a wrong beginning: what is wrong with its last piece, and `right` as a new
        try (again or not: a try cannot go on behind a wrong piece). None where there is no piece.

        again: `wrong` is a whole answer, whose last value is what is wrong.
        """
        pieces = [wrong[a:b] for a, b in split_steps(wrong, ",;\n") if wrong[a] != "#"]
        if not pieces:
            return None
        left, _, stated = pieces[-1].rpartition("=")
        try:
            is_true = parse_expression(left).value == parse_number(stated)
        except ExpressionError:
            is_true = True
        what = (left if is_true and not again else stated).strip()[:LONGEST] or "?"
        return f";#{what} no;{right}" if remark else f";{right}"

    # ------------------------------------------------------------ not finished

    def states(self, task: Task, answer: str) -> list[tuple[int, str]]:
        """(one past its last character, the numbers it leaves) for each right step of the last
        try, up to the first that is wrong."""
        if unreadable(answer, MAX_ANSWER_CHARS):
            return []
        numbers = [int(n) for n in task.data["numbers"]]
        return [(end, pool_name(pool)) for end, pool in followed(answer, numbers, _take)]

    def finish(self, task: Task, begun: str, rng: np.random.Generator) -> str | None:
        """A right answer that begins with these steps; None where none does."""
        if not begun:
            return self.demonstrate(task, rng)
        found = followed(begun, [int(n) for n in task.data["numbers"]], _take)
        if not found or found[-1][0] != len(begun):
            return None
        return gone_on(begun, found[-1][1], int(task.data["target"]))

    # ------------------------------------------------------------ walked

    def initial(self, task: Task) -> Any:
        return walk.first_state(task.data["numbers"])

    def observe(self, task: Task, state: Any, seat: int = 0) -> str:
        """The numbers that are there, as "3 7 12"."""
        return walk.seen(state)

    def position(self, task: Task, state: Any) -> str:
        """The numbers that are there, and those that taking steps back would bring."""
        return repr([state["pool"], state["past"]])

    def step(self, task: Task, state: Any, action: Any, seat: int = 0) -> Transition:
        return walk.stepped(task.data["numbers"], int(task.data["target"]), state, action)

    def demonstrate_walk(self, task: Task, rng: np.random.Generator) -> tuple[str, ...] | None:
        """The steps of a solution, one an action; None where there is none."""
        worked = self.demonstrate(task, rng)
        if worked is None:
            return None
        return tuple(piece.partition("=")[0] for piece in worked.split(","))

    def actions(self, task: Task, state: Any) -> tuple[str, ...]:
        """Every legal action."""
        return walk.legal_actions(state)

    def moves_left(self, task: Task, state: Any) -> int:
        """Fewest actions to the target."""
        return walk.moves_left(int(task.data["target"]), state)

    def way_back(self, task: Task, state: Any, earlier: Any) -> tuple[str, ...] | None:
        """Actions that lead back to an earlier state of the same walk."""
        return walk.undone(state, earlier)


def _from_target(last: str, target: int) -> str:
    """The last step turned round: what the target takes for its first number."""
    found = re.match(r"([0-9]+)([-+*/])([0-9]+)", last)
    assert found is not None, last
    operator, right = found[2], int(found[3])
    turned = {"+": "-", "-": "+", "*": "/", "/": "*"}[operator]
    value = {"+": target - right, "-": target + right, "*": target // right, "/": target * right}
    return f"{target}{turned}{right}={value[operator]}"


def level_of(difficulty: float) -> Level:
    """The notch of a difficulty in [0, 1]."""
    return LEVELS[min(int(difficulty * len(LEVELS)), len(LEVELS) - 1)]


def reachable(numbers: list[int], operators: str) -> set[int]:
    """Every target that `generate` can make of these numbers."""
    pools = {tuple(sorted(numbers))}
    for _ in range(len(numbers) - 1):
        pools = {
            rest for pool in pools for step, rest in moves(pool, operators) if _worthwhile(step)
        }
    return {pool[0] for pool in pools if 1 <= pool[0] <= MAX_TARGET}


def _ends(numbers: tuple[int, ...]) -> Counter[int]:
    """Values that all sequences of whole, non-negative steps end with, counted by pools."""
    pools: Counter[tuple[int, ...]] = Counter([numbers])
    for _ in range(len(numbers) - 1):
        after: Counter[tuple[int, ...]] = Counter()
        for pool, num in pools.items():
            for _, rest in moves(pool):
                after[rest] += num
        pools = after
    ends: Counter[int] = Counter()
    for pool, num in pools.items():
        ends[pool[0]] += num
    return ends


def _worthwhile(step: Step) -> bool:
    """Values stay within two digits; zero and a factor of one teach nothing."""
    return 0 < step.value <= MAX_TARGET and not (step.operator in "*/" and step.right == 1)


def _random_steps(
    rng: np.random.Generator, numbers: list[int], operators: str
) -> list[Step] | None:
    """Random pairs and operators until one number is left; None where a step is pointless."""
    pool, steps = list(numbers), []
    draws = rng.random(3 * len(pool)).tolist()  # one call: this is the hot line of drawing
    while len(pool) > 1:
        left = pool.pop(int(draws.pop() * len(pool)))
        right = pool.pop(int(draws.pop() * len(pool)))
        if left < right:
            left, right = right, left
        step = combine(left, operators[int(draws.pop() * len(operators))], right)
        if step is None or not _worthwhile(step):
            return None
        steps.append(step)
        pool.append(step.value)
    return steps


def _missing(rng: np.random.Generator, numbers: list[int], target: int) -> str:
    """True steps that use every number and end beside the target."""
    for _ in range(200):
        steps = _random_steps(rng, [int(n) for n in numbers], "+-*")
        if steps and steps[-1].value != target:
            return ",".join(map(str, steps))
    total, worked = int(numbers[0]), []
    for n in numbers[1:]:  # hardly ever reached: the plain sum, with a wrong end if need be
        worked.append(f"{total}+{n}={total + int(n)}")
        total += int(n)
    if total == target:
        worked[-1] = f"{worked[-1].split('=')[0]}={total + 1}"
    return ",".join(worked)


def _follow(
    text: str, first: int, last: int, numbers: list[int], reading: _Reading
) -> list[Fraction]:
    """Follow one try through text[first:last]; returns the pool it leaves, notes what is wrong."""
    pool = [Fraction(n) for n in numbers]
    pieces = split_steps(text[first:last], ",\n")
    if len(pieces) > MAX_PIECES:
        reading.why = reading.why or f"more than {MAX_PIECES} steps"
        return pool
    for index, (start, end) in enumerate(pieces):
        piece = text[first + start : first + end]
        why = _take(piece, pool, is_last=index == len(pieces) - 1)
        reading.steps.append(float(not why))
        reading.spans.append((first + start, first + end))
        reading.why = reading.why or why
    return pool


def _take(piece: str, pool: list[Fraction], is_last: bool) -> str:
    """Apply one piece to the pool in place; returns what is wrong with it, or ""."""
    left, equals, right = piece.partition("=")
    stated = parse_number(right) if equals else None
    if (equals and stated is None) or not (equals or is_last):
        return f"{piece[:40]!r} states no value"
    try:
        expression = parse_expression(left)
    except ExpressionError as error:
        return f"{piece[:40]!r}: {error}"
    wrong = ""
    for number in expression.literals:
        if number in pool:  # "-4+12" after a step that made -4
            pool.remove(number)
            continue
        if number < 0 and -number in pool:  # "-3+12": a sign before a number of the pool
            pool.remove(-number)
            continue
        wrong = wrong or f"{write_number(number)} is not there to use"
    value = expression.value if stated is None else stated
    if value != expression.value:
        wrong = wrong or f"{left.strip()[:40]} is {write_number(expression.value)}"
    pool.append(value)  # as stated, so that later steps are judged for themselves
    return wrong
