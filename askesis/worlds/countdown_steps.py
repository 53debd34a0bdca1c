"""Steps of countdown: two numbers put together, every way to do it, and a search for a solution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One combination of two numbers: left operator right = value, all whole and not negative."""

    left: int
    operator: str
    right: int
    value: int

    def __str__(self) -> str:
        return f"{self.left}{self.operator}{self.right}={self.value}"


def combine(left: int, operator: str, right: int) -> Step | None:
    """A step whose value is whole and not negative, or None."""
    if operator == "+":
        return Step(left, "+", right, left + right)
    if operator == "*":
        return Step(left, "*", right, left * right)
    if operator == "-":
        return Step(left, "-", right, left - right) if left >= right else None
    return Step(left, "/", right, left // right) if right and left % right == 0 else None


def solve(numbers: list[int], target: int) -> str | None:
    """Steps from numbers to target by depth-first search in a fixed order, or None.

    Whole, non-negative intermediate values only. Up to five numbers; more raise ValueError.
    """
    if len(numbers) > 5:
        raise ValueError("the search is made for up to five numbers")
    if len(numbers) == 1:
        return f"{numbers[0]}={target}" if numbers[0] == target else None
    tried: set[tuple[int, ...]] = set()

    def search(pool: tuple[int, ...], steps: tuple[Step, ...]) -> tuple[Step, ...] | None:
        if len(pool) == 1:
            return steps if pool[0] == target else None
        if pool in tried:
            return None
        tried.add(pool)
        for step, rest in moves(pool):
            found = search(rest, (*steps, step))
            if found is not None:
                return found
        return None

    found = search(tuple(sorted(numbers)), ())
    return None if found is None else ",".join(map(str, found))


def moves(pool: tuple[int, ...], operators: str = "+-*/") -> list[tuple[Step, tuple[int, ...]]]:
    """Every step from a sorted pool, with the sorted pool it leaves."""
    found = []
    for i in range(len(pool)):
        for j in range(i):
            rest = [n for k, n in enumerate(pool) if k not in (i, j)]
            for operator in operators:
                step = combine(pool[i], operator, pool[j])
                if step is not None:
                    found.append((step, tuple(sorted([*rest, step.value]))))
    return found
