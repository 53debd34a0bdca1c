"""Small cases whose answers are known: arms with fixed rewards, noughts and crosses, steps."""

from __future__ import annotations

from functools import cache
from typing import Any

from askesis.records import Task
from askesis.requests import Checked, Transition

LINES = ("012", "345", "678", "036", "147", "258", "048", "246")


class Arms:
    """One move, "a" to "z": arm i pays `pays[i]` and the task is over. Anything else is illegal."""

    id, truth, max_answer_tokens, num_canonical = "arms-v1", frozenset({"turns"}), 4, 1

    def __init__(self, *pays: float) -> None:
        self.pays = pays

    def make(self) -> Task:
        return Task("arms:0", self.id, "which")

    def initial(self, task: Task) -> int:
        return 0

    def observe(self, task: Task, state: Any, seat: int = 0) -> str:
        return ""

    def step(self, task: Task, state: Any, action: str, seat: int = 0) -> Transition:
        arm = ord(action[0]) - ord("a") if len(action) == 1 else -1
        if not 0 <= arm < len(self.pays):
            return Transition(state, "no such arm", legal=False)
        return Transition(arm + 1, "paid", {"policy": self.pays[arm]}, done=True)


class Crosses:
    """Noughts and crosses on a text of nine: "x" moves by the number of a free place, and "o"
    answers at once with the first free place. x wins 1, a draw 0.5, o wins 0."""

    id, truth, max_answer_tokens, num_canonical = "crosses-v1", frozenset({"turns"}), 2, 1

    def make(self, board: str = ".........") -> Task:
        return Task(f"crosses:{board}", self.id, board)

    def initial(self, task: Task) -> str:
        return task.prompt

    def observe(self, task: Task, state: str, seat: int = 0) -> str:
        return state

    def position(self, task: Task, state: str) -> str:
        return state

    def step(self, task: Task, state: str, action: str, seat: int = 0) -> Transition:
        if action not in tuple("012345678") or state[int(action)] != ".":
            return Transition(state, state, legal=False)
        board, worth = answered(state, int(action))
        done = worth is not None
        return Transition(board, board, {"policy": worth} if done else {}, done=done)


def answered(board: str, place: int) -> tuple[str, float | None]:
    """The board after x and then o have moved, and what it is worth where it is over."""
    board = board[:place] + "x" + board[place + 1 :]
    if won(board, "x"):
        return board, 1.0
    free = board.find(".")
    if free < 0:
        return board, 0.5
    board = board[:free] + "o" + board[free + 1 :]
    if won(board, "o"):
        return board, 0.0
    return board, None if "." in board else 0.5


def won(board: str, who: str) -> bool:
    return any(all(board[int(c)] == who for c in line) for line in LINES)


@cache
def best(board: str) -> float:
    """What x can come to from a board on which it moves, by looking at everything."""
    found = []
    for place in (i for i, c in enumerate(board) if c == "."):
        after, worth = answered(board, place)
        found.append(best(after) if worth is None else worth)
    return max(found)


class Digits:
    """One answer of three steps, a digit each behind a comma: right where they are "1,2,3,".

    Step truth: each digit by itself.
    """

    id, truth, max_answer_tokens = "digits-v1", frozenset({"answer", "steps"}), 12
    num_canonical, step_end = 1, ","

    def make(self) -> Task:
        return Task("digits:0", self.id, "count:", "1,2,3,")

    def verify(self, task: Task, answer: str) -> Checked:
        pieces = [p for p in answer.split(",") if p]
        steps = tuple(float(p == str(i + 1)) for i, p in enumerate(pieces))
        spans = tuple((2 * i, 2 * i + 1) for i in range(len(pieces)))
        return Checked(float(pieces == ["1", "2", "3"]), "", answer, steps, spans)


def counts(text: str, u: float) -> str:
    """A script for `Digits`: each step is right or one too many, at even odds; ends after three."""
    said = text.removeprefix("count:")
    digits = [int(c) for c in said if c.isdigit()]
    if len(digits) >= 3:
        return ""
    rest, level = "", u
    for number in range(len(digits), 3):
        level *= 2
        rest += f"{number + 1 + (level >= 1)},"
        level -= level >= 1
    return rest
