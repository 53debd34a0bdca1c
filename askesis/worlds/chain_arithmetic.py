"""chain_arithmetic-v1: a chain of operations, worked off on a scratchpad, one a line.

    prompt   "7 +5 *3 -9"             from left to right, without precedence
    answer   "7+5=12\\n12*3=36\\n36-9=27"

The answer is the value of the last line (a bare "27" is right too): the *outcome* is judged by
it alone. The truth of every *step* is known besides: line i is right when it applies the i-th
operation to the value of the line before as stated there, and states the true result. So a slip
in line 2 makes line 2 wrong, not the lines that follow from it, and a right outcome can come
from wrong steps. All true values lie in 0 ... 199; lines that begin with "#" are remarks. A remark
behind a line that ends in "no" ("#35 no") takes that line back: the next one stands in its place.

Those who write for a warm start can be careless, so that right answers come with wrong steps:

    7+5=13     a slip: 12 is stated as something else, and the rest follows from it
    #*3        padding: a remark that says what the prompt says
    12*3=36    a slip mended in silence: it goes on from 12, not from what was stated
    36-9=27

Both lines of a slip that is mended are wrong steps, and the outcome is right.
"""

from __future__ import annotations

import re

import numpy as np

from askesis.errors import WorldError
from askesis.records import Task
from askesis.requests import Checked
from askesis.text.limits import unreadable
from askesis.text.remarks import takes_back
from askesis.text.steps import split_steps
from askesis.worlds.family import HABITS, Family
from askesis.worlds.habits import MATCHED, wanted_habits, with_dots
from askesis.worlds.mending import mended_lines

MAX_VALUE = 199
MAX_OPERATIONS = 10
MAX_ANSWER_CHARS = 4_096
SLIPS = (1, -1, 2, 10)  # by how much a wrong value is off

_LINE = re.compile(r"(-?[0-9]{1,6})[ ]*([-+*])[ ]*(-?[0-9]{1,6})[ ]*=[ ]*(-?[0-9]{1,6})")
_VALUE = re.compile(r"-?[0-9]{1,6}")


class ChainArithmetic(Family):
    """difficulty: from 2 operations with operands up to 9, to MAX_OPERATIONS with up to 50.

    How careless those are who write (in every habit, but not where they are asked to be wrong):
    slips: probability that a line states a wrong value, in [0, 1). With any the world declares no
        demonstration any more: what it writes is a writer's answer, right or not.
    mended: probability that a slip is mended by the next line, in [0, 1]; in the last line none is.
    padded: probability of a remark in front of a line that says which operation comes, in [0, 1].

    Problems, their roles and what is right are the same whatever these are. WorldError where one
    is out of range.
    """

    id = "chain_arithmetic-v1"
    truth = frozenset({"answer", "steps", "demonstration", "corrections"})
    num_canonical = None  # more than 10**9 from six operations on
    max_answer_tokens = 160

    def __init__(
        self,
        difficulty: float | None = None,
        slips: float = 0.0,
        mended: float = 0.5,
        padded: float = 0.0,
    ) -> None:
        super().__init__(difficulty)
        given = {"slips": slips, "mended": mended, "padded": padded}
        for name, share in given.items():
            if not 0 <= share <= 1 or (name == "slips" and share == 1):
                what = f"{name} of world {type(self).id!r}"
                expected = "in [0, 1)" if name == "slips" else "in [0, 1]"
                raise WorldError(what, expected=expected, found=str(share))
        self.slips, self.mended, self.padded = slips, mended, padded
        told = [] if difficulty is None else [f"difficulty={difficulty:g}"]
        told += [f"slips={slips:g}"] if slips else []
        told += [f"mended={mended:g}"] if slips and mended != 0.5 else []
        told += [f"padded={padded:g}"] if padded else []
        self.id = type(self).id + ("?" + "&".join(told) if told else "")
        if slips:
            self.truth = type(self).truth - {"demonstration"}
        if padded:
            self.max_answer_tokens = type(self).max_answer_tokens + 6 * MAX_OPERATIONS

    def count(self, difficulty: float) -> int:
        """How many chains there are: ways to reach each value, operation by operation."""
        ways = dict.fromkeys(range(1, _largest(difficulty) + 1), 1)
        for _ in range(num_operations(difficulty)):
            after: dict[int, int] = {}
            for value, num in ways.items():
                for operator, operand in _operations(value, difficulty):
                    result = apply(value, operator, operand)
                    after[result] = after.get(result, 0) + num
            ways = after
        return sum(ways.values())

    def hardness(self, task: Task) -> float:
        """The number of operations."""
        return float(len(task.data["operations"]))

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        value = first = int(rng.integers(1, _largest(difficulty) + 1))
        operations: list[str] = []
        for _ in range(num_operations(difficulty)):
            allowed = _operations(value, difficulty)
            # the operator first, then the operand: else additions would crowd out the rest
            operators = sorted({o for o, _ in allowed})
            operator = operators[int(rng.integers(len(operators)))]
            operands = [n for o, n in allowed if o == operator]
            operand = operands[int(rng.integers(len(operands)))]
            operations.append(f"{operator}{operand}")
            value = apply(value, operator, operand)
        return self.task(
            f"{first} {' '.join(operations)}",
            str(value),
            difficulty=difficulty,
            data={"first": first, "operations": operations},
        )

    def verify(self, task: Task, answer: str) -> Checked:
        why = unreadable(answer, MAX_ANSWER_CHARS)
        if why:
            return Checked(0.0, why)
        operations = list(task.data["operations"])
        before, number = int(task.data["first"]), 0
        earlier: tuple[int, int] | None = None  # both as they were before the last line
        steps, spans = [], []
        for first, last in split_steps(answer, "\n"):
            if answer[first] == "#":
                if earlier is not None and takes_back(answer[first:last]):
                    (before, number), earlier = earlier, None
                continue
            match = _LINE.fullmatch(answer[first:last])
            if match is None:
                earlier = None
                if _VALUE.fullmatch(answer[first:last]) is None:  # a bare value is no step
                    steps.append(0.0)
                    spans.append((first, last))
                    earlier, number = (before, number), number + 1
                continue
            left, operator, right, stated = match.groups()
            wanted = operations[number] if number < len(operations) else ""
            is_right = (
                int(left) == before
                and f"{operator}{int(right)}" == wanted
                and int(stated) == apply(int(left), operator, int(right))
            )
            steps.append(float(is_right))
            spans.append((first, last))
            earlier, before, number = (before, number), int(stated), number + 1
        found = self.extract(answer)
        true = chain_value(task)
        score = float(found == str(true))
        why = "" if score else f"ends with {found or 'no value'}, not {true}"
        return Checked(score, why, found, tuple(steps), tuple(spans))

    def extract(self, answer: str) -> str:
        """The value of the last line that is no remark."""
        if unreadable(answer, MAX_ANSWER_CHARS):
            return ""
        lines = [answer[a:b] for a, b in split_steps(answer, "\n") if answer[a] != "#"]
        last = lines[-1].rpartition("=")[2].strip() if lines else ""
        return str(int(last)) if _VALUE.fullmatch(last) else ""

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """The scratchpad in a habit of writing.

        plain      7+5=12 / 12*3=36 / 36-9=27
        verify     ... / #27+9=36 ok             (the last operation undone, or done again)
        backtrack  a wrong line, "#no", then the right scratchpad from its start
        sub_goal   #3 steps / ...                (how many there will be)
        filler     #...... / ...

        Several with "+", "filler:" in front for dots of the same length (`askesis.worlds.habits`).
        wrong: one line states a value that is off by 1, 2 or 10; the rest follows from it.
        """
        if habit.startswith(MATCHED):
            shown = self.demonstrate(task, rng, habit.removeprefix(MATCHED), wrong=wrong)
            plain = self.demonstrate(task, rng, wrong=wrong)
            return None if shown is None or plain is None else with_dots(shown, plain, "\n")
        habits = wanted_habits(self.id, habit, HABITS)
        operations = list(task.data["operations"])
        slip = int(rng.integers(len(operations))) if wrong else -1
        if (self.slips or self.padded) and not wrong:
            lines = careless_lines(task, rng, self.slips, self.mended, self.padded)
        else:
            lines = chain_lines(task, slip, rng)
        if wrong and lines[-1].endswith(f"={chain_value(task)}"):  # the slip was multiplied away
            lines = chain_lines(task, len(operations) - 1, rng)
        if "verify" in habits:
            last = lines[-1]  # never padding, which stands in front of lines
            lines.append(f"#{last} ok")
        if "backtrack" in habits:
            # the failed line is a remark: what counts as a step starts behind it
            failed = chain_lines(task, 0, rng)[0]
            lines = [f"#{failed} no", *lines]
        if "sub_goal" in habits:
            lines = [f"#{len(operations)} steps", *lines]
        if "filler" in habits:
            lines = ["#" + "." * int(rng.integers(3, 9)), *lines]
        return "\n".join(lines)

    def finish(self, task: Task, begun: str, rng: np.random.Generator) -> str | None:
        """A right answer that begins with these lines; None where one of them is wrong."""
        steps, lines = self.verify(task, begun).steps, chain_lines(task, -1, rng)
        if 0.0 in steps or len(steps) > len(lines) or (begun and not steps):
            return None
        return "\n".join([*([begun] if begun else []), *lines[len(steps) :]])

    def correction(
        self, task: Task, wrong: str, right: str, *, again: bool = False, remark: bool = True
    ) -> str | None:
        """See `askesis.worlds.mending.mended_lines`."""
        return mended_lines(wrong, right, again=again, remark=remark)


def num_operations(difficulty: float) -> int:
    """2 at difficulty 0, MAX_OPERATIONS at 1."""
    return 2 + min(int(difficulty * (MAX_OPERATIONS - 1)), MAX_OPERATIONS - 2)


def _largest(difficulty: float) -> int:
    """The largest first number and operand of + and -; factors go up to 9."""
    return 9 + round(41 * difficulty)


def _operations(value: int, difficulty: float) -> list[tuple[str, int]]:
    """What may follow a value: the result stays in range, and nothing multiplies zero."""
    largest = _largest(difficulty)
    found = [("+", n) for n in range(2, min(largest, MAX_VALUE - value) + 1)]
    found += [("-", n) for n in range(2, min(largest, value) + 1)]
    if value:
        found += [("*", n) for n in range(2, min(9, MAX_VALUE // value) + 1)]
    return found


def apply(value: int, operator: str, operand: int) -> int:
    """One operation on whole numbers."""
    if operator == "+":
        return value + operand
    return value - operand if operator == "-" else value * operand


def chain_value(task: Task) -> int:
    """The true value of a task's chain."""
    value = int(task.data["first"])
    for operation in task.data["operations"]:
        value = apply(value, operation[0], int(operation[1:]))
    return value


def chain_lines(task: Task, slip: int, rng: np.random.Generator) -> list[str]:
    """The lines of the scratchpad; line `slip` (-1: none) states a wrong value."""
    value, lines = int(task.data["first"]), []
    for i, operation in enumerate(task.data["operations"]):
        result = apply(value, operation[0], int(operation[1:]))
        if i == slip:
            result += SLIPS[int(rng.integers(len(SLIPS)))]
        lines.append(f"{value}{operation}={result}")
        value = result
    return lines


def careless_lines(
    task: Task, rng: np.random.Generator, slips: float, mended: float, padded: float
) -> list[str]:
    """The lines of somebody who slips and pads at these rates; see `ChainArithmetic`."""
    value, lines = int(task.data["first"]), list[str]()
    operations = list(task.data["operations"])
    for i, operation in enumerate(operations):
        if rng.random() < padded:
            lines.append(f"#{operation}")
        result = stated = apply(value, operation[0], int(operation[1:]))
        if rng.random() < slips:
            stated += SLIPS[int(rng.integers(len(SLIPS)))]
        lines.append(f"{value}{operation}={stated}")
        is_mended = stated != result and i + 1 < len(operations) and rng.random() < mended
        value = result if is_mended else stated
    return lines
