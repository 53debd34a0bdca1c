"""A teacher who knows the way: the world's own solver, who may look at a wrong attempt first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from askesis.errors import WorldError
from askesis.explore.demonstrate import Demonstrate, given_answer
from askesis.records import Attempt, Start


@dataclass(frozen=True, kw_only=True)
class Teach:
    """One right answer a start. Where the start shows a wrong attempt, one that keeps as much of
    it as was right.

    habit: of the demonstrator, where nothing was shown or nothing of it can be kept.
    role: whose turn it is written as; also whose renderer tokenises it.

    Kept is the longest beginning of right steps from which the world can finish in no more steps
    than a plain solution takes (so that nobody is taught a detour). Attempts are demonstrations of
    the author "teacher". Needs a world with step truth that can finish answers; without, where the
    starts show nothing, a demonstrator will do. Source: card [25].
    """

    habit: str = "plain"
    role: str = "policy"

    def on_phase_start(self, ctx: Any) -> None:
        """Raises WorldError where no world of the run can teach at all."""
        if not any({"demonstration", "answer"} & world.truth for world in ctx.worlds.values()):
            raise WorldError(
                "Teach needs a world with solutions or reference answers",
                found=", ".join(world.id for world in ctx.worlds.values()),
                hint="--world countdown, chain_arithmetic, addition or maze",
            )

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        habit, role, wrong = self.habit, self.role, start.privileged
        if wrong is None:
            (shown,) = await Demonstrate(habit=habit, role=role).explore(ctx, start)
            return [replace(shown, author="teacher")]
        world = ctx.world_of(start.task)
        if not hasattr(world, "finish"):
            raise WorldError(
                f"world {world.id!r} cannot go on from what a student has right",
                hint="--lesson failed, or --world countdown, chain_arithmetic, addition or maze",
            )
        text = mended(world, start.task, wrong, ctx.generator("teach", start.key), habit)
        if text is None:
            raise WorldError(f"world {world.id!r} has no solution of {start.task.prompt!r}")
        return [given_answer(ctx, start, role, text, "teacher")]


def mended(world: Any, task: Any, wrong: str, rng: Any, habit: str = "plain") -> str | None:
    """A right answer that begins as `wrong` does, for as long as that leads anywhere."""
    plain = world.demonstrate(task, rng)
    most = len(world.verify(task, plain).steps) if plain is not None else None
    checked = world.verify(task, wrong)
    right = next((i for i, step in enumerate(checked.steps) if step < 1), len(checked.steps))
    for num in range(right, 0, -1):
        done: str | None = world.finish(task, wrong[: checked.spans[num - 1][1]], rng)
        if done is not None and (most is None or len(world.verify(task, done).steps) <= most):
            return done
    whole: str | None = plain if habit == "plain" else world.demonstrate(task, rng, habit)
    return whole
