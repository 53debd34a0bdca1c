"""Tasks drawn alike: fresh from the world every round, or again and again from a fixed pool."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from askesis.errors import ConfigError, WorldError
from askesis.records import Start, Task, TaskRole
from askesis.rng import Streams, key


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """`num` train tasks a round.

    num: tasks a round, at least 1; 256 makes a round of a few seconds with the tiny model.
    world: name of the world in the plan's table.
    difficulty: in [0, 1], or None for the world's own spread over all difficulties.
    pool_size: 0 draws fresh tasks every round; above 0, that many different tasks (by the
        world's canonical form) are drawn once, and every pass goes through all of them in a new
        order before any comes again. Only where the passes stand is state, so a resumed run goes
        on in the middle of a pass.
    pool_seed: None draws the pool from the run's seed; a number draws the same pool in every
        run (0 is the pool whose first tasks the default warm start demonstrates). The order of
        the passes is the run's own either way.
    """

    num: int = 256
    world: str = "main"
    difficulty: float | None = None
    pool_size: int = 0
    pool_seed: int | None = field(default=None, metadata={"lazy": True})

    def __post_init__(self) -> None:
        if self.num < 1:
            raise ConfigError(
                "Uniform.num is too small", expected="at least 1", found=str(self.num)
            )
        if self.pool_size < 0:
            raise ConfigError(
                "Uniform.pool_size is negative", expected="0 (fresh tasks) or more",
                found=str(self.pool_size),
            )  # fmt: skip
        _in_unit("Uniform.difficulty", self.difficulty)

    def init(self, ctx: Any) -> dict[str, Any]:
        """{"pool", "order": keys of the pool and of its passes; "drawn": tasks taken so far}."""
        pool = ctx.key("pool") if self.pool_seed is None else pool_key(self.pool_seed)
        return {"pool": pool, "order": ctx.key("order"), "drawn": 0}

    def draw(self, ctx: Any) -> list[Start]:
        """Raises WorldError where the world has fewer different tasks than the pool wants."""
        if not self.pool_size:
            tasks = ctx.draw(TaskRole.TRAIN, self.num, world=self.world, difficulty=self.difficulty)
            return [Start(task) for task in tasks]
        pool = self._pool(ctx)
        # A second call in one round continues where the first one stopped.
        earlier = int(ctx.slot.partition("~")[2] or 1) - 1
        first = ctx.state["drawn"] + earlier * self.num
        streams = Streams(ctx.state["order"])
        orders: dict[int, Any] = {}
        starts = []
        for place in range(first, first + self.num):
            epoch, offset = divmod(place, len(pool))
            if epoch not in orders:
                orders[epoch] = streams.generator("epoch", epoch).permutation(len(pool))
            starts.append(Start(pool[orders[epoch][offset]]))
        return starts

    def observe(self, ctx: Any, state: dict[str, Any], view: Any) -> dict[str, Any]:
        """Counts what this round took from the pool."""
        if not self.pool_size or not view.starts:
            return state
        ids = {task.id for task in self._pool(ctx)}
        return {**state, "drawn": state["drawn"] + sum(s.task.id in ids for s in view.starts)}

    def _pool(self, ctx: Any) -> list[Task]:
        world, pool = ctx.world(self.world), ctx.state["pool"]
        place = (id(world), pool, self.pool_size, self.difficulty)
        if place not in _POOLS:
            _POOLS[place] = (world, distinct_tasks(world, pool, self.pool_size, self.difficulty))
            while len(_POOLS) > 4:
                _POOLS.popitem(last=False)
        return _POOLS[place][1]


POOL_CHUNK = 128  # tasks drawn at a time; equal for all sizes, or pools would not nest

# Pools are a pure function of world and key; drawing 4,096 tasks anew every round would be waste.
# The world is kept with its pool so that its id cannot be given to another one.
_POOLS: OrderedDict[tuple[Any, ...], tuple[Any, list[Task]]] = OrderedDict()


def pool_key(pool_seed: int) -> int:
    """The key of a pool that does not depend on the run."""
    return key("pool", pool_seed)


def distinct_tasks(world: Any, pool: int, num: int, difficulty: float | None) -> list[Task]:
    """`num` train tasks that differ in canonical form; the first of a longer list are a shorter
    one. Raises WorldError where the world does not seem to have so many."""
    rng = Streams(pool).generator("pool")
    found: dict[str, Task] = {}
    barren = 0
    while len(found) < num and barren < 8:
        before = len(found)
        for task in world.draw(TaskRole.TRAIN, rng, POOL_CHUNK, difficulty):
            found.setdefault(world.canonical(task), task)
        barren = barren + 1 if len(found) == before else 0
    if len(found) < num:
        raise WorldError(
            f"world {world.id!r} cannot fill a pool of {num} different train tasks",
            found=f"{len(found)} of them",
            hint=f"--tasks.pool-size {max(1, len(found))} or less, or another difficulty",
        )
    return list(found.values())[:num]


def _in_unit(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ConfigError(f"{name} is out of range", expected="in [0, 1] or none", found=str(value))
