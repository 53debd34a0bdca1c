"""Feedback on an answer, written and read: "right", "step 2 is wrong", or "wrong"."""

from __future__ import annotations

import re
from collections.abc import Sequence

RIGHT, WRONG = "right", "wrong"
_STEP = re.compile(r"step ([1-9][0-9]{0,3}) is wrong")


def written_feedback(is_right: bool, steps: Sequence[float] = ()) -> str:
    """What a teacher says who knows the outcome and the steps.

    steps: correctness of each, as a verifier gives it; the first one below 1 is named. Without one,
    a wrong answer is just wrong.

    >>> written_feedback(False, (1.0, 0.0, 0.0)), written_feedback(False, (1.0,))
    ('step 2 is wrong', 'wrong')
    """
    if is_right:
        return RIGHT
    first = next((i for i, step in enumerate(steps, start=1) if step < 1), None)
    return WRONG if first is None else step_feedback(first)


def step_feedback(step: int) -> str:
    """What is said of an answer whose `step`, counted from 1, is the first wrong one.

    >>> step_feedback(2)
    'step 2 is wrong'
    """
    return f"step {step} is wrong"


def says_right(text: str) -> bool | None:
    """Whether feedback accepts the answer; None where it is none of the three.

    >>> says_right(" right\\n"), says_right("step 2 is wrong"), says_right("riht")
    (True, False, None)
    """
    words = text.strip()
    if words == RIGHT:
        return True
    return False if words == WRONG or _STEP.fullmatch(words) else None


def named_step(text: str) -> int | None:
    """The step that feedback calls wrong, counted from 1; None where it names none."""
    match = _STEP.fullmatch(text.strip())
    return int(match[1]) if match else None
