"""Countdown walked: two numbers are put together, one step a turn, and steps can be taken back.

    sees "3 7 12"    says "7*3"      sees "12 21"     says "21+12"    sees "33": done
                     says "undo"     sees what was there before the last step

States are plain: {"pool": sorted numbers, "past": pools before each step that stands, "moves":
count}. A step takes two numbers that are there and whose result is whole and not negative.
Anything else is *illegal*: nothing changes and the move counts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from askesis.requests import Transition
from askesis.worlds.countdown_steps import combine, moves, solve

UNDO = "undo"
MOVES_PER_NUMBER = 4
_STEP = re.compile(r"\s*([0-9]{1,6})\s*([-+*/])\s*([0-9]{1,6})\s*")


def first_state(numbers: list[int]) -> dict[str, Any]:
    """Nothing done yet."""
    return {"pool": sorted(numbers), "past": [], "moves": 0}


def seen(state: Any) -> str:
    """The numbers that are there."""
    return " ".join(map(str, state["pool"]))


def allowed_moves(numbers: list[int]) -> int:
    """The world's own limit on moves, illegal ones and those taken back included."""
    return MOVES_PER_NUMBER * len(numbers)


def stepped(numbers: list[int], target: int, state: Any, action: Any) -> Transition:
    """What happens at an action; reward 1 for "policy" where the target alone is left."""
    after = {**state, "moves": int(state["moves"]) + 1}
    text = action if isinstance(action, str) and len(action) < 24 else ""
    left = _done(state["pool"], text)
    legal = True
    if left is not None:
        after |= {"pool": left, "past": [*state["past"], list(state["pool"])]}
    elif text.strip() == UNDO and state["past"]:
        after |= {"pool": list(state["past"][-1]), "past": list(state["past"][:-1])}
    else:
        legal = False
    done = legal and after["pool"] == [target]
    return Transition(
        after,
        seen(after),
        {"policy": float(done)},
        done=done,
        truncated=not done and after["moves"] >= allowed_moves(numbers),
        legal=legal,
    )


def legal_actions(state: Any) -> tuple[str, ...]:
    """Every step that may be done, and "undo" where there is something to take back."""
    found = [f"{s.left}{s.operator}{s.right}" for s, _ in moves(tuple(state["pool"]))]
    return tuple(dict.fromkeys([*found, *([UNDO] if state["past"] else [])]))


def moves_left(target: int, state: Any) -> int:
    """Fewest moves to the target by whole, non-negative steps, taking back what must be."""
    for num_undone, pool in enumerate([state["pool"], *reversed(state["past"])]):
        if _reaches(tuple(pool), target):
            return num_undone + len(pool) - 1
    raise ValueError("this task has no solution")


def undone(state: Any, earlier: Any) -> tuple[str, ...] | None:
    """The steps taken back that lead from one state to an earlier one of the same walk."""
    line = [*state["past"], state["pool"]]
    if earlier["past"] + [earlier["pool"]] != line[: len(earlier["past"]) + 1]:
        return None
    return (UNDO,) * (len(line) - len(earlier["past"]) - 1)


def _done(pool: list[int], text: str) -> list[int] | None:
    """The pool after a step, or None where the text is no step that can be done."""
    found = _STEP.fullmatch(text)
    if found is None:
        return None
    left, operator, right = int(found[1]), found[2], int(found[3])
    rest = list(pool)
    for number in (left, right):
        if number not in rest:
            return None
        rest.remove(number)
    step = combine(left, operator, right)
    return None if step is None else sorted([*rest, step.value])


@lru_cache(maxsize=4096)
def _reaches(pool: tuple[int, ...], target: int) -> bool:
    return solve(list(pool), target) is not None
