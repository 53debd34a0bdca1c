"""Worlds that are walked: say a move, see what happened, say the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from askesis.errors import ConfigError
from askesis.explore.moving import must_be_walked, total
from askesis.explore.sample import check_sampling
from askesis.records import Attempt, Start, StopReason, Turn
from askesis.requests import All, Sampling
from askesis.search.walked import begun, ended, played

Illegal = Literal["end", "observe"]


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Attempts of many turns in a world with one seat and text observations.

    num_attempts: walks from each start, at least 1.
    temperature: of every move, at least 0. top_p: in (0, 1].
    max_tokens: new tokens *one move* may have (None: the world's own allowance).
    max_steps: moves after which the walk is cut, at least 1.
    illegal: what an illegal move does. "end": the walk is over, stop reason ILLEGAL. "observe":
        the world says what it says, the move counts, and the walk goes on (whether the state
        changed is the world's rule).
    role: who moves; rewards are summed under the names the world gives them.

    A walk stops as DONE (the world says the task is over), TRUNCATED (the world's own limit, or
    max_steps), ILLEGAL, or CONTEXT (no room for another move). *Done* and *truncated* are kept
    apart on the turns as well. A move cut by max_tokens is played as it stands. The first
    observation is a world turn unless the world's observation is empty. A start with a state
    begins there; one with a prefix of moves and no state begins where they lead, so a walk can
    begin in the middle of another.
    """

    num_attempts: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    max_steps: int = 64
    illegal: Illegal = "end"
    role: str = "policy"

    def __post_init__(self) -> None:
        check_sampling(self)
        if self.max_steps < 1:
            raise ConfigError(
                "Walk.max_steps is too small", expected="at least 1", found=str(self.max_steps)
            )
        if self.illegal not in get_args(Illegal):
            raise ConfigError(
                "Walk.illegal has a wrong value",
                expected=" or ".join(get_args(Illegal)),
                found=repr(self.illegal),
            )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        return await All([self._walk(ctx, start, i) for i in range(self.num_attempts)])

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world of the run has turns."""
        must_be_walked(ctx, "Walk")

    async def _walk(self, ctx: Any, start: Start, index: int) -> Attempt:
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        on_illegal = self.illegal  # read once: a walk without an illegal move reads it too
        state, turns = await begun(ctx, start, self.role)
        author, stop = "", StopReason.TRUNCATED
        for _ in range(self.max_steps):
            said = await ctx.say(self.role, start, turns, attempt=index, sampling=sampling)
            author = said.speaker
            if said.stop is StopReason.CONTEXT:
                turns.append(said)
                stop = StopReason.CONTEXT
                break
            moved = await ctx.step(start.task, state, said.text)
            state = moved.state
            turns.append(played(said, moved))
            over = ended(moved, on_illegal)
            if over is not None:
                stop = over
                break
            turns.append(Turn("world", moved.observation))
        rewards = total(turns)
        return Attempt(
            ctx.attempt_id(start, index), start, tuple(turns), stop, author=author, rewards=rewards
        )
