"""Answers that leave out the work: a refinement that only states the result."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def num_numbers(text: str) -> int:
    """How many numbers a text has.

    >>> num_numbers("7+5=12")
    3
    """
    return len(_NUMBER.findall(text))


def is_shortcut(refined: str, wrong: str, given: str, slack: int = 2) -> bool:
    """Whether a refined answer has too few numbers for one that shows its work:

        numbers(refined) < min( numbers(given), numbers(wrong) ) - slack

    wrong: the answer that was refined. given: the reference solution. Source: card [62], slack 2.

    >>> is_shortcut("27", "7+5=12\\n12*3=35\\n35-9=26", "7+5=12\\n12*3=36\\n36-9=27")
    True
    """
    return num_numbers(refined) < min(num_numbers(given), num_numbers(wrong)) - slack
