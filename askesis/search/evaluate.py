"""What a place is worth: by the world, a value head, a judge that is a function, or one's own
confidence.

Every evaluator has `values(grown, places)`: a number for each place, and where it is backed up
from (`Found`). The same parts say what an end is worth (`Search.end`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, tanh
from typing import Literal, get_args

from askesis.errors import ModelError, must_fit
from askesis.records import Task, Turn
from askesis.requests import All
from askesis.search.grown import Grown
from askesis.search.limits import part_of
from askesis.search.place import Found, Place
from askesis.search.said import mean_logp, still_open

Squash = Literal["none", "sigmoid", "tanh"]


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """Every place is worth the same number. Asks nobody."""

    number: float = 0.0

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        return [Found(p, self.number) for p in places]


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What the world's verifier says of the last words, from `wrong` (score 0) to `right` (1).

    right, wrong: 1 and -1 in cards [24] and [178], 1 and 0 in card [0].
    cut_is_wrong: an answer that was cut off is wrong whatever stands in it. Where nothing was
        said, it is wrong without asking.
    """

    right: float = 1.0
    wrong: float = 0.0
    cut_is_wrong: bool = True

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "right": (-inf < self.right < inf, "a finite number"),
                "wrong": (-inf < self.wrong < self.right, "below right"),
            },
        )

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        texts = [self._text(grown, p) for p in places]
        asked = [t for t in texts if t]
        checked = await All([grown.ctx.check(grown.start.task, t) for t in asked])
        grown.spent.judged += len(asked)
        scores = iter(float(c.score) for c in checked)
        span = self.right - self.wrong
        return [
            Found(p, self.wrong + span * (next(scores) if text else 0.0))
            for p, text in zip(places, texts, strict=True)
        ]

    def _text(self, grown: Grown, place: Place) -> str:
        """What a verifier reads; "" for what is wrong without one."""
        if place.stop is not None and place.stop.cut_off and self.cut_is_wrong:
            return ""
        return answer_of(place, grown.search.role)


@dataclass(frozen=True, kw_only=True)
class Paid:
    """The rewards that the world has paid on the way."""

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        return [Found(p, p.paid) for p in places]


@dataclass(frozen=True, kw_only=True)
class ValueHead:
    """The value head of a role, read at the last token of what was said.

    role: whose ("": the searching role's own). Another role reads the very tokens of the searching
        one, so both must share a tokeniser.
    squash: what is made of the head's number: nothing, "sigmoid" for one that learnt labels in
        [0, 1], "tanh" for one between -1 and 1 (card [178]).
    """

    role: str = ""
    squash: Squash = "none"

    def __post_init__(self) -> None:
        must_fit(self, {"squash": (self.squash in get_args(Squash), "none, sigmoid or tanh")})

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        role = self.role or grown.search.role
        grown.spent.judged += len(places)
        asked = [
            grown.ctx.value(role, grown.start, read_by(p.turns, grown.search.role, role))
            for p in places
        ]
        numbers = [_squashed(float(v), self.squash) for v in await All(asked)]
        return [Found(p, v) for p, v in zip(places, numbers, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A judge that is a function of the task and of what was said so far.

    by: `module:name` or `file.py:name` in a configuration; called as by(task, text) it returns a
        number. A number that is none ends the search.
    """

    by: Callable[[Task, str], float]

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        grown.spent.judged += len(places)
        task, role = grown.start.task, grown.search.role
        return [Found(p, float(self.by(task, said_by(p, role)))) for p in places]


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Probability of the whole way by its length, in (0, 1]: exp of the mean log-probability of all
    that was said on it. Needs no judge: the control that every guided search has to beat.
    Card [99].
    """

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        return [Found(p, self._of(grown, p)) for p in places]

    def _of(self, grown: Grown, place: Place) -> float:
        own = [t for t in place.turns if t.role == grown.search.role]
        if not own:
            return 1.0
        mean = mean_logp(own)
        if mean is None:
            raise ModelError(
                "confidence needs log-probabilities, which this engine does not tell",
                hint="--engine native or --engine transformers",
            )
        return exp(mean)


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """Several evaluators as one: the sum of coefficient times number. Card [16] adds a value head,
    a process and an outcome model.

    parts: at least one. coefs: one a part.
    """

    parts: tuple[object, ...]
    coefs: tuple[float, ...]

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "parts": (len(self.parts) >= 1, "at least one"),
                "coefs": (len(self.coefs) == len(self.parts), "one for each part"),
            },
        )
        object.__setattr__(self, "parts", tuple(part_of(p, "values") for p in self.parts))

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        said = await All([part.values(grown, places) for part in self.parts])  # type: ignore[attr-defined]
        return [
            Found(place, sum(c * s[i].number for c, s in zip(self.coefs, said, strict=True)))
            for i, place in enumerate(places)
        ]


def answer_of(place: Place, role: str) -> str:
    """The last words of a role, which a verifier reads."""
    return next((t.text for t in reversed(place.turns) if t.role == role), "")


def said_by(place: Place, role: str) -> str:
    """Everything a role has said on the way, a turn a line."""
    return "\n".join(t.text for t in place.turns if t.role == role)


def read_by(turns: tuple[Turn, ...], speaker: str, reader: str) -> tuple[Turn, ...]:
    """What was said as a value head reads it: an answer to its last token, moves as they are."""
    if turns and turns[-1].role == speaker:
        turns = (*turns[:-1], still_open(turns[-1]))
    if reader == speaker:
        return turns
    return tuple(replace(t, role=reader) if t.role == speaker else t for t in turns)


def _squashed(number: float, how: str) -> float:
    """NaN stays NaN."""
    if how == "tanh":
        return tanh(number)
    return (1 + tanh(number / 2)) / 2 if how == "sigmoid" else number
