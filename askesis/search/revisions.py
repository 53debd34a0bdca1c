"""An edge that is a whole answer, or a revision of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from askesis.errors import must_fit
from askesis.records import StopReason, Turn
from askesis.requests import All, Sampling
from askesis.search.grown import Grown
from askesis.search.place import Place
from askesis.search.said import prior_of

AGAIN = "Is this right? Answer again: {prompt}"


@dataclass(frozen=True, kw_only=True)
class Revisions:
    """The first edge is an answer, each further one what the speaker makes of it when asked again.

    instruction: what is said between answers; {prompt} is the task's prompt, {why} what the
        verifier says of the answer (it reads the truth). As in `SelfCorrect`.
    max_tokens: new tokens one answer may have (None: the world's own allowance).
    until: an answer whose own value is at least this is not revised (None: all are); in the units
        of the evaluator.

    Every place but the root is a whole answer, and so an attempt. Refinement as a search: card
    [75].
    """

    instruction: str = AGAIN
    max_tokens: int | None = None
    until: float | None = 1.0

    pays = False

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "instruction": (bool(self.instruction), "some text"),
                "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
            },
        )

    async def begin(self, grown: Grown) -> Place:
        """Nothing answered yet."""
        return Place(0)

    async def say(
        self,
        grown: Grown,
        place: Place,
        draws: Sequence[int],
        sampling: Sampling,
        probe: bool = False,
    ) -> list[tuple[Turn, ...]]:
        """An answer a draw, with what was said before it to make it a revision."""
        before: tuple[Turn, ...] = ()
        if place.turns:
            text = self.instruction.replace("{prompt}", grown.start.task.prompt)
            if "{why}" in text:
                grown.spent.judged += 1
                checked = await grown.ctx.check(grown.start.task, place.turns[-1].text)
                text = text.replace("{why}", checked.why)
            before = (Turn("world", text),)
        allowed = replace(sampling, max_tokens=self.max_tokens)
        said = await grown.say(place, (*place.turns, *before), draws, allowed, probe)
        return [(*before, turn) for turn in said]

    def words(self, said: tuple[Turn, ...]) -> str:
        """What tells an edge from its siblings: the answer."""
        return said[-1].text

    async def reached(self, grown: Grown, place: Place, said: tuple[Turn, ...]) -> Place | None:
        """The place of an answer; it is over where the context is full."""
        return Place(
            "",
            depth=place.depth + 1,
            edge=said,
            turns=(*place.turns, *said),
            key="".join(said[-1].text.split()),
            num_tokens=place.num_tokens + len(said[-1].tokens),
            prior=prior_of(said[-1:]),
            stop=StopReason.CONTEXT if said[-1].stop is StopReason.CONTEXT else None,
            complete=True,
        )

    async def finish(
        self, grown: Grown, place: Place, draws: Sequence[int], sampling: Sampling
    ) -> list[Place]:
        """The answer as it stands; from the root an answer a draw."""
        if place.turns:
            return [place]
        said = await self.say(grown, place, draws, sampling, probe=True)
        found = await All([self.reached(grown, place, turns) for turns in said])
        return [p for p in found if p is not None]

    def over(self, place: Place) -> bool:
        """Whether an answer is good enough to be left alone."""
        return self.until is not None and place.own is not None and place.own >= self.until
