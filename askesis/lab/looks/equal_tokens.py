"""Ways of answering that are given the same number of tokens: what each try costs, and how many
tries a budget pays for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import floor
from typing import Any

from askesis.records import Start, Turn
from askesis.requests import All, Score, Value

MOST = 256  # tries; a budget that pays for more has all of these


@dataclass(frozen=True, slots=True)
class End:
    """An answer: what the judge says of it, whether it is right, and what it comes to."""

    value: float
    right: bool
    answer: str


@dataclass(frozen=True, slots=True)
class Try:
    """What one try found and cost: tokens generated, tokens that judges read, what judges were
    asked. `ends` is empty where it came to no end."""

    ends: tuple[End, ...]
    generated: int
    read: int
    judged: int

    @property
    def tokens(self) -> int:
        """Generated and read, as a run's budget counts them (`askesis.budget.Meter`)."""
        return self.generated + self.read


class Counted:
    """A context through which everything that is read to value or to score it is counted."""

    def __init__(self, ctx: Any) -> None:
        self._ctx, self.read, self.judged = ctx, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def value(self, role: str, start: Start, turns: Sequence[Turn] = ()) -> Value:
        self._count(len(self._ctx.render(role, start, turns)))
        asked: Value = self._ctx.value(role, start, turns)
        return asked

    def score(
        self, role: str, start: Start, turns: Sequence[Turn], target: Turn, snapshot: str = ""
    ) -> Score:
        self._count(len(self._ctx.render(role, start, turns)) + len(target.tokens))
        asked: Score = self._ctx.score(role, start, turns, target, snapshot)
        return asked

    def _count(self, tokens: int) -> None:
        self.read, self.judged = self.read + tokens, self.judged + 1


async def tries(
    make: Callable[[int], Coroutine[Any, Any, Try]], tokens: int, generated: int
) -> list[Try]:
    """Tries until both budgets are used up, at least one and at most `MOST`; `make(i)` is the i-th.

    As many are begun at once as the mean of those before says that there is room for.
    """
    made: list[Try] = []
    while len(made) < MOST:
        room = 1
        if made:
            room = max(
                _room(tokens, [t.tokens for t in made]),
                _room(generated, [t.generated for t in made]),
            )
        if room < 1:
            break
        first = len(made)
        made += await All([make(i) for i in range(first, min(MOST, first + room))])
    return made


def _room(budget: int, costs: Sequence[int]) -> int:
    """How many more tries bring what was spent nearest to the budget."""
    mean = max(1.0, sum(costs) / len(costs))
    return floor((budget - sum(costs)) / mean + 0.5)


def within(costs: Sequence[int], budget: float) -> int:
    """How many of the first tries come nearest to a budget in all, at least one; of equals fewer.

    >>> within([40, 40, 40], 90), within([40, 40, 40], 110), within([40], 5)
    (2, 3, 1)
    """
    totals = list(accumulate(costs))
    return 1 + min(range(len(totals)), key=lambda i: (abs(totals[i] - budget), i))


def best(tried: Sequence[Try]) -> float:
    """1 where the end that the judge values most is right, else 0; of equals the first counts."""
    ends = [end for one in tried for end in one.ends]
    return float(max(ends, key=lambda end: end.value).right) if ends else 0.0
