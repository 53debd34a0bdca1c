"""Wrong walks spliced with right ones: how to notice a mistake, go back, and go on rightly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import WorldError, must_fit
from askesis.records import Attempt, Group, Sample, TokenOrigin, Turn
from askesis.select.judged import judged, model_of, sample_of
from askesis.select.sequences import sequences_of

Locate = Literal["value", "truth", "end"]
LAZY = {"lazy": True}


@dataclass(frozen=True, slots=True)
class _Pair:
    """A good and a bad walk from one start, the moves of each, and how many they share."""

    good: Attempt
    bad: Attempt
    good_moves: tuple[str, ...]
    bad_moves: tuple[str, ...]
    shared: int


@dataclass(frozen=True, kw_only=True)
class Splice:
    """A bad walk up to its first bad move, a revision, the way back, and the rest of a good walk.

    good: a good walk is worth more than this (the paper's alpha). gap: and more than the bad one
        by this much, at least 0 (beta).
    locate: where the bad walk is left, after the two have parted. "value": behind the first move
        after which the mean outcome of the group's walks with this beginning, at least
        `min_walks` of them, is at most `drop` times what it was where they parted, which is what
        the walker itself can know; without such a move the pair is left out. "truth": behind the
        first move that the world says does not lead nearer. "end": at the very end.
    drop: in [0, 1). min_walks: at least 1; with 1, a good move is called bad whenever the only walk
        that tried it went wrong later.
    revision: what is said first in revising, as a move of its own; an action that the world does
        not know is one that changes nothing. "" leaves it out: the way back is the revision.
    retreat: whether the world's own way back to where the walks parted is walked, where it has one.
    max_per_task: splices kept of one task, at random, at least 1. max_good: good walks of one task
        that are learnt as they are, at least 0. Where splices are many, a walker that cannot tell
        its good moves from its bad ones learns to take back both.
    judge: whose value counts (id, with or without version); "" takes the last that knew.
    role: who walks.

    Everything is played through the world, with the observations that it gives and without its
    limit on moves; a splice that does not come to the good walk's end is dropped, and so is one
    whose bad moves left everything as it was. The moves up to and including the bad one weigh 0,
    the revision, the way back and the rest weigh 1. Works on trees and on plain groups of walks;
    those that fork give more pairs. Source: Agent-R, card [9].
    """

    good: float = field(default=0.5, metadata=LAZY)
    gap: float = field(default=0.2, metadata=LAZY)
    locate: Locate = field(default="value", metadata=LAZY)
    drop: float = field(default=0.5, metadata=LAZY)
    min_walks: int = field(default=1, metadata=LAZY)
    revision: str = field(default="", metadata=LAZY)
    retreat: bool = field(default=True, metadata=LAZY)
    max_per_task: int = field(default=1, metadata=LAZY)
    max_good: int = field(default=4, metadata=LAZY)
    judge: str = ""
    role: str = field(default="policy", metadata=LAZY)

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "gap": (0 <= self.gap < float("inf"), "at least 0"),
                "locate": (self.locate in get_args(Locate), "value, truth or end"),
                "drop": (0 <= self.drop < 1, "in [0, 1)"),
                "min_walks": (self.min_walks >= 1, "at least 1"),
                "max_per_task": (self.max_per_task >= 1, "at least 1"),
                "max_good": (self.max_good >= 0, "at least 0"),
            },
        )

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where the truth about moves is asked for and no world has it."""
        if self.locate == "truth" and not any(
            hasattr(w, "moves_left") for w in ctx.worlds.values()
        ):
            raise WorldError(
                "Splice.locate truth asks for moves that are left, which no world here knows",
                hint="--world maze or --world countdown, or --select.policy.locate value",
            )

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups; see docs/metrics.md for what is noted."""
        model, samples = model_of(ctx), list[Sample]()
        tried, delays, num_spliced = 0, list[int](), 0
        values = [v for found in judged(groups, verdicts, judge=self.judge) for _, v in found]
        for found in judged(groups, verdicts, judge=self.judge):
            pairs = list(self._pairs(found))
            made: dict[bytes, tuple[Sample, int]] = {}
            for pair in pairs:
                tried += 1
                spliced = self._spliced(ctx, model, pair, found)
                if spliced is not None:
                    made.setdefault(spliced[0].sequences[-1].tokens.tobytes(), spliced)
            key = found[0][0].start.key
            kept = _few(ctx, key, list(made.values()), self.max_per_task)
            samples += [sample for sample, _ in kept]
            delays += [delay for _, delay in kept]
            num_spliced += len(kept)
            samples += _few(ctx, f"good {key}", self._good(ctx, model, found), self.max_good)
        ctx.note("splices", num_spliced)
        ctx.note("splice_pairs", tried)
        if delays:
            ctx.note("revision_delay", float(np.mean(delays)))
        if values:
            ctx.note("reward", float(np.mean(values)))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples

    def _pairs(self, found: list[tuple[Attempt, float]]) -> Iterator[_Pair]:
        """Every good walk with every bad one."""
        moves = [self._moves(attempt) for attempt, _ in found]
        for i, (good, best) in enumerate(found):
            for j, (bad, worst) in enumerate(found):
                if best > self.good and best - worst > self.gap:
                    shared = _shared(moves[i], moves[j])
                    if shared < len(moves[j]):
                        yield _Pair(good, bad, moves[i], moves[j], shared)

    def _moves(self, attempt: Attempt) -> tuple[str, ...]:
        return tuple(t.text for t in attempt.turns if t.role == self.role)

    def _spliced(
        self, ctx: Any, model: str, pair: _Pair, found: list[tuple[Attempt, float]]
    ) -> tuple[Sample, int] | None:
        """The splice of a pair with the moves between parting and revision; None where the world
        does not let it come to its end."""
        world, task, start = ctx.world_of(pair.bad.task), pair.bad.task, pair.bad.start
        states = [self._first_state(world, start)]
        for move in pair.bad_moves:
            states.append(world.step(task, states[-1], move).state)
        last = self._last_bad(pair, found, lambda i: world.moves_left(task, states[i]))
        if last is None:
            return None
        back: tuple[str, ...] = ()
        if self.retreat and hasattr(world, "way_back"):
            way = world.way_back(task, states[last + 1], states[pair.shared])
            if not way:  # none, or the bad moves changed nothing that could be revised
                return None
            back = way
        revision = (self.revision,) if self.revision else ()
        learnt = [*revision, *back, *pair.good_moves[pair.shared :]]
        turns = self._played(ctx, pair, [*pair.bad_moves[: last + 1], *learnt], last + 1)
        if turns is None:
            return None
        rows = sequences_of(turns, self.role)
        return Sample(model, tuple(rows), sources=(pair.bad.id, pair.good.id)), (
            last + 1 - pair.shared
        )

    def _last_bad(
        self, pair: _Pair, found: list[tuple[Attempt, float]], moves_left: Any
    ) -> int | None:
        """Index of the bad walk's move behind which it is left; None where nobody can know."""
        places = range(pair.shared, len(pair.bad_moves))
        if self.locate == "truth":
            return next((i for i in places if moves_left(i + 1) >= moves_left(i)), places[-1])
        if self.locate == "value":
            walks = [(self._moves(attempt), value) for attempt, value in found]
            bearable = self.drop * _outcome(walks, pair.bad_moves[: pair.shared])[0]
            for i in places:
                mean, num = _outcome(walks, pair.bad_moves[: i + 1])
                if num < self.min_walks:
                    return None
                if mean <= bearable:
                    return i
        return places[-1]

    def _played(
        self, ctx: Any, pair: _Pair, moves: Sequence[str], num_masked: int
    ) -> list[Turn] | None:
        """The moves with what the world answers; None unless the last one, and it alone, ends."""
        task, start = pair.bad.task, pair.bad.start
        world = ctx.world_of(task)
        state = self._first_state(world, start)
        turns = [t for t in pair.bad.turns[:1] if t.role == "world"]
        for i, move in enumerate(moves):
            moved = world.step(task, state, move)
            tokens = np.append(ctx.encode(self.role, move), ctx.end_token(self.role))
            mark = TokenOrigin.GIVEN if i < num_masked else TokenOrigin.SAMPLED
            turns.append(
                Turn(
                    self.role,
                    move,
                    context=ctx.render(self.role, start, turns),
                    tokens=tokens.astype(np.int32),
                    origin=np.full(len(tokens), mark, np.uint8),
                )
            )
            state = moved.state
            if moved.done:
                return turns if i == len(moves) - 1 else None
            turns.append(Turn("world", moved.observation))
        return None

    def _first_state(self, world: Any, start: Any) -> Any:
        """Where the walks began."""
        if start.state is not None:
            return start.state
        state = world.initial(start.task)
        for turn in start.prefix:
            if turn.role == self.role:
                state = world.step(start.task, state, turn.text).state
        return state

    def _good(self, ctx: Any, model: str, found: list[tuple[Attempt, float]]) -> list[Sample]:
        """Good walks as they are, those with the same moves once."""
        good: dict[tuple[str, ...], Attempt] = {}
        for attempt, value in found:
            if value > self.good:
                good.setdefault(self._moves(attempt), attempt)
        made = [sample_of(ctx, model, a, self.role) for a in good.values()]
        return [s for s in made if s is not None]


def _few(ctx: Any, key: str, found: list[Any], most: int) -> list[Any]:
    """At most so many of them, at random, in their own order."""
    if len(found) <= most:
        return found
    lots = ctx.generator("few", key).permutation(len(found))[:most]
    return [found[i] for i in sorted(lots.tolist())]


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """How many moves two walks have in common from their beginning."""
    num = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        num += 1
    return num


def _outcome(
    walks: Sequence[tuple[tuple[str, ...], float]], moves: Sequence[str]
) -> tuple[float, int]:
    """Mean value and number of the walks that begin with these moves; there is at least one."""
    found = [value for walk, value in walks if walk[: len(moves)] == tuple(moves)]
    return float(np.mean(found)), len(found)
