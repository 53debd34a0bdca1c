"""Searching outside a run: trees of one model at tasks, for looking at and for trying options."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from askesis.budget import Meter
from askesis.context import Context
from askesis.driver import Driver, Outcome
from askesis.engines.open import open_engine
from askesis.models.shelf import Shelf
from askesis.plan import RoleSpec
from askesis.records import Group, Purpose, Start, Task
from askesis.rng import Streams
from askesis.speakers import Speakers


def searched(
    explorer: Any,
    model: Any,
    world: Any,
    tasks: Sequence[Task],
    *,
    engine: str = "auto",
    seed: int = 0,
) -> list[Group]:
    """What an explorer finds at each task, all of them at once; a search's groups carry trees.

    model: an entry of the table of models (`askesis.models.load.open_model`, `ScriptedModel`, ...),
    which speaks for the role "policy". The same requests, speakers and engines as inside a run;
    noise is named by seed and task. Raises what the first failed task raised.
    """
    models, meter = {model.name: model}, Meter()
    speakers = Speakers(
        {"policy": RoleSpec(model=model.name, engine=engine)},
        models,
        Shelf(models),
        meter,
        open_engine,
        lambda start: int(world.max_answer_tokens),
    )
    driver = Driver(speakers.servers())

    def drive(makers: Iterable[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Outcome]:
        return driver.run(makers)

    host: Any = SimpleNamespace(
        streams=Streams(seed),
        worlds={"main": world},
        models=models,
        shelf=speakers.shelf,
        meter=meter,
        speakers=speakers,
        drive=drive,
    )
    ctx = Context(
        host, round=0, phase="searched", stage="explore", slot="explore", purpose=Purpose.PROBE
    )
    try:
        found = drive([lambda t=t: explorer.explore(ctx, Start(t)) for t in tasks])  # type: ignore[misc]
    finally:
        speakers.close()
    for outcome in found:
        if outcome.error is not None:
            raise outcome.error
    groups = [o.value for o in found]
    return [
        g if isinstance(g, Group) else Group(t.id, tuple(g))
        for g, t in zip(groups, tasks, strict=True)
    ]
