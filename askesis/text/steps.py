"""Where the steps of a worked answer are."""

from __future__ import annotations

import re


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
