"""Numbers in answers, read exactly.

`parse_number` reads what people and models write for one number ("1,234.50", "$18", "3/4",
"-2e3", "50%") into an exact `Fraction`, within limits that keep hostile input cheap: int() on a
million digits, or 10**10**10, is never computed.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import islice

MAX_DIGITS = 200  # of one number, all parts together
MAX_EXPONENT = 200  # of scientific notation, either sign

_UNSIGNED = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBER = re.compile(
    rf"(?P<sign>[-+\u2212]?)[ ]?(?P<top>{_UNSIGNED})\.?"
    rf"(?:[eE](?P<exponent>[-+]?[0-9]{{1,4}}))?(?:[ ]?/[ ]?(?P<bottom>{_UNSIGNED}))?"
)
_IN_TEXT = re.compile(
    r"(?<![0-9A-Za-z_.])[-+\u2212]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)?(?:\.[0-9]+|(?<=[0-9]))"
    r"(?:/[0-9]+)?"
)
_OPERATORS = ("*", "^", "/", "\u00d7", "\\times", "\\cdot")
_AROUND = " \t\r\n$€£¥%*`'\"\u2019\\!"


def parse_number(text: str) -> Fraction | None:
    """The number that `text` is, exactly, or None where it is not one (or beyond the limits).

    Thousands commas, a currency sign before, a percent sign or full stop behind are read over
    (a percent sign does not divide by a hundred: "50%" is 50). Raises nothing.

    >>> parse_number("$1,234.50"), parse_number("-3/4"), parse_number("12 apples")
    (Fraction(2469, 2), Fraction(-3, 4), None)
    """
    if len(text) > 4 * MAX_DIGITS:
        return None
    text = text.strip(_AROUND)
    if text.startswith("-$"):
        text = "-" + text[2:]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    top, bottom = match["top"].replace(",", ""), (match["bottom"] or "1").replace(",", "")
    if len(top) + len(bottom) > MAX_DIGITS:
        return None
    exponent = int(match["exponent"] or 0)
    if abs(exponent) > MAX_EXPONENT:
        return None
    below = Fraction(bottom)
    if below == 0:
        return None
    value = Fraction(top) * Fraction(10) ** exponent / below
    return -value if match["sign"] in ("-", "\u2212") else value


def write_number(value: Fraction) -> str:
    """The one way a number is written: "7", "-3/4"; terminating decimals too are fractions.

    >>> write_number(Fraction(7)), write_number(Fraction("2.50"))
    ('7', '5/2')
    """
    return str(value)


def numbers_in(text: str, max_numbers: int = 1000) -> list[Fraction]:
    """Every number that stands in a text, in order, at most `max_numbers` of them.

    >>> numbers_in("She has 1,200 eggs and sells 3/4 of them.")
    [Fraction(1200, 1), Fraction(3, 4)]
    """
    read = (parse_number(match[0]) for match in _IN_TEXT.finditer(text))
    return list(islice((value for value in read if value is not None), max_numbers))


def stated_number(text: str, first: bool = False) -> Fraction | None:
    """The last (or first) number of a text, or None where that is part of a product or power.

    "9 * 2 = 18" states 18; "9 * 2" states nothing.

    >>> stated_number("9 * 2 = 18 eggs"), stated_number("10**10"), stated_number("6 feet", True)
    (Fraction(18, 1), None, Fraction(6, 1))
    """
    matches = list(_IN_TEXT.finditer(text))
    for match in matches if first else reversed(matches):
        value = parse_number(match[0])
        if value is not None:
            break
    else:
        return None
    start, end = match.span()
    before = text[max(0, start - 8) : start].rstrip(" ({").removesuffix("\\left")
    behind = text[end : end + 8].lstrip(" )}")
    is_part = before.endswith(_OPERATORS) or behind.startswith(_OPERATORS)
    return None if is_part else value
