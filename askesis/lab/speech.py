"""Asking one model, outside a run: attempts at tasks and their verdicts.

The same requests, speakers and engines as inside a run, so what is evaluated is what was
trained. Noise is named by task and attempt alone: two snapshots that are asked the same things
meet the same noise, and their difference is paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from askesis.budget import Meter
from askesis.engines.open import open_engine
from askesis.models.shelf import Shelf
from askesis.plan import RoleSpec
from askesis.records import Purpose, Start, StopReason, Task
from askesis.requests import Check, Sampling, Say
from askesis.rng import Streams
from askesis.speakers import Speakers, check

ROWS_AT_ONCE = 8192  # bounds memory; caches are kept between chunks


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: its text, why it ended, its length in tokens, and its score in [0, 1].

    `error` says in one line why there is no answer (a prompt longer than the context, ...).
    """

    text: str
    stop: StopReason
    num_tokens: int
    score: float
    why: str = ""
    error: str = ""


class Answerer:
    """Asks a model for answers under fixed noise.

    engine: the name of an engine ("auto"). allowance: tokens for one answer.
    """

    def __init__(self, model: Any, *, engine: str = "auto", allowance: int = 256) -> None:
        models = {model.name: model}
        self.meter = Meter()
        self.speakers = Speakers(
            {"policy": RoleSpec(model=model.name, engine=engine)},
            models,
            Shelf(models),
            self.meter,
            open_engine,
            lambda start: allowance,
        )

    def answers(
        self,
        world: Any,
        tasks: Sequence[Task],
        *,
        num_attempts: int,
        sampling: Sampling,
        seed: int,
    ) -> Iterator[tuple[int, list[Said]]]:
        """(index of the task, its answers) in the order of the tasks.

        world: verifies the answers; None leaves every score at 0.
        """
        streams = Streams(seed)
        per_chunk = max(1, ROWS_AT_ONCE // num_attempts)
        for begin in range(0, len(tasks), per_chunk):
            part = tasks[begin : begin + per_chunk]
            asked = [
                Say("policy", start, (), sampling, streams.key(start.task.id, i), Purpose.MEASURE)
                for start in map(Start, part)
                for i in range(num_attempts)
            ]
            turns = self.speakers.say(asked)
            said = self._judged(world, [r.start.task for r in asked], turns)
            for i in range(len(part)):
                yield begin + i, said[i * num_attempts : (i + 1) * num_attempts]

    def _judged(self, world: Any, tasks: list[Task], turns: list[Any]) -> list[Said]:
        spoken = [i for i, t in enumerate(turns) if not isinstance(t, Exception)]
        scores: dict[int, Any] = {}
        if world is not None:
            asked = [Check(world, tasks[i], turns[i].text) for i in spoken]
            scores = dict(zip(spoken, check(asked), strict=True))
        found = []
        for i, turn in enumerate(turns):
            if isinstance(turn, Exception):
                found.append(Said("", StopReason.FAILED, 0, 0.0, error=str(turn)))
                continue
            checked = scores.get(i)
            if isinstance(checked, Exception):
                error = f"the verifier failed: {type(checked).__name__}: {checked}"
                found.append(Said(turn.text, turn.stop, len(turn.tokens), 0.0, error=error))
            else:
                score, why = (checked.score, checked.why) if checked is not None else (0.0, "")
                found.append(Said(turn.text, turn.stop, len(turn.tokens), score, why))
        return found

    def close(self) -> None:
        self.speakers.close()


def close_world(world: Any) -> None:
    """End the worker processes of a world that has some."""
    close = getattr(world, "close", None)
    if close is not None:
        close()
