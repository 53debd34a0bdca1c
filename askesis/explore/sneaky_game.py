"""A game about one step: somebody spoils it in secret, a critic says which step is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.errors import WorldError, must_fit
from askesis.records import Attempt, Purpose, Start, StopReason, Task, TokenOrigin, Turn
from askesis.requests import All, Sampling
from askesis.search.first_error import finished
from askesis.steps import SEPARATORS, critic_start, steps_of
from askesis.text.critique import named, naming, slipped, spoiling
from askesis.text.steps import split_steps

SLIPS = (1, -1, 2, 10)  # by how much an edit puts the last number of a step off
LAZY = {"lazy": True}  # matters only where there is a game


@dataclass(frozen=True, kw_only=True)
class SneakyGame:
    """A right answer, the same answer with one step spoilt, and what a critic says of each.

    1. The solver answers. A wrong answer is the end; of a right one a step k is drawn.
    2. Behind step k the solver comes out right at least `least_right` of the time; else no game.
    3. The sneaky one reads the problem and the steps up to k, and says step k anew.
    4. The solver finishes from there. Only where no completion comes out right is the step taken
       for wrong; else the sneaky one has lost, and nobody reads anything. The first completion
       makes the answer whole: behind the wrong step stands what naturally follows it.
    5. The critic reads both answers. It wins 1 by naming step k of the spoilt one, and by "ok" for
       the right one; else it loses 1. The sneaky one wins what the critic loses on the spoilt one.

    edit_share: share of the games, in [0, 1], that are lessons: an edit of step k (its last number
        is off by 1, 2 or 10) in place of the sneaky one, and the critic is told what to say.
    num_rollouts: completions behind the step as it was and behind the spoilt one, at least 1.
    least_right: in [0, 1].
    gate: whether completions decide; without, every step that is said otherwise counts as wrong,
        and is finished once.
    temperature: of all who speak, at least 0.
    sneaky_tokens, critic_tokens: new tokens they may say, at least 1.
    solver, sneaky, critic: the roles. sneaky "": nobody is taught to spoil, for edits alone.
    separators: between which characters steps stand.

    The first attempt of a group is the answer, with the critic's turn behind it where there was a
    game. The second is the game about the spoilt answer: the sneaky one's turn, the answer, the
    critic's, as far as it came; its parent is the first, and it stopped ILLEGAL where the spoilt
    step was none. Rewards are under the names of the roles (`askesis.judge.returns`). Attempts of a
    lesson are demonstrations with reward 1 for everybody. Asks the world's verifier. Card [207].
    """

    edit_share: float = 0.0
    num_rollouts: int = field(default=4, metadata=LAZY)
    least_right: float = field(default=0.75, metadata=LAZY)
    gate: bool = field(default=True, metadata=LAZY)
    temperature: float = 1.0
    sneaky_tokens: int = field(default=32, metadata=LAZY)
    critic_tokens: int = field(default=8, metadata=LAZY)
    solver: str = "policy"
    sneaky: str = field(default="sneaky", metadata=LAZY)
    critic: str = field(default="critic", metadata=LAZY)
    separators: str = SEPARATORS

    asks_truth = True  # so a wrong judge misleads it too

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "edit_share": (0 <= self.edit_share <= 1, "in [0, 1]"),
                "num_rollouts": (self.num_rollouts >= 1, "at least 1"),
                "least_right": (0 <= self.least_right <= 1, "in [0, 1]"),
                "temperature": (0 <= self.temperature < float("inf"), "at least 0"),
                "sneaky_tokens": (self.sneaky_tokens >= 1, "at least 1"),
                "critic_tokens": (self.critic_tokens >= 1, "at least 1"),
                "sneaky": (bool(self.sneaky) or self.edit_share == 1, "a role that spoils steps"),
            },
        )

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world can say whether an answer is right."""
        if not any("answer" in getattr(w, "truth", ()) for w in ctx.worlds.values()):
            raise WorldError(
                "SneakyGame asks whether answers are right, which no world here knows",
                hint="--world chain_arithmetic or --world countdown",
            )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        game = _Game(self, ctx, start, is_lesson=self._is_lesson(ctx, start))
        turn = await ctx.say(self.solver, start, temperature=self.temperature)
        answer = Attempt(ctx.attempt_id(start, 0), start, (turn,), turn.stop, turn.speaker)
        (checked,) = await All([ctx.check(start.task, turn.text)])
        spans = steps_of(answer, game.decode, self.separators, self.solver)
        if checked.score < 1 or not spans:
            return [answer]
        step = int(ctx.generator("step", start.key).integers(len(spans)))
        return await game.play(answer, spans, step)

    def _is_lesson(self, ctx: Any, start: Start) -> bool:
        return bool(ctx.generator("lesson", start.key).random() < self.edit_share)


class _Game:
    """One game under way."""

    def __init__(self, part: SneakyGame, ctx: Any, start: Start, is_lesson: bool) -> None:
        self.part, self.ctx, self.start, self.is_lesson = part, ctx, start, is_lesson

    def decode(self, tokens: np.ndarray) -> str:
        return str(self.ctx.decode(self.part.solver, tokens))

    async def play(self, answer: Attempt, spans: Any, step: int) -> list[Attempt]:
        """The attempts of a game about one step of a right answer."""
        part, ctx = self.part, self.ctx
        (turn,) = answer.turns
        first, end = spans[step][1:]
        if part.gate and await self._share(answer, end) < part.least_right:
            return [answer]
        was = self.decode(turn.tokens[first:end])
        body = was.strip(part.separators + " ")
        secret = await self._spoil(answer, spans, step, body)
        if secret is None:  # nothing to edit
            return [answer]
        said = split_steps(secret.text, part.separators)
        spoilt = secret.text[slice(*said[0])] if len(said) == 1 else ""
        is_new = bool(spoilt) and "".join(spoilt.split()) != "".join(body.split())
        turns: tuple[Turn, ...] = (secret,) if part.sneaky else ()
        if not is_new:
            return self._refused(answer, turns)
        tail = was[was.rindex(body) + len(body) :]
        begun = self._with(turn, first, spoilt + tail)
        draft = Attempt(f"{answer.id}/spoilt", self.start, (begun,), StopReason.OPEN)
        ends = await finished(
            ctx,
            draft,
            (0, len(begun.tokens)),
            range(part.num_rollouts if part.gate else 1),
            temperature=part.temperature,
            role=part.solver,
        )
        turns = (*turns, ends[0][0])
        if part.gate and any(score >= 1 for _, score, _ in ends):
            return self._refused(answer, turns)
        whole = Attempt(f"{answer.id}/spoilt", self.start, (ends[0][0],), ends[0][0].stop)
        (found, is_found), (sound, is_sound) = await All(
            [self._read(whole, step), self._read(answer, -1)]
        )
        rewards = {part.critic: is_found, part.sneaky: self.is_lesson or not is_found}
        return [
            self._attempt(0, (turn, sound), turn.stop, {part.critic: is_sound}),
            self._attempt(1, (*turns, found), found.stop, rewards, answer),
        ]

    def _refused(self, answer: Attempt, turns: tuple[Turn, ...]) -> list[Attempt]:
        """The sneaky one has spoilt nothing, and lost; an edit that spoilt nothing is dropped."""
        if self.is_lesson:
            return [answer]
        rewards = {self.part.sneaky: False}
        return [answer, self._attempt(1, turns, StopReason.ILLEGAL, rewards, answer)]

    async def _share(self, answer: Attempt, num_tokens: int) -> float:
        """Right completions behind so many tokens of the answer; all, where nothing is left."""
        part = self.part
        if num_tokens == len(answer.turns[0].tokens):
            return 1.0
        ends = await finished(
            self.ctx,
            answer,
            (0, num_tokens),
            range(part.num_rollouts),
            temperature=part.temperature,
            role=part.solver,
        )
        return sum(score >= 1 for _, score, _ in ends) / len(ends)

    async def _spoil(self, answer: Attempt, spans: Any, step: int, body: str) -> Turn | None:
        """Step `step` said anew: by the sneaky one, or in a lesson by an edit where there is a
        number."""
        part, ctx, task = self.part, self.ctx, self.start.task
        (turn,) = answer.turns
        read = [self.decode(turn.tokens[a:b]) for _, a, b in spans[: step + 1]]
        prompt = spoiling(task.prompt, read)
        asked = Task(f"{answer.id}/spoil", task.family, prompt, None, task.difficulty, task.role)
        start = Start(asked, copy=self.start.copy)
        if not self.is_lesson:
            sampling = Sampling(part.temperature, max_tokens=part.sneaky_tokens)
            said: Turn = await ctx.say(part.sneaky, start, sampling=sampling)
            return said
        rng = ctx.generator("edit", self.start.key)
        edits = [slipped(body, SLIPS[i]) for i in rng.permutation(len(SLIPS))]
        text = next((e for e in edits if e is not None), None)
        if text is None:
            return None
        return self._given(part.sneaky, start, text) if part.sneaky else Turn("", text)

    def _given(self, role: str, start: Start, text: str) -> Turn:
        """What a role is shown to say."""
        ctx = self.ctx
        tokens = np.append(ctx.encode(role, text), ctx.end_token(role)).astype(np.int32)
        origin = np.full(len(tokens), TokenOrigin.GIVEN, np.uint8)
        return Turn(role, text, context=ctx.render(role, start), tokens=tokens, origin=origin)

    def _with(self, turn: Turn, num_tokens: int, text: str) -> Turn:
        """An answer up to a step, and another step in its place, which others go on from."""
        own = self.ctx.encode(self.part.solver, text)
        tokens = np.concatenate([turn.tokens[:num_tokens], own]).astype(np.int32)
        origin = np.full(len(tokens), TokenOrigin.GIVEN, np.uint8)
        role, said = self.part.solver, self.decode(tokens)
        return Turn(
            role, said, context=turn.context, tokens=tokens, origin=origin, stop=StopReason.OPEN
        )

    async def _read(self, attempt: Attempt, wrong: int) -> tuple[Turn, bool]:
        """What the critic says of an answer, and whether it is right: step `wrong` is the first
        wrong one, from 0; -1: none is."""
        part = self.part
        spans = steps_of(attempt, self.decode, part.separators, part.solver)
        start = critic_start(attempt, spans, self.decode)
        if self.is_lesson:
            return self._given(part.critic, start, naming(wrong)), True
        sampling = Sampling(part.temperature, max_tokens=part.critic_tokens)
        said: Turn = await self.ctx.say(part.critic, start, sampling=sampling)
        return said, named(said.text, len(spans)) == wrong + 1

    def _attempt(
        self,
        index: int,
        turns: tuple[Turn, ...],
        stop: StopReason,
        has_won: dict[str, bool],
        parent: Attempt | None = None,
    ) -> Attempt:
        """An attempt with what every role that plays gets for it."""
        return Attempt(
            self.ctx.attempt_id(self.start, index),
            self.start,
            turns,
            stop,
            author="edit" if self.is_lesson else turns[-1].speaker,
            purpose=Purpose.DEMONSTRATION if self.is_lesson else Purpose.TRAIN,
            parents=() if parent is None else (parent.id,),
            rewards={role: 1.0 if won else -1.0 for role, won in has_won.items() if role},
        )
