"""An edge that is a step of one answer: a line, what a world calls a step, or so many tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from askesis.errors import must_fit
from askesis.records import StopReason, Turn
from askesis.requests import All, Sampling
from askesis.search.grown import Grown
from askesis.search.place import Place
from askesis.search.said import joined, prior_of, still_open

BROKEN = "\ufffd"


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Each edge adds a step to one answer, which stays one turn however many steps it has.

    until: what closes a step ("": what the world says with `step_end`, or else a line end). A
        marker of several characters makes an edge of all that is said up to it, an *option*.
    step_tokens: new tokens one step may have (None: as many as the answer has left); 1 in a world
        where each letter is a step. A step that is cut by it goes on with the next edge.
    min_tokens: a step shorter than this goes on with the next one, as one edge, at least 0; the
        rule of card [16] for trivial lines.
    max_tokens: new tokens of the whole answer (None: the world's allowance). An answer that has
        used them up has ended, stop reason LENGTH.
    """

    until: str = ""
    step_tokens: int | None = None
    min_tokens: int = 0
    max_tokens: int | None = None

    pays = False  # rewards come from the world on the way

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "step_tokens": (self.step_tokens is None or self.step_tokens >= 1, "at least 1"),
                "min_tokens": (self.min_tokens >= 0, "at least 0"),
                "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
            },
        )

    async def begin(self, grown: Grown) -> Place:
        """Nothing said yet."""
        return Place(0)

    async def say(
        self,
        grown: Grown,
        place: Place,
        draws: Sequence[int],
        sampling: Sampling,
        probe: bool = False,
    ) -> list[tuple[Turn, ...]]:
        """The pieces of one edge a draw."""
        allowed = self._allowed(grown, sampling, place.num_tokens, self.step_tokens)
        first = await grown.say(place, _opened(place.turns), draws, allowed, probe)
        short = [self._goes_on(grown, place, (turn,)) for turn in first]
        if not any(short):
            return [(turn,) for turn in first]
        return await All(
            [
                self._longer(grown, place, turn, draw, sampling, probe)
                for turn, draw in zip(first, draws, strict=True)
            ]
        )

    async def _longer(
        self, grown: Grown, place: Place, turn: Turn, draw: int, sampling: Sampling, probe: bool
    ) -> tuple[Turn, ...]:
        """An edge whose first piece is too short, with further ones."""
        pieces: tuple[Turn, ...] = (turn,)
        while self._goes_on(grown, place, pieces):
            so_far = joined([*place.turns, *pieces])
            used = place.num_tokens + sum(len(p.tokens) for p in pieces)
            allowed = self._allowed(grown, sampling, used, self.step_tokens)
            own = Place(f"{place.name}+{len(pieces)}")
            pieces = (
                *pieces,
                *await grown.say(own, (still_open(so_far),), (draw,), allowed, probe),
            )
        return pieces

    def _goes_on(self, grown: Grown, place: Place, pieces: tuple[Turn, ...]) -> bool:
        """Whether an edge is too short to be one."""
        num = sum(len(p.tokens) for p in pieces)
        left = self.allowance(grown) - place.num_tokens - num
        over = pieces[-1].stop is not StopReason.STOP_STRING
        return num < self.min_tokens and left > 0 and not over

    def words(self, said: tuple[Turn, ...]) -> str:
        """What tells an edge from its siblings: the text, and whether it ends the answer."""
        over = "\x00" if said[-1].stop is StopReason.ENDED else ""
        return "".join(turn.text for turn in said) + over

    async def reached(self, grown: Grown, place: Place, said: tuple[Turn, ...]) -> Place | None:
        """The place behind an edge; None where the edge is nothing at all."""
        num = sum(len(turn.tokens) for turn in said)
        last = said[-1].stop
        whole = joined([*place.turns, *said])
        if BROKEN in whole.text:  # a character that was cut in two by the end of a step
            whole = replace(whole, text=grown.ctx.decode(grown.search.role, whole.tokens))
        num_tokens = place.num_tokens + num
        stop: StopReason | None = last
        if last is StopReason.STOP_STRING or (last is StopReason.LENGTH and num):
            used_up = num_tokens >= self.allowance(grown)
            stop = StopReason.LENGTH if used_up else None
        if stop is not None:
            whole = replace(whole, stop=stop)
        elif not num:
            return None
        return Place(
            "",
            depth=place.depth + 1,
            edge=said,
            turns=(whole,),
            key=self._key(grown, whole.text, stop),
            num_tokens=num_tokens,
            prior=prior_of(said),
            stop=stop,
            complete=stop is not None,
        )

    def _key(self, grown: Grown, text: str, stop: StopReason | None) -> str:
        """Equal for answers that are the same but for white space; where the world follows answers
        that are not finished, for those from which the same can still be done."""
        written = "".join(text.split()) + ("." if stop is StopReason.ENDED else "")
        if stop is not None or grown.search.expand.merge not in ("state", "tree"):
            return written
        task = grown.start.task
        states = getattr(grown.ctx.world_of(task), "states", None)
        found = states(task, text) if states is not None else []
        is_followed = bool(found) and not text[found[-1][0] :].strip(" \n,;")
        return f"state {found[-1][1]}" if is_followed else written

    async def finish(
        self, grown: Grown, place: Place, draws: Sequence[int], sampling: Sampling
    ) -> list[Place]:
        """The answer said to its end, once a draw, in one go; as places that are kept nowhere."""
        allowed = replace(self._allowed(grown, sampling, place.num_tokens, None), stop=())
        said = await grown.say(place, _opened(place.turns), draws, allowed, probe=True)
        found = [await self.reached(grown, place, (turn,)) for turn in said]
        return [p for p in found if p is not None]

    def allowance(self, grown: Grown) -> int:
        """Tokens the whole answer may have."""
        return self.max_tokens or int(grown.ctx.world_of(grown.start.task).max_answer_tokens)

    def _allowed(self, grown: Grown, sampling: Sampling, used: int, most: int | None) -> Sampling:
        left = self.allowance(grown) - used
        until = self.until or self._end(grown.ctx.world_of(grown.start.task))
        num = left if most is None else min(left, most)
        return replace(sampling, max_tokens=num, stop=(until,))

    def _end(self, world: Any) -> str:
        """What closes a step in a world."""
        return str(getattr(world, "step_end", "\n"))


@dataclass(frozen=True, kw_only=True)
class Plans(Steps):
    """Edges of a plan: lines that begin with a mark, and then the whole solution as one last edge.

    mark: what lines of the plan begin with. A line without it opens the solution, which is said to
        its end within the same edge; so the search chooses among plans, and a solution is what a
        plan came to.
    until: what closes a line ("": what the world says with `remark_end`, or else as in `Steps`).
    step_tokens, max_tokens: of lines, as in `Steps`; min_tokens does not matter.

    Card [24].
    """

    mark: str = field(default="#")

    def _end(self, world: Any) -> str:
        return str(getattr(world, "remark_end", super()._end(world)))

    def _goes_on(self, grown: Grown, place: Place, pieces: tuple[Turn, ...]) -> bool:
        if len(pieces) > 1:
            return False
        left = self.allowance(grown) - place.num_tokens - len(pieces[0].tokens)
        is_plan = pieces[0].text.lstrip().startswith(self.mark)
        return pieces[0].stop is StopReason.STOP_STRING and not is_plan and left > 0

    async def _longer(
        self, grown: Grown, place: Place, turn: Turn, draw: int, sampling: Sampling, probe: bool
    ) -> tuple[Turn, ...]:
        """The rest of a solution behind its first line, or a line of the plan as it is."""
        if not self._goes_on(grown, place, (turn,)):
            return (turn,)
        so_far = joined([*place.turns, turn])
        used = place.num_tokens + len(turn.tokens)
        allowed = replace(self._allowed(grown, sampling, used, None), stop=())
        own = Place(f"{place.name}+1")
        return (turn, *await grown.say(own, (still_open(so_far),), (draw,), allowed, probe))


def _opened(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """What was said so far as the next speaker of the same answer reads it."""
    return (still_open(turns[0]),) if turns else ()
