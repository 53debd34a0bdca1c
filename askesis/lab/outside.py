"""The stage parts outside a run: models, one world, and contexts that reach nothing else.

An explorer or measure asks its `Context` for speech, moves and verdicts. Here such a context stands
on kept snapshots instead of a run, and its noise is named by the task and the place alone: two
snapshots that are asked the same things meet the same noise, and their difference is paired.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from askesis.budget import Meter
from askesis.context import Context
from askesis.driver import Driver, Outcome
from askesis.engines.open import open_engine
from askesis.models.shelf import Shelf
from askesis.plan import RoleSpec
from askesis.records import Purpose
from askesis.rng import Streams
from askesis.speakers import Speakers

AT_ONCE = 1024  # coroutines; of eight attempts each they make batches as `askesis.lab.speech` does


class Outside:
    """What a `Context` needs (`askesis.context.Host`).

    models: role -> the model that speaks for it. world: the only one, as it is, with its truth and
    its claim tasks. engine: the name of an engine. seed: names the noise.
    """

    def __init__(
        self,
        models: Mapping[str, Any],
        world: Any,
        *,
        engine: str = "auto",
        seed: int = 0,
        at_once: int = AT_ONCE,
    ) -> None:
        self.streams, self.meter, self.shelf = Streams(seed), Meter(), Shelf(models)
        self.worlds: Mapping[str, Any] = {"main": world}
        self.models: Mapping[str, Any] = dict(models)
        roles = {role: RoleSpec(model=role, engine=engine) for role in models}
        self.speakers = Speakers(
            roles,
            self.models,
            self.shelf,
            self.meter,
            open_engine,
            lambda start: int(world.max_answer_tokens),
        )
        self.driver = Driver(self.speakers.servers(), at_once)

    def context(self, slot: str) -> Context:
        """A window for one call; `slot` is part of the name of its noise."""
        return Context(
            self, round=0, phase="look", stage="look", slot=slot, purpose=Purpose.MEASURE
        )

    def drive(self, makers: Iterable[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Outcome]:
        return self.driver.run(makers)

    def close(self) -> None:
        self.speakers.close()
