"""What a critic of steps is asked, and what it says; and what is asked of who spoils a step."""

from __future__ import annotations

import re
from collections.abc import Sequence

RIGHT = "ok"
_NUMBER = re.compile(r"[0-9]{1,4}")


def question(prompt: str, steps: Sequence[str]) -> str:
    """A problem, an answer's steps by number, and which of them is wrong.

    >>> question("7 +5 *3", ["7+5=12", "12*3=35"]).splitlines()
    ['7 +5 *3', '1) 7+5=12', '2) 12*3=35', 'wrong?']
    """
    lines = [f"{k}) {' '.join(step.split())}" for k, step in enumerate(steps, 1)]
    return "\n".join([prompt, *lines, "wrong?"])


def spoiling(prompt: str, steps: Sequence[str]) -> str:
    """A problem and an answer up to a right step, the last one, which shall be said anew and wrong.

    >>> spoiling("7 +5 *3", ["7+5=12"]).splitlines()
    ['7 +5 *3', '1) 7+5=12', 'spoil?']
    """
    return question(prompt, steps).removesuffix("wrong?") + "spoil?"


def slipped(step: str, by: int) -> str | None:
    """A step whose last number is off by so much; None where it has none, or none would be left
    that is at least 0.

    >>> slipped("7+5=12", -2), slipped("7-7=0", -1), slipped("so", 1)
    ('7+5=10', None, None)
    """
    found = list(_NUMBER.finditer(step))
    if not found or int(found[-1][0]) + by < 0:
        return None
    match = found[-1]
    return f"{step[: match.start()]}{int(match[0]) + by}{step[match.end() :]}"


def naming(first_wrong: int) -> str:
    """What a critic should say: the number of the first wrong step, counted from 0; -1: none.

    >>> naming(1), naming(-1)
    ('2', 'ok')
    """
    return RIGHT if first_wrong < 0 else str(first_wrong + 1)


def named(text: str, num_steps: int) -> int | None:
    """The step that a critic names, from 1; 0 for none; None where it cannot be read.

    The first number counts, "ok" in front of it calls all steps right.

    >>> [named(t, 3) for t in ("2", "ok", "step 3 is off, 1 is not", "5", "hm")]
    [2, 0, 3, None, None]
    """
    match = _NUMBER.search(text)
    before = text[: match.start()] if match else text
    if RIGHT in before.lower():
        return 0
    number = int(match[0]) if match else 0
    return number if 1 <= number <= num_steps else None
