"""Attempts in which the same role answers, is asked to look again, and answers again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from askesis.errors import must_fit
from askesis.explore.sample import check_sampling
from askesis.records import NO_TOKENS, Attempt, Start, StopReason, Turn
from askesis.requests import All, Sampling
from askesis.text.feedback import written_feedback

AGAIN = "Is this right? Answer again: {prompt}"
LAZY = {"lazy": True}


@dataclass(frozen=True, kw_only=True)
class SelfCorrect:
    """An answer, and after it revisions, each asked for by a turn of somebody else.

    num_attempts: attempts at each start, at least 1.
    num_turns: answers of an attempt, at least 1; 2 in cards [2], [42] and [84].
    temperature, top_p: of every answer. max_tokens: new tokens *one answer* may have (None: the
        world's own allowance).
    instruction: what is said between answers, the same at every turn, so it must not tell whether
        the answer was right. {prompt} is the task's prompt; models that were never taught to follow
        instructions need it. {why} is what the world's verifier says of the answer: the world's
        critique instead of the house's. It reads the truth and may give the answer away. {step} is
        which step of it the world sees as the first wrong one: a teacher's feedback
        (`askesis.text.feedback`). It reads the truth and does not give the answer.
    critic: a role that writes the turn between answers instead ("": the instruction does). It reads
        the task and the answer.
    critic_temperature: of the critic, at least 0 (None: that of the answers). critic_tokens: it may
        use (None: the world's own allowance).
    window: answers, with what was said to them, that are shown to a revision (0: all); 2 in card
        [237], where more turns are tested than trained.
    until_right: no revision of an answer whose verified score is at least `threshold`. It reads the
        truth, so such attempts teach how to go on, and not when to stop.
    num_revisions: revisions drawn at a time, at least 1. With more than one the attempt goes on
        with the best, by the verifier, and each of the others is an attempt of its own that begins
        in the middle (its start has the prefix and the tag "revision").
    threshold: see until_right; in (0, 1].
    role: who answers.

    Turns between answers are of the role "world", or of the critic, so nothing of them is learnt
    by the one who answers. An attempt ends early where its context is full. Starts with a prefix
    go on from there.
    """

    num_attempts: int = 8
    num_turns: int = 2
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    instruction: str = field(default=AGAIN, metadata=LAZY)
    critic: str = field(default="", metadata=LAZY)
    critic_temperature: float | None = field(default=None, metadata=LAZY)
    critic_tokens: int | None = field(default=None, metadata=LAZY)
    window: int = field(default=0, metadata=LAZY)
    until_right: bool = False
    num_revisions: int = field(default=1, metadata=LAZY)
    threshold: float = field(default=1.0, metadata=LAZY)
    role: str = "policy"

    def __post_init__(self) -> None:
        check_sampling(self)
        limits = {
            "num_turns": (self.num_turns >= 1, "at least 1"),
            "window": (self.window >= 0, "at least 1, or 0 for all"),
            "num_revisions": (self.num_revisions >= 1, "at least 1"),
            "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
            "instruction": (bool(self.instruction) or bool(self.critic), "some text"),
            "critic": (self.critic != self.role, "another role than the one that answers"),
            "critic_temperature": (
                self.critic_temperature is None or 0 <= self.critic_temperature < float("inf"),
                "at least 0, or none",
            ),
            "critic_tokens": (
                self.critic_tokens is None or self.critic_tokens >= 1,
                "at least 1, or none",
            ),
        }
        must_fit(self, limits)

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        made = await All([self._one(ctx, start, i) for i in range(self.num_attempts)])
        return [chain for chain, _ in made] + [other for _, others in made for other in others]

    async def _one(self, ctx: Any, start: Start, index: int) -> tuple[Attempt, list[Attempt]]:
        """One attempt, and the revisions that it did not go on with."""
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        name = ctx.attempt_id(start, index)
        turns: list[Turn] = []
        others: list[Attempt] = []
        until_right, answered = self.until_right, False
        for number in range(self.num_turns):
            if number or _answered(start, self.role):
                turns.append(await self._between(ctx, start, turns, index, number))
                answered = True
            num = self.num_revisions if answered else 1
            begun, read = _shown(start, turns, self.role, self.window)
            said = await All(
                [
                    ctx.say(
                        self.role, begun, read, attempt=index, draw=number * num + k,
                        sampling=sampling,
                    )
                    for k in range(num)
                ]
            )  # fmt: skip
            best, is_right = 0, False
            if num > 1 or (until_right and number + 1 < self.num_turns):
                found = await All([ctx.check(start.task, turn.text) for turn in said])
                scores = [c.score for c in found]
                best = scores.index(max(scores))
                is_right = scores[best] >= self.threshold
            middle = replace(start, prefix=(*start.prefix, *turns), tag="revision")
            for k, turn in enumerate(said):
                if k != best:
                    place = (index * self.num_turns + number) * num + k
                    others.append(_attempt(ctx.attempt_id(middle, place), middle, [turn], (name,)))
            turns.append(said[best])
            if (until_right and is_right) or said[best].stop is StopReason.CONTEXT:
                break
        return _attempt(name, start, turns, ()), others

    async def _between(
        self, ctx: Any, start: Start, turns: Sequence[Turn], index: int, number: int
    ) -> Turn:
        """What is said to the answer before the next one."""
        if self.critic:
            warmth = self.critic_temperature
            said: Turn = await ctx.say(
                self.critic, start, turns, attempt=index, draw=number,
                temperature=self.temperature if warmth is None else warmth,
                max_tokens=self.critic_tokens,
            )  # fmt: skip
            return said
        text = self.instruction
        if "{why}" in text or "{step}" in text:
            last = [t for t in (*start.prefix, *turns) if t.role == self.role][-1]
            checked = await ctx.check(start.task, last.text)
            is_right = checked.score >= self.threshold
            text = text.replace("{step}", written_feedback(is_right, checked.steps))
            text = text.replace("{why}", checked.why)
        return Turn("world", text.replace("{prompt}", start.task.prompt))


def _answered(start: Start, role: str) -> bool:
    """Whether a start from the middle already holds an answer."""
    return any(t.role == role for t in start.prefix)


def _shown(start: Start, turns: Sequence[Turn], role: str, window: int) -> tuple[Start, list[Turn]]:
    """The start and the turns that a revision reads: all, or the last `window` answers.

    What came before a window is not read, so answers inside it are written into a context anew.
    """
    said = [*start.prefix, *turns]
    places = [i for i, t in enumerate(said) if t.role == role]
    if not window or len(places) <= window:
        return start, list(turns)
    kept = said[places[-window] :]
    anew = [replace(t, context=NO_TOKENS, tokens=NO_TOKENS) if t.role == role else t for t in kept]
    return replace(start, prefix=()), anew


def _attempt(name: str, start: Start, turns: list[Turn], parents: tuple[str, ...]) -> Attempt:
    last = turns[-1]
    return Attempt(name, start, tuple(turns), last.stop, author=last.speaker, parents=parents)
