"""Answers of countdown that are not finished: how far they go, and how they could go on."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from askesis.text.rationals import write_number
from askesis.text.steps import split_steps
from askesis.worlds.countdown_steps import solve

Take = Callable[[str, list[Fraction], bool], str]


def last_try(answer: str) -> tuple[int, int]:
    """Where the last try that is no remark stands; (0, 0) where there is none."""
    tries = [(a, b) for a, b in split_steps(answer, ";") if answer[a] != "#"]
    return tries[-1] if tries else (0, 0)


def followed(answer: str, numbers: list[int], take: Take) -> list[tuple[int, list[Fraction]]]:
    """(one past its last character, the pool it leaves) for each right step of the last try, up to
    the first that is wrong or states no value."""
    first, last = last_try(answer)
    pool, found = [Fraction(n) for n in numbers], []
    for start, end in split_steps(answer[first:last], ",\n"):
        if take(answer[first + start : first + end], pool, False):
            break
        found.append((first + end, list(pool)))
    return found


def pool_name(pool: list[Fraction]) -> str:
    """A pool as text, equal for equal numbers in any order."""
    return " ".join(write_number(n) for n in sorted(pool))


def gone_on(begun: str, pool: list[Fraction], target: int) -> str | None:
    """An answer that begins with `begun` and goes on from the pool it leaves to the target, by
    whole, non-negative steps; None where there is no way."""
    whole = [int(n) for n in pool if n.denominator == 1 and n >= 0]
    if len(whole) < len(pool) or len(whole) > 5:
        return None
    if whole == [target]:
        return begun
    rest = solve(whole, target) if len(whole) > 1 else None
    return None if rest is None else f"{begun},{rest}"
