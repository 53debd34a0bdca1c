"""Tasks from several difficulties in given proportions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import ConfigError
from askesis.records import Start, TaskRole


@dataclass(frozen=True, kw_only=True)
class DifficultyMixed:
    """`num` fresh train tasks a round, their difficulties in given proportions.

    num: tasks a round, at least 1.
    weights: one weight, at least 0, per equal bin of difficulty from easiest to hardest; four
        equal ones by default. Each task's bin is drawn in proportion, and the task is made at
        the bin's middle: (1/8, 3/8, 5/8, 7/8 for four).
    world: name of the world in the plan's table.
    """

    num: int = 256
    weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    world: str = "main"

    def __post_init__(self) -> None:
        if self.num < 1:
            raise ConfigError(
                "DifficultyMixed.num is too small", expected="at least 1", found=str(self.num)
            )
        if not self.weights or min(self.weights) < 0 or not 0 < sum(self.weights) < float("inf"):
            raise ConfigError(
                "DifficultyMixed.weights cannot be proportions",
                expected="finite numbers of at least 0, one of them above 0",
                found=str(self.weights),
            )

    def draw(self, ctx: Any) -> list[Start]:
        """Tasks in random order, so that no later cut favours the easy ones."""
        rng = ctx.generator("difficulties")
        shares = [w / sum(self.weights) for w in self.weights]
        tasks = []
        for index, num in enumerate(rng.multinomial(self.num, shares)):
            if num:
                difficulty = (index + 0.5) / len(self.weights)
                tasks += ctx.draw(
                    TaskRole.TRAIN, int(num), world=self.world, difficulty=difficulty,
                    place=("tasks", index),
                )  # fmt: skip
            ctx.note(f"share_of_bin/{index}", float(num) / self.num)
        return [Start(tasks[i]) for i in rng.permutation(len(tasks))]
