"""What of a world a run may see.

`RunView`: everything but *claim* tasks, which only `askesis.lab` may look at, afterwards.
`Blind`: no truth at all, for recipes that declare they use none: tasks come without answers,
and everything that knows the truth raises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from askesis.errors import TruthError
from askesis.records import NOTHING, Task, TaskRole
from askesis.requests import Checked, Transition

# What a view hands through where the world has it, besides the World protocol.
_OPEN = frozenset(
    {
        *("extract", "list_answers", "initial", "observe", "hardness", "difficulty", "num_tasks"),
        *("step_end", "remark_end", "position"),
    }
)
_OF_A_RUN = _OPEN | {
    *("verify_many", "step", "draw_distinct", "close"),
    *("demonstrate_walk", "actions", "moves_left", "way_back"),
    *("preference", "annotated_pair", "correction"),
    *("states", "finish"),
}


class RunView:
    """A world as a run sees it: train and decide tasks, with their truth."""

    def __init__(self, world: Any) -> None:
        self._world = world

    @property
    def id(self) -> str:
        return str(self._world.id)

    @property
    def truth(self) -> frozenset[str]:
        return frozenset(self._world.truth)

    @property
    def num_canonical(self) -> int | None:
        return self._world.num_canonical  # type: ignore[no-any-return]

    @property
    def max_answer_tokens(self) -> int:
        return int(self._world.max_answer_tokens)

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """As the world's. Raises TruthError for claim tasks."""
        _refuse_claim(self.id, role)
        return list(self._world.draw(TaskRole(role), rng, num, difficulty))

    def draw_distinct(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """As the world's. Raises TruthError for claim tasks."""
        _refuse_claim(self.id, role)
        return list(self._world.draw_distinct(TaskRole(role), rng, num, difficulty))

    def canonical(self, task: Task) -> str:
        return str(self._world.canonical(task))

    def verify(self, task: Task, answer: str) -> Checked:
        """As the world's. Raises TruthError for a claim task, wherever it came from."""
        _refuse_claim(self.id, task.role)
        checked: Checked = self._world.verify(task, answer)
        return checked

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", **options: Any
    ) -> str | None:
        _refuse_claim(self.id, task.role)
        text: str | None = self._world.demonstrate(task, rng, habit, **options)
        return text

    def __getattr__(self, name: str) -> Any:
        if name in _OF_A_RUN:
            return getattr(self._world, name)
        raise AttributeError(f"a run's view of a world has no {name!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.id}>"


class Blind:
    """A world without its truth: problems, a way to read answers, and nothing that judges them."""

    truth: frozenset[str] = frozenset()

    def __init__(self, world: Any) -> None:
        self._world = world

    @property
    def id(self) -> str:
        return str(self._world.id)

    @property
    def num_canonical(self) -> int | None:
        return self._world.num_canonical  # type: ignore[no-any-return]

    @property
    def max_answer_tokens(self) -> int:
        return int(self._world.max_answer_tokens)

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """Tasks without answers. Raises TruthError for claim tasks."""
        _refuse_claim(self.id, role)
        return [t.without_truth() for t in self._world.draw(TaskRole(role), rng, num, difficulty)]

    def draw_distinct(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """Different tasks without answers. Raises TruthError for claim tasks."""
        _refuse_claim(self.id, role)
        drawn = self._world.draw_distinct(TaskRole(role), rng, num, difficulty)
        return [t.without_truth() for t in drawn]

    def canonical(self, task: Task) -> str:
        return str(self._world.canonical(task))

    def verify(self, task: Task, answer: str) -> Checked:
        """Raises TruthError."""
        self._refuse("verify an answer")

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", **options: Any
    ) -> str | None:
        """Raises TruthError."""
        self._refuse("demonstrate a solution")

    def step(self, task: Task, state: Any, action: Any, seat: int = 0) -> Transition:
        """The world's answer to an action, with its rewards taken out."""
        transition: Transition = self._world.step(task, state, action, seat)
        return replace(transition, rewards=NOTHING)

    def _refuse(self, what: str) -> NoReturn:
        raise TruthError(
            f"the recipe declares that it uses no truth, so world {self.id!r} does not {what}",
            hint='declare truth="answers" in the plan, or use a judge that needs none',
        )

    def __getattr__(self, name: str) -> Any:
        if name in _OPEN - {"hardness"}:  # how hard a task is may be counted on its answer
            return getattr(self._world, name)
        raise AttributeError(f"a world without truth has no {name!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.id}>"


def _refuse_claim(world: str, role: TaskRole | str) -> None:
    if TaskRole(role) is TaskRole.CLAIM:
        raise TruthError(
            f"claim tasks of world {world!r} cannot be read inside a run",
            hint="`askesis eval RUN --role claim` looks at them afterwards",
        )
