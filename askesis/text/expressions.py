"""Arithmetic expressions, read by a small parser of our own; nothing is ever evaluated as Python.

    expression := term (("+" | "-") term)*
    term       := factor (("*" | "/") factor)*
    factor     := ("-" | "+")* (number | "(" expression ")")
    number     := digits ["." digits]

Values are exact fractions. Length, nesting, digits of a literal and size of every intermediate
value are limited, so the cost is bounded whatever is written. There is no power operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

MAX_CHARS = 512
MAX_DEPTH = 32
MAX_LITERAL_DIGITS = 18
MAX_BITS = 512  # of numerator and denominator of any intermediate value

_SAME_AS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-"})
_DIGITS = frozenset("0123456789")


class ExpressionError(ValueError):
    """Text that is not an expression, or lies beyond the limits; the message says where."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its value, the literals in order, and how many binary operators.

    A literal right behind an odd number of unary minus signs is recorded as negative.
    """

    value: Fraction
    literals: tuple[Fraction, ...]
    num_operators: int


def parse_expression(text: str, max_chars: int = MAX_CHARS) -> Expression:
    """Read an expression. Raises ExpressionError.

    >>> parse_expression("(12-3)*7/2").value
    Fraction(63, 2)
    """
    if len(text) > max_chars:
        raise ExpressionError(f"longer than {max_chars} characters")
    reader = _Reader(text.translate(_SAME_AS))
    value = reader.expression(0)
    reader.skip()
    if reader.at < len(reader.text):
        raise ExpressionError(f"unexpected {reader.text[reader.at]!r} at {reader.at}")
    return Expression(value, tuple(reader.literals), reader.num_operators)


class _Reader:
    """Recursive descent over one text; depth is counted, so Python's own stack is safe."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.literals: list[Fraction] = []
        self.num_operators = 0

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] == " ":
            self.at += 1

    def peek(self) -> str:
        self.skip()
        return self.text[self.at] if self.at < len(self.text) else ""

    def expression(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH}")
        value = self.term(depth)
        while (sign := self.peek()) in ("+", "-") and sign:
            self.at += 1
            self.num_operators += 1
            other = self.term(depth)
            value = _bounded(value + other if sign == "+" else value - other)
        return value

    def term(self, depth: int) -> Fraction:
        value = self.factor(depth)
        while (sign := self.peek()) in ("*", "/") and sign:
            self.at += 1
            self.num_operators += 1
            other = self.factor(depth)
            if sign == "/" and other == 0:
                raise ExpressionError("division by zero")
            value = _bounded(value * other if sign == "*" else value / other)
        return value

    def factor(self, depth: int) -> Fraction:
        negative = False
        while (sign := self.peek()) in ("+", "-") and sign:
            self.at += 1
            negative ^= sign == "-"
        if self.peek() == "(":
            self.at += 1
            value = self.expression(depth + 1)
            if self.peek() != ")":
                raise ExpressionError(f"a bracket is not closed at {self.at}")
            self.at += 1
            return -value if negative else value
        value = self.number()
        value = -value if negative else value
        self.literals.append(value)
        return value

    def number(self) -> Fraction:
        self.skip()
        text, first = self.text, self.at
        while self.at < len(text) and text[self.at] in _DIGITS:
            self.at += 1
        point = text[self.at : self.at + 2]
        if self.at > first and point[:1] == "." and point[1:] in _DIGITS:
            self.at += 1
            while self.at < len(text) and text[self.at] in _DIGITS:
                self.at += 1
        literal = text[first : self.at]
        if not literal:
            found = repr(text[first]) if first < len(text) else "the end"
            raise ExpressionError(f"expected a number at {first}, found {found}")
        if len(literal) > MAX_LITERAL_DIGITS:
            raise ExpressionError(f"a number of more than {MAX_LITERAL_DIGITS} digits")
        return Fraction(literal)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ExpressionError("an intermediate value is too large")
    return value
