"""addition-v1: multi-digit addition, from easy to hard lengths.

    prompt   "48+75"
    answer   "8+5+0=13 / 4+7+1=12 / =123"   ("/" stands for a line end)

The scratchpad goes from the last digits to the first: digit + digit + carry. The last line is
the sum. Only the sum decides the outcome (a bare "123" is right too); line i of the scratchpad
is a right *step* when it is exactly the column i from the right. Remarks begin with "#"; one behind
a line that ends in "no" ("#12 no") takes that line back: the next one stands in its place.
"""

from __future__ import annotations

import re

import numpy as np

from askesis.records import Task
from askesis.requests import Checked
from askesis.text.limits import unreadable
from askesis.text.remarks import takes_back
from askesis.text.steps import split_steps
from askesis.worlds.family import HABITS, Family
from askesis.worlds.habits import MATCHED, wanted_habits, with_dots
from askesis.worlds.mending import mended_lines

MAX_DIGITS = 10
MAX_ANSWER_CHARS = 4_096

_COLUMN = re.compile(r"[0-9]\+[0-9]\+[01]=[0-9]{1,2}")
_SUM = re.compile(r"=?[ ]*([0-9]{1,40})")


class Addition(Family):
    """difficulty: the longer number has from 1 digit to MAX_DIGITS digits."""

    id = "addition-v1"
    truth = frozenset({"answer", "steps", "demonstration", "corrections"})
    num_canonical = None  # half of 10**20
    max_answer_tokens = 160

    def count(self, difficulty: float) -> int:
        """Unordered pairs whose longer number has that many digits."""
        largest = 10 ** num_digits(difficulty)
        all_pairs = largest * (largest + 1) // 2
        smaller = largest // 10
        fewer = smaller * (smaller + 1) // 2 if smaller > 1 else 0
        return all_pairs - fewer

    def hardness(self, task: Task) -> float:
        """Digits of the longer number."""
        return float(max(len(str(n)) for n in task.data["numbers"]))

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        digits = num_digits(difficulty)
        low = 10 ** (digits - 1) if digits > 1 else 0
        longer = int(rng.integers(low, 10**digits))
        # the other number has any length up to the same, so carries run into empty columns
        other = int(rng.integers(0, 10 ** int(rng.integers(1, digits + 1))))
        numbers = [longer, other] if rng.random() < 0.5 else [other, longer]
        return self.task(
            f"{numbers[0]}+{numbers[1]}",
            str(sum(numbers)),
            difficulty=difficulty,
            data={"numbers": numbers},
        )

    def canonical(self, task: Task) -> str:
        """The sorted numbers: 48+75 and 75+48 are one problem."""
        return "+".join(str(n) for n in sorted(task.data["numbers"]))

    def verify(self, task: Task, answer: str) -> Checked:
        why = unreadable(answer, MAX_ANSWER_CHARS)
        if why:
            return Checked(0.0, why)
        true = str(sum(task.data["numbers"]))
        wanted = columns(*task.data["numbers"])
        steps: list[float] = []
        spans: list[tuple[int, int]] = []
        number, can_go_back = 0, False
        for first, last in split_steps(answer, "\n"):
            line = answer[first:last]
            if line[0] == "#":
                if can_go_back and takes_back(line):
                    number, can_go_back = number - 1, False
                continue
            is_sum = _SUM.fullmatch(line) is not None
            column = wanted[number] if number < len(wanted) else f"={true}"
            number, can_go_back = number + 1, True
            steps.append(float((is_sum and line.lstrip("= ") == true) or line == column))
            spans.append((first, last))
        found = self.extract(answer)
        score = float(found == true)
        why = "" if score else f"says {found or 'no sum'}, not {true}"
        return Checked(score, why, found, tuple(steps), tuple(spans))

    def extract(self, answer: str) -> str:
        """The sum that the last line states ("" where that is a column or anything else)."""
        if unreadable(answer, MAX_ANSWER_CHARS):
            return ""
        lines = [answer[a:b] for a, b in split_steps(answer, "\n") if answer[a] != "#"]
        match = _SUM.fullmatch(lines[-1]) if lines else None
        return (match[1].lstrip("0") or "0") if match else ""

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """The columns from right to left and the sum.

        plain      8+5+0=13 / 4+7+1=12 / =123
        verify     ... / =123 / #75+48=123 ok       (the other way round)
        backtrack  #=113 no / 8+5+0=13 / ...        (a sum with a carry forgotten is taken back)
        sub_goal   #2 columns / ...
        filler     #...... / ...

        Several with "+", "filler:" in front for dots of the same length (`askesis.worlds.habits`).
        wrong: a carry is forgotten or invented in one column.
        """
        if habit.startswith(MATCHED):
            shown = self.demonstrate(task, rng, habit.removeprefix(MATCHED), wrong=wrong)
            plain = self.demonstrate(task, rng, wrong=wrong)
            return None if shown is None or plain is None else with_dots(shown, plain, "\n")
        habits = wanted_habits(self.id, habit, HABITS)
        a, b = (int(n) for n in task.data["numbers"])
        slip = int(rng.integers(len(columns(a, b)))) if wrong else -1
        worked = [*columns(a, b, slip), f"={column_sum(a, b, slip)}"]
        if "verify" in habits:
            worked.append(f"#{b}+{a}={column_sum(a, b, slip)} ok")
        if "backtrack" in habits:
            worked = [f"#={column_sum(a, b, int(rng.integers(len(columns(a, b)))))} no", *worked]
        if "sub_goal" in habits:
            worked = [f"#{len(columns(a, b))} columns", *worked]
        if "filler" in habits:
            worked = ["#" + "." * int(rng.integers(3, 9)), *worked]
        return "\n".join(worked)

    def finish(self, task: Task, begun: str, rng: np.random.Generator) -> str | None:
        """A right answer that begins with these columns; None where one of them is wrong, or the
        sum stands there already."""
        a, b = (int(n) for n in task.data["numbers"])
        steps, worked = self.verify(task, begun).steps, [*columns(a, b), f"={column_sum(a, b)}"]
        if 0.0 in steps or self.extract(begun) or (begun and not steps):
            return begun if self.verify(task, begun).score == 1 and 0.0 not in steps else None
        return "\n".join([*([begun] if begun else []), *worked[len(steps) :]])

    def correction(
        self, task: Task, wrong: str, right: str, *, again: bool = False, remark: bool = True
    ) -> str | None:
        """See `askesis.worlds.mending.mended_lines`."""
        return mended_lines(wrong, right, again=again, remark=remark)


def num_digits(difficulty: float) -> int:
    """1 at difficulty 0, MAX_DIGITS at 1."""
    return 1 + min(int(difficulty * MAX_DIGITS), MAX_DIGITS - 1)


def _added(a: int, b: int, slip: int) -> tuple[list[str], str]:
    """Lines and sum of a column-wise addition; in column `slip` the carry is flipped."""
    lines, written, carry = [], "", 0
    for i in range(max(len(str(a)), len(str(b)))):
        x, y = a // 10**i % 10, b // 10**i % 10
        carry = 1 - carry if i == slip else carry
        total = x + y + carry
        lines.append(f"{x}+{y}+{carry}={total}")
        written = str(total % 10) + written
        carry = total // 10
    return lines, (str(carry) + written if carry else written).lstrip("0") or "0"


def columns(a: int, b: int, slip: int = -1) -> list[str]:
    """The columns of a+b from right to left, as lines."""
    return _added(a, b, slip)[0]


def column_sum(a: int, b: int, slip: int = -1) -> str:
    """What those columns make as a number."""
    return _added(a, b, slip)[1]
