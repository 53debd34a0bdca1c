"""maze-v1: find the way from S to G. One answer of letters, or walked move by move.

    prompt   "S.#"        answer   "RDRD..." one letter a move: U up, D down, L left, R right
             "..#"
             "#.G"        (rows separated by line ends; "#" is a wall)

**As one answer**: right when every move is legal and the walk ends on G, which it may reach only
with its last move. Longer ways than the shortest are right, up to `allowed_moves`. White space
is read over; a line that begins with "#" is a remark.

**Walked** (`askesis.protocols.Environment`): each action is one letter. A move into a wall or out
of the maze, or anything that is not one letter, is *illegal*: you stay where you are and the move
counts. Reaching G ends the task (`done`, reward 1 for "policy"); after `allowed_moves` moves it
is cut off (`truncated`). States are plain: {"at": [row, column], "moves": count}.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any

import numpy as np

from askesis.records import Task
from askesis.requests import Checked, Transition
from askesis.text.limits import unreadable
from askesis.worlds.family import HABITS, Family
from askesis.worlds.habits import MATCHED, wanted_habits, with_dots

SMALLEST, LARGEST = 3, 9
NUM_SMALLEST = 479  # mazes of 3 x 3 up to turning and mirroring, counted exhaustively
MAX_ANSWER_CHARS = 2_048
MOVES = {"U": (-1, 0), "D": (1, 0), "L": (0, -1), "R": (0, 1)}
BACK = {"U": "D", "D": "U", "L": "R", "R": "L"}
_ILLEGAL_CHARACTER = re.compile(r"[^UDLR\s]")

Place = tuple[int, int]


class Maze(Family):
    """difficulty: from 3 x 3 to 9 x 9 places, about a third of them walls."""

    id = "maze-v1"
    truth = frozenset({"answer", "steps", "demonstration", "turns", "states"})
    num_canonical = None
    max_answer_tokens = 96

    def count(self, difficulty: float) -> int | None:
        """Known for the smallest size only."""
        return NUM_SMALLEST if size_of(difficulty) == SMALLEST else None

    def hardness(self, task: Task) -> float:
        """Moves on the shortest way."""
        return float(len(shortest_way(rows_of(task)) or ""))

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        size = size_of(difficulty)
        while True:
            walls = rng.random((size, size)) < 0.35
            ends = rng.choice(size * size, 2, replace=False)
            rows = [["#" if walls[r, c] else "." for c in range(size)] for r in range(size)]
            for letter, place in zip("SG", ends.tolist(), strict=True):
                rows[place // size][place % size] = letter
            maze = ["".join(row) for row in rows]
            way = shortest_way(maze)
            # at least as long as a side: no maze of a size is much easier than its fellows
            if way is not None and len(way) >= size - 1:
                return self.task("\n".join(maze), way, difficulty=difficulty)

    def canonical(self, task: Task) -> str:
        """The least of the eight turned and mirrored forms."""
        grid = [list(row) for row in rows_of(task)]
        forms = []
        for _ in range(4):
            grid = [list(row) for row in zip(*grid[::-1], strict=True)]  # a quarter turn
            forms.append("\n".join("".join(row) for row in grid))
            forms.append("\n".join("".join(row[::-1]) for row in grid))
        return min(forms)

    # ------------------------------------------------------------ as one answer

    def verify(self, task: Task, answer: str) -> Checked:
        """`steps`: 1 for each legal move, 0 for an illegal one (which leaves you in place)."""
        why = unreadable(answer, MAX_ANSWER_CHARS)
        if why:
            return Checked(0.0, why)
        rows = rows_of(task)
        at, goal = find(rows, "S"), find(rows, "G")
        walk, places = _letters(answer)
        foreign = _ILLEGAL_CHARACTER.search(walk)
        if foreign:
            return Checked(0.0, f"{foreign[0]!r} is no move")
        steps: list[float] = []
        spans, arrived = [], -1
        for i, (letter, place) in enumerate(zip(walk, places, strict=True)):
            there = moved(rows, at, letter)
            steps.append(float(there is not None))
            spans.append((place, place + 1))
            at = at if there is None else there
            if at == goal and arrived < 0:
                arrived = i
        if not steps:
            why = "no moves in it"
        elif len(steps) > allowed_moves(rows):
            why = f"{len(steps)} moves, allowed are {allowed_moves(rows)}"
        elif 0.0 in steps:
            why = f"move {steps.index(0.0) + 1} is illegal"
        elif at != goal:
            why = "does not end on G"
        elif arrived != len(steps) - 1:
            why = "goes on after G"
        return Checked(float(not why), why, walk, tuple(steps), tuple(spans))

    def extract(self, answer: str) -> str:
        return "" if unreadable(answer, MAX_ANSWER_CHARS) else _letters(answer)[0]

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """A shortest way, chosen at random among them.

        plain RRDD; verify adds "#G ok"; backtrack goes into a side branch and back before it
        ("#"-remarks are not needed: both moves are legal); sub_goal says "#4 moves" first;
        filler says "#......".

        Several with "+", "filler:" in front for dots of the same length (`askesis.worlds.habits`).
        wrong: stops one move short of G, or takes a step that is illegal.
        """
        if habit.startswith(MATCHED):
            shown = self.demonstrate(task, rng, habit.removeprefix(MATCHED), wrong=wrong)
            plain = self.demonstrate(task, rng, wrong=wrong)
            return None if shown is None or plain is None else with_dots(shown, plain, "\n")
        habits = wanted_habits(self.id, habit, HABITS)
        rows = rows_of(task)
        way = shortest_way(rows, rng)
        if way is None:
            return None
        length = len(way)
        if "backtrack" in habits:
            way = _with_detour(rows, way, rng)
        if wrong:
            at = int(rng.integers(len(way)))
            other = [m for m in MOVES if m != way[at]]
            changed = way[:at] + other[int(rng.integers(3))] + way[at + 1 :]
            way = way[:-1] if self.verify(task, changed).score else changed
        before = [f"#{length} moves"] if "sub_goal" in habits else []
        before += [f"#{'.' * int(rng.integers(3, 9))}"] if "filler" in habits else []
        return "\n".join([*before, way, *(["#G ok"] if "verify" in habits else [])])

    # ------------------------------------------------------------ not finished

    def states(self, task: Task, answer: str) -> list[tuple[int, str]]:
        """(one past its character, the place it leads to) for each legal move, up to the first
        that is none."""
        rows, found = rows_of(task), list[tuple[int, str]]()
        if unreadable(answer, MAX_ANSWER_CHARS):
            return found
        at = find(rows, "S")
        for letter, place in zip(*_letters(answer), strict=True):
            there = moved(rows, at, letter) if letter in MOVES else None
            if there is None:
                break
            at = there
            found.append((place + 1, f"{at[0]},{at[1]}"))
        return found

    def finish(self, task: Task, begun: str, rng: np.random.Generator) -> str | None:
        """A right answer that begins with these moves, by a shortest way from where they lead;
        None where they are not all legal, or lead too far away."""
        rows = rows_of(task)
        found = self.states(task, begun)
        if begun and (not found or found[-1][0] != len(begun)):
            return None
        at = _place(found[-1][1]) if found else find(rows, "S")
        passed_goal = any(_place(name) == find(rows, "G") for _, name in found)
        way = "" if passed_goal else way_from(rows, at, rng)
        whole = None if way is None else begun + way
        return whole if whole and self.verify(task, whole).score == 1 else None

    # ------------------------------------------------------------ walked

    def initial(self, task: Task) -> Any:
        return {"at": list(find(rows_of(task), "S")), "moves": 0}

    def observe(self, task: Task, state: Any, seat: int = 0) -> str:
        """Row, column and the open directions, as "0,1 DR"; "G" where the way is over."""
        rows, at = rows_of(task), (int(state["at"][0]), int(state["at"][1]))
        if at == find(rows, "G"):
            return "G"
        ways = "".join(m for m in MOVES if moved(rows, at, m) is not None)
        return f"{at[0]},{at[1]} {ways}"

    def position(self, task: Task, state: Any) -> str:
        """Where one stands, whatever it took to come there."""
        return f"{state['at'][0]},{state['at'][1]}"

    def step(self, task: Task, state: Any, action: Any, seat: int = 0) -> Transition:
        rows, at = rows_of(task), (int(state["at"][0]), int(state["at"][1]))
        letter = action.strip() if isinstance(action, str) and len(action) < 16 else ""
        there = moved(rows, at, letter) if letter in MOVES else None
        num_moves = int(state["moves"]) + 1
        after = {"at": list(at if there is None else there), "moves": num_moves}
        done = there == find(rows, "G")
        return Transition(
            after,
            self.observe(task, after, seat),
            {"policy": float(done)},
            done=done,
            truncated=not done and num_moves >= allowed_moves(rows),
            legal=there is not None,
        )

    def demonstrate_walk(self, task: Task, rng: np.random.Generator) -> tuple[str, ...] | None:
        """A shortest way, one move an action."""
        way = shortest_way(rows_of(task), rng)
        return None if way is None else tuple(way)

    def actions(self, task: Task, state: Any) -> tuple[str, ...]:
        """Every legal action."""
        rows, at = rows_of(task), (int(state["at"][0]), int(state["at"][1]))
        return tuple(m for m in MOVES if moved(rows, at, m) is not None)

    def moves_left(self, task: Task, state: Any) -> int:
        """Fewest actions to G."""
        rows = rows_of(task)
        return distances(rows, find(rows, "G"))[int(state["at"][0]), int(state["at"][1])]

    def way_back(self, task: Task, state: Any, earlier: Any) -> tuple[str, ...] | None:
        """Actions that lead back to where an earlier state of the same walk was."""
        rows, at = rows_of(task), (int(state["at"][0]), int(state["at"][1]))
        there = (int(earlier["at"][0]), int(earlier["at"][1]))
        distance, way = distances(rows, there), []
        while at != there:
            letter = next(
                m for m in MOVES if distance.get(_at(rows, at, m), -1) == distance[at] - 1
            )
            way.append(letter)
            at = _at(rows, at, letter)
        return tuple(way)


def size_of(difficulty: float) -> int:
    """Places on a side: SMALLEST at difficulty 0, LARGEST at 1."""
    span = LARGEST - SMALLEST + 1
    return SMALLEST + min(int(difficulty * span), span - 1)


def allowed_moves(rows: list[str]) -> int:
    """The world's own limit: as many moves as the maze has places."""
    return sum(len(row) for row in rows)


def rows_of(task: Task) -> list[str]:
    return task.prompt.split("\n")


def find(rows: list[str], letter: str) -> Place:
    """Where a letter stands, as (row, column)."""
    for r, row in enumerate(rows):
        if letter in row:
            return r, row.index(letter)
    raise ValueError(f"this maze has no {letter}")


def moved(rows: list[str], at: Place, letter: str) -> Place | None:
    """Where a move leads, or None where it is illegal."""
    r, c = at[0] + MOVES[letter][0], at[1] + MOVES[letter][1]
    inside = 0 <= r < len(rows) and 0 <= c < len(rows[0])
    return (r, c) if inside and rows[r][c] != "#" else None


def distances(rows: list[str], goal: Place) -> dict[Place, int]:
    """Moves to a place from every place that it can be reached from."""
    distance = {goal: 0}
    queue = deque([goal])
    while queue:
        at = queue.popleft()
        for letter in MOVES:
            there = moved(rows, at, letter)
            if there is not None and there not in distance:
                distance[there] = distance[at] + 1
                queue.append(there)
    return distance


def shortest_way(rows: list[str], rng: np.random.Generator | None = None) -> str | None:
    """A shortest way from S to G: the same one always, or one at random; None where none is."""
    return way_from(rows, find(rows, "S"), rng)


def way_from(rows: list[str], at: Place, rng: np.random.Generator | None = None) -> str | None:
    """The same from any place."""
    goal, way = find(rows, "G"), ""
    distance = distances(rows, goal)
    if at not in distance:
        return None
    while at != goal:
        nearer = [
            m
            for m in MOVES
            if (there := moved(rows, at, m)) is not None
            and distance.get(there, -1) == distance[at] - 1
        ]
        letter = nearer[0] if rng is None else nearer[int(rng.integers(len(nearer)))]
        way += letter
        at = moved(rows, at, letter) or at
    return way


def _place(name: str) -> Place:
    row, _, column = name.partition(",")
    return int(row), int(column)


def _at(rows: list[str], at: Place, letter: str) -> Place:
    """Where you are after a move, legal or not."""
    return moved(rows, at, letter) or at


def _with_detour(rows: list[str], way: str, rng: np.random.Generator) -> str:
    """The way with one step aside and back, somewhere before G."""
    goal, at = find(rows, "G"), find(rows, "S")
    stops = []
    for i, letter in enumerate(way):
        for aside in MOVES:
            there = moved(rows, at, aside)
            if aside != letter and there is not None and there != goal:
                stops.append((i, aside))
        at = moved(rows, at, letter) or at
    if not stops or len(way) + 2 > allowed_moves(rows):
        return way
    i, aside = stops[int(rng.integers(len(stops)))]
    return way[:i] + aside + BACK[aside] + way[i:]


def _letters(answer: str) -> tuple[str, list[int]]:
    """The characters of an answer that are no white space or remark, and where they stand."""
    letters, places, at = [], [], 0
    for line in answer.split("\n"):
        if not line.startswith("#"):
            for i, c in enumerate(line):
                if not c.isspace():
                    letters.append(c)
                    places.append(at + i)
        at += len(line) + 1
    return "".join(letters), places
