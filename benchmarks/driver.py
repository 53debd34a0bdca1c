"""What the driver itself costs: microseconds a turn, and its share of rounds of native sampling.

    python -m benchmarks.driver [--repeats 5]

First coroutines of several shapes against servers that answer at once, so that nothing is left
but the driver (and a few bytecodes of the coroutines). Then two real rounds of exploring with the
tiny model on the native engine: 2,048 attempts of one turn, and 256 walks of 16 moves. There the
time is split into the engine, the speakers around it (rendering, turns, counting), the world, and
the rest: driver and explorer. The driver's own part of that rest is what the first table says for
as many requests.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from askesis.driver import Driver
from askesis.explore.sample import SampleAttempts
from askesis.explore.walk import Walk
from askesis.models.tiny import tiny_model
from askesis.records import Start, Task
from askesis.requests import All, Request, Say, Step
from benchmarks.machine import write

TURNS = 64
COROUTINES = (16, 256, 4096)
ATTEMPTS, PROMPT, NEW = 8, 24, 48


@dataclass(frozen=True, slots=True)
class Spoken(Request):
    """Stands for a Say."""


@dataclass(frozen=True, slots=True)
class Moved(Request):
    """Stands for a Step."""


SPOKEN, MOVED = Spoken(), Moved()


async def one_by_one(turns: int) -> None:
    for _ in range(turns):
        await SPOKEN


async def say_and_step(turns: int) -> None:
    for _ in range(turns // 2):
        await SPOKEN
        await MOVED


async def eight_at_a_time(turns: int) -> None:
    for _ in range(turns // 8):
        await All([SPOKEN] * 8)


async def four_walks(turns: int) -> None:
    await All([say_and_step(turns // 4) for _ in range(4)])


async def tree(turns: int) -> None:
    """Levels of four short coroutines with two requests each: the most driver for a request."""
    for _ in range(turns // 8):
        await All([one_by_one(2) for _ in range(4)])


SHAPES: tuple[Callable[[int], Coroutine[Any, Any, None]], ...] = (
    one_by_one,
    say_and_step,
    eight_at_a_time,
    four_walks,
    tree,
)


def at_once(requests: list[Any]) -> list[None]:
    return [None] * len(requests)


def microseconds(
    shape: Callable[[int], Coroutine[Any, Any, None]], num: int, repeats: int
) -> float:
    """Processor time of one request in the best of several runs, with the collector at rest."""
    found = []
    for _ in range(repeats):
        driver = Driver({Spoken: at_once, Moved: at_once}, max_running=num)
        makers = [lambda: shape(TURNS)] * num
        gc.collect()
        gc.disable()
        began = time.process_time()
        driver.run(makers)
        found.append((time.process_time() - began) / driver.num_requests)
        gc.enable()
    return 1e6 * min(found)


class Clock:
    """Seconds spent in a wrapped function, and how often it was called."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        self.inner, self.seconds = inner, 0.0

    def __call__(self, *given: Any) -> Any:
        began = time.perf_counter()
        try:
            return self.inner(*given)
        finally:
            self.seconds += time.perf_counter() - began


def explored(part: Any, starts: list[Start], world: Any, repeats: int) -> dict[str, float]:
    """Where the time of one round of exploring goes, in seconds; medians over repeats."""
    from tests.explore.host import Host

    rounds: list[dict[str, float]] = []
    host = Host({"policy": tiny_model()}, world)
    engine = host.speakers.voice("policy").engine
    for number in range(repeats + 1):
        host.speakers.clear()
        inner = type(engine).say.__get__(engine)
        engine.say = in_engine = Clock(inner)
        servers = host.speakers.servers()
        speaking, stepping = Clock(servers[Say]), Clock(servers[Step])
        host.driver = Driver({**servers, Say: speaking, Step: stepping})
        ctx = host.context(round=number)
        gc.collect()
        gc.disable()
        began = time.perf_counter()
        outcomes = host.drive([lambda s=s, c=ctx: part.explore(c, s) for s in starts])  # type: ignore[misc]
        seconds = time.perf_counter() - began
        gc.enable()
        errors = [o.error for o in outcomes if o.error is not None]
        if errors:
            raise errors[0]
        rounds.append(
            {
                "seconds": seconds,
                "requests": host.driver.num_requests,
                "batches": host.driver.num_batches,
                "engine_s": in_engine.seconds,
                "speakers_s": speaking.seconds - in_engine.seconds,
                "world_s": stepping.seconds,
                "rest_s": seconds - speaking.seconds - stepping.seconds,
            }
        )
    return {key: statistics.median(r[key] for r in rounds[1:]) for key in rounds[0]}


def rounds() -> dict[str, tuple[Any, list[Start], Any, str]]:
    """name -> explorer, starts, world, the shape whose cost a request has."""
    from tests.explore.host import Corridor, Sums

    prompt = "x" * (PROMPT - 2)  # the renderer adds two marks
    tasks = [Task(f"sums:{i}", Sums.id, f"{i:03d}{prompt[3:]}") for i in range(256)]
    walks = [Start(Corridor().make(9), tag=str(i)) for i in range(64)]
    return {
        "2,048 attempts of 48 tokens": (
            SampleAttempts(num_attempts=ATTEMPTS, max_tokens=NEW),
            [Start(task) for task in tasks],
            Sums(),
            "eight_at_a_time",
        ),
        "256 walks of 16 moves of 4 tokens": (
            Walk(num_attempts=4, max_steps=16, max_tokens=4, illegal="observe"),
            walks,
            Corridor(),
            "four_walks",
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    costs = {
        shape.__name__: {str(n): round(microseconds(shape, n, repeats), 3) for n in COROUTINES}
        for shape in SHAPES
    }
    print(
        f"{'microseconds a request':24s}"
        + "".join(f"{n:>9,d}" for n in COROUTINES)
        + "  coroutines"
    )
    for name, row in costs.items():
        print(f"{name.replace('_', ' '):24s}" + "".join(f"{us:9.2f}" for us in row.values()))
    figures: dict[str, Any] = {"microseconds_a_request": costs, "rounds": {}}
    for name, (part, starts, world, shape) in rounds().items():
        found = explored(part, starts, world, repeats)
        driver_s = 1e-6 * costs[shape]["256"] * found["requests"]
        found = {key: round(value, 4) for key, value in found.items()}
        shares = {
            "engine_share": found["engine_s"] / found["seconds"],
            "speakers_share": found["speakers_s"] / found["seconds"],
            "world_share": found["world_s"] / found["seconds"],
            "rest_share": found["rest_s"] / found["seconds"],
            "driver_share": driver_s / found["seconds"],
        }
        figures["rounds"][name] = found | {k: round(v, 5) for k, v in shares.items()}
        print(f"{name}: {found['seconds']:.2f} s, {found['requests']:,.0f} requests")
        print(
            "  "
            + "  ".join(f"{k.removesuffix('_share')} {100 * v:.2f} %" for k, v in shares.items())
        )
    print(
        "written to", write("driver", figures, f"python -m benchmarks.driver --repeats {repeats}")
    )


if __name__ == "__main__":
    main()
