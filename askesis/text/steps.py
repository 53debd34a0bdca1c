"""Where the steps of a worked answer are."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[0-9]+")


def split_steps(text: str, separators: str = "\n") -> list[tuple[int, int]]:
    """Spans (first, one past the last character) of the steps, white space around them left out.

    A step is what stands between any of the `separators` characters; empty ones are no steps.

    >>> split_steps("12*3=36, 36-3=33", ",")
    [(0, 7), (9, 16)]
    """
    spans: list[tuple[int, int]] = []
    for match in re.finditer(rf"[^{re.escape(separators)}]+", text):
        piece = match[0]
        if piece.strip():
            first = match.start() + len(piece) - len(piece.lstrip())
            spans.append((first, match.start() + len(piece.rstrip())))
    return spans


def step_ends(text: str, separators: str = "\n") -> list[int]:
    """Where each step ends if the steps share out the whole text: one past its last character.

    What stands between two steps belongs to the first, so that a text up to an end is one after
    which the next step can be written. Nothing but separators and white space: no steps.

    >>> step_ends("12*3=36, 36-3=33", ",")
    [9, 16]
    """
    spans = split_steps(text, separators)
    return [first for first, _ in spans[1:]] + [len(text)] * bool(spans)


def goes_on(step: str, rest: str) -> bool:
    """Whether what follows a step works with its result: the last number in it stands in the rest.

    A step without a number has no result that could be missed, and where nothing follows the step
    itself is the end.

    >>> goes_on("7+5=12", "12*3=36"), goes_on("7+5=13", "12*3=36"), goes_on("7+5=13", "")
    (True, False, True)
    """
    numbers = _NUMBER.findall(step)
    return not numbers or not rest.strip() or numbers[-1] in _NUMBER.findall(rest)
