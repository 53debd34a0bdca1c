"""Where a finished attempt went wrong: the first step behind which nothing comes out right.

A judge with few roll-outs: the value of a prefix is the share of completions from it that are
right, and instead of asking for that of every prefix a search asks where it matters. What it finds
is the *point of no return*, and not the first wrong step, wherever the completer can mend a step.
Count the two apart. Card [135].
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from askesis.errors import ConfigError, must_fit
from askesis.records import Attempt, Start, Turn
from askesis.requests import All, Sampling
from askesis.search.said import joined
from askesis.steps import SEPARATORS, Span, steps_of, turns_up_to

Value = Callable[[int], Awaitable[float]]  # prefix of so many steps -> share of right completions
LAZY = {"lazy": True}  # matters only where something is found to search


@dataclass(frozen=True, slots=True)
class Lost:
    """What a search for the first error found. step: index of the first step behind which nothing
    comes out right, counted from 0; None where completions from the last prefix that was looked at
    still come out right. values: steps in the prefix -> share of right completions, for the
    prefixes that were asked for.
    """

    step: int | None
    values: dict[int, float]


async def by_halves(num_steps: int, value: Value) -> Lost:
    """Binary search over the prefixes of a wrong attempt of `num_steps` steps, at least 1.

    A prefix with any right completion lies before the error, one with none behind it; the whole
    attempt is wrong and is not asked for, nor is the empty prefix, which is taken for good. So
    ceil(log2(num_steps)) prefixes are looked at in place of num_steps - 1.
    """
    found: dict[int, float] = {}
    good, bad = 0, num_steps
    while bad - good > 1:
        middle = (good + bad) // 2
        found[middle] = await value(middle)
        good, bad = (middle, bad) if found[middle] > 0 else (good, middle)
    return Lost(bad - 1, found)


async def one_by_one(num_steps: int, value: Value) -> Lost:
    """The same by looking at every prefix from the first on until one has no right completion."""
    found: dict[int, float] = {}
    for num in range(1, num_steps):
        found[num] = await value(num)
        if found[num] <= 0:
            return Lost(num - 1, found)
    return Lost(num_steps - 1, found)


@dataclass(slots=True)
class Prefix:
    """A place from which answers were completed: `turns` is what had been said there, one open turn
    or none. share: of its completions, the right ones. visits: how often it was popped. ends: its
    completions with their scores. wrong: those that are wrong and were not popped yet, whole."""

    turns: tuple[Turn, ...]
    num_steps: int
    parent: int
    share: float
    visits: int = 0
    ends: list[tuple[Turn, float]] = field(default_factory=list)
    wrong: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Searched:
    """A completion that was popped, whole, and the step that was found to have lost it, counted
    from its own first one."""

    attempt: Attempt
    step: int


@dataclass(frozen=True, slots=True)
class Grove:
    """A finished tree of prefixes, the empty one first; equal ones are one.

    searched: what was popped, in order. num_tokens: of all completions. is_exhausted: whether
    nothing was left to be popped.
    """

    prefixes: list[Prefix]
    searched: list[Searched]
    num_tokens: int
    is_exhausted: bool


@dataclass(frozen=True, kw_only=True)
class Omega:
    """A tree of prefixes around first errors, grown by halves, reusing every roll-out.

    Pop the prefix and wrong completion with the highest

        Q + U = a^(1 - MC) * b^(tokens / length) + c sqrt(sum_i N_i) / (1 + N)

    find its first error by halves, add the prefixes that were looked at with their own wrong
    completions, and again; only prefixes with 0 < MC < 1 are popped.

    num_rollouts: k, completions a prefix, at least 1. num_searches: pops, at least 0.
    alpha, beta: a and b, in (0, 1]. length: L, tokens, above 0. exploration_coef: c, at least 0.
    temperature: of completions. max_tokens: new tokens of one (None: the world's allowance).
    separators: between which characters steps stand. role: who completes.

    Source: OmegaPRM, card [135], whose defaults are k 8, a 0.5, b 0.9, L 500, c 0.125.
    """

    num_rollouts: int = 8
    num_searches: int = 4
    alpha: float = field(default=0.5, metadata=LAZY)
    beta: float = field(default=0.9, metadata=LAZY)
    length: float = field(default=500.0, metadata=LAZY)
    exploration_coef: float = field(default=0.125, metadata=LAZY)
    temperature: float = 1.0
    max_tokens: int | None = None
    separators: str = field(default=SEPARATORS, metadata=LAZY)
    role: str = "policy"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "num_rollouts": (self.num_rollouts >= 1, "at least 1"),
                "num_searches": (self.num_searches >= 0, "at least 0"),
                "alpha": (0 < self.alpha <= 1, "in (0, 1]"),
                "beta": (0 < self.beta <= 1, "in (0, 1]"),
                "length": (self.length > 0, "above 0"),
                "exploration_coef": (self.exploration_coef >= 0, "at least 0"),
                "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
                "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
            },
        )

    async def grow(self, ctx: Any, start: Start) -> Grove:
        """All prefixes that were completed, and what was found in wrong completions."""
        grown = _Grown(self, ctx, start)
        await grown.complete((), 0, -1)
        chosen: tuple[int, Attempt] | None = None
        for _ in range(self.num_searches):
            chosen = grown.pop()
            if chosen is None:
                break
            await grown.halve(*chosen)
        is_over = chosen is None and self.num_searches > 0
        return Grove(grown.prefixes, grown.searched, grown.num_tokens, is_over)


class _Grown:
    """One tree of prefixes under way."""

    def __init__(self, part: Omega, ctx: Any, start: Start) -> None:
        self.part, self.ctx, self.start = part, ctx, start
        self.prefixes: list[Prefix] = []
        self.known: dict[bytes, int] = {}
        self.searched: list[Searched] = []
        self.num_tokens = 0

    async def complete(self, turns: tuple[Turn, ...], num_steps: int, parent: int) -> int:
        """The index of a prefix, completed where it is new."""
        name = b"".join(t.tokens.tobytes() for t in turns)
        if name in self.known:
            return self.known[name]
        part, ctx = self.part, self.ctx
        index = self.known[name] = len(self.prefixes)
        self.prefixes.append(Prefix(turns, num_steps, parent, 0.0))
        sampling = Sampling(part.temperature, max_tokens=self._left(turns))
        said = await All(
            [
                ctx.say(part.role, self.start, turns, attempt=index, draw=i, sampling=sampling)
                for i in range(part.num_rollouts)
            ]
        )
        self.num_tokens += sum(len(t.tokens) for t in said)
        whole = [joined([*turns, t]) for t in said]
        checked = await All([ctx.check(self.start.task, t.text) for t in whole])
        found = self.prefixes[index]
        found.share = sum(float(c.score) for c in checked) / len(checked)
        found.ends = [(t, float(c.score)) for t, c in zip(said, checked, strict=True)]
        for i, (turn, c) in enumerate(zip(whole, checked, strict=True)):
            if c.score < 1:
                name_ = f"{ctx.attempt_id(self.start, index)}.{i}"
                found.wrong.append(Attempt(name_, self.start, (turn,), turn.stop, turn.speaker))
        return index

    def _left(self, turns: tuple[Turn, ...]) -> int:
        most = self.part.max_tokens
        if most is None:
            most = int(self.ctx.world_of(self.start.task).max_answer_tokens)
        return max(1, most - sum(len(t.tokens) for t in turns))

    def pop(self) -> tuple[int, Attempt] | None:
        """The prefix and wrong completion to search next, taken out of the pool."""
        part = self.part
        total = sqrt(sum(p.visits for p in self.prefixes))
        best: tuple[float, int, int] | None = None
        for index, prefix in enumerate(self.prefixes):
            if not 0 < prefix.share < 1:
                continue
            chance = part.exploration_coef * total / (1 + prefix.visits)
            for place, attempt in enumerate(prefix.wrong):
                said = attempt.num_tokens - sum(len(t.tokens) for t in prefix.turns)
                worth = part.alpha ** (1 - prefix.share) * part.beta ** (said / part.length)
                if best is None or worth + chance > best[0]:
                    best = (worth + chance, index, place)
        if best is None:
            return None
        _, index, place = best
        self.prefixes[index].visits += 1
        return index, self.prefixes[index].wrong.pop(place)

    async def halve(self, index: int, attempt: Attempt) -> None:
        """Search one wrong completion, behind the prefix it came from."""
        role = self.part.role
        decode = lambda tokens: self.ctx.decode(role, tokens)
        spans = steps_of(attempt, decode, self.part.separators, role)
        before = self.prefixes[index]
        read = sum(len(t.tokens) for t in before.turns)
        behind = [s for s in spans if s[2] > read]
        last = index

        async def value(num: int) -> float:
            nonlocal last
            turns = turns_up_to(attempt, 0, behind[num - 1][2], decode)
            found = await self.complete(turns, before.num_steps + num, last)
            share = self.prefixes[found].share
            last = found if share > 0 else last
            return share

        if behind:
            lost = await by_halves(len(behind), value)
            assert lost.step is not None
            self.searched.append(Searched(attempt, len(spans) - len(behind) + lost.step))


async def finished(
    ctx: Any,
    attempt: Attempt,
    place: tuple[int, int],
    draws: Sequence[int],
    *,
    temperature: float = 1.0,
    role: str = "policy",
) -> list[tuple[Turn, float, int]]:
    """An attempt finished from (turn, tokens before), which must be its last turn: each time the
    whole answer as one turn, its score, and the tokens that are new. draws: name the noise."""
    turn, num = place
    turns = turns_up_to(attempt, turn, num, lambda tokens: ctx.decode(role, tokens))
    most = int(ctx.world_of(attempt.task).max_answer_tokens)
    sampling = Sampling(temperature, max_tokens=max(1, most - num))
    said: Sequence[Turn] = await All(
        [
            ctx.say(role, attempt.start, turns, attempt=attempt.id, draw=draw, sampling=sampling)
            for draw in draws
        ]
    )
    whole = [joined([*turns[turn:], t]) for t in said]
    checked = await All([ctx.check(attempt.task, t.text) for t in whole])
    return [
        (t, float(c.score), len(new.tokens)) for t, c, new in zip(whole, checked, said, strict=True)
    ]


async def completed(
    ctx: Any,
    attempt: Attempt,
    place: tuple[int, int],
    draws: Sequence[int],
    *,
    temperature: float = 1.0,
    role: str = "policy",
) -> list[tuple[float, int]]:
    """As `finished`, without the answers: the score of each, and its new tokens."""
    found = await finished(ctx, attempt, place, draws, temperature=temperature, role=role)
    return [(score, num_tokens) for _, score, num_tokens in found]


async def lost_at(
    ctx: Any,
    attempt: Attempt,
    *,
    num_rollouts: int = 8,
    linear: bool = False,
    temperature: float = 1.0,
    separators: str = SEPARATORS,
    role: str = "policy",
) -> tuple[Lost, tuple[Span, ...], int]:
    """Where one finished wrong attempt was lost, its steps, and how many tokens it took to know.

    linear: look at every prefix, as Monte-Carlo labels do, and not by halves. Attempts are one turn
    of `role`; ConfigError for others.
    """
    own = [i for i, t in enumerate(attempt.turns) if t.role == role and len(t.tokens)]
    if len(own) != 1:
        raise ConfigError(
            "a first error is searched in an answer of one turn",
            expected="one turn of " + role,
            found=f"{len(own)} in attempt {attempt.id}",
        )
    decode = lambda tokens: ctx.decode(role, tokens)
    spans = steps_of(attempt, decode, separators, role)
    num_tokens = 0

    async def value(num: int) -> float:
        nonlocal num_tokens
        place, draws = (
            (own[0], spans[num - 1][2]),
            range(num * num_rollouts, (num + 1) * num_rollouts),
        )
        rows = await completed(ctx, attempt, place, draws, temperature=temperature, role=role)
        num_tokens += sum(tokens for _, tokens in rows)
        return sum(score for score, _ in rows) / len(rows)

    how = one_by_one if linear else by_halves
    found = await how(len(spans), value) if spans else Lost(None, {})
    return found, spans, num_tokens
