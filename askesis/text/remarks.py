"""Remarks inside an answer that take back what was just written: "#35 no".

In the worlds of this package a remark begins with "#" and stands between the separators of steps.
One that ends in "no" takes the step before it back (`askesis.worlds.mending` writes them).
"""

from __future__ import annotations

from collections.abc import Sequence

from askesis.text.steps import split_steps


def takes_back(piece: str) -> bool:
    """Whether a piece of an answer is such a remark; "#no" says what of nothing, and is none.

    >>> takes_back("#35 no"), takes_back("#36 ok"), takes_back("12*3=35")
    (True, False, False)
    """
    if not piece.startswith("#"):
        return False
    head, _, last = piece[1:].strip().rpartition(" ")
    return last == "no" and bool(head.strip())


def taken_back(text: str, spans: Sequence[tuple[int, int]]) -> tuple[bool, ...]:
    """For every step of a text, whether a remark takes it back before the next one begins.

    spans: where the steps stand, as a verifier gives them.

    >>> taken_back("7+5=12\\n12*3=35\\n#35 no\\n12*3=36", [(0, 6), (7, 14), (22, 29)])
    (False, True, False)
    """
    found = []
    for i, (_, last) in enumerate(spans):
        between = text[last : spans[i + 1][0] if i + 1 < len(spans) else len(text)]
        pieces = [between[a:b] for a, b in split_steps(between, "\n;")]
        found.append(any(takes_back(piece) for piece in pieces))
    return tuple(found)
