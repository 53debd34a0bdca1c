"""The base of procedural worlds: say how one problem is made, written and checked.

A subclass gives `id`, `generate`, `canonical` and `verify`, usually `demonstrate`; everything
about roles, ids and drawing without overlap is here. docs/add-a-world.md makes one from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.errors import WorldError
from askesis.records import Task, TaskRole
from askesis.requests import Checked
from askesis.worlds.roles import FRACTIONS, role_of, short_hash

HABITS = ("plain", "verify", "backtrack", "sub_goal", "filler")

# Generated problems per wanted task before giving up; a role with a share of 8 % needs 12.5 on
# average, a small space at an easy difficulty more.
_TRIES_PER_TASK = 400
_TRIES_AT_LEAST = 20_000
_MISSES_PER_SLICE = 200


class Family:
    """A world whose problems are made by a program.

    Class attributes a subclass sets: `id` ("name-v1"; the version rises when scores could
    change), `truth` (what it knows, see `askesis.protocols.World`), `num_canonical` (how many
    different problems over all difficulties, None for more than 10**9), `max_answer_tokens`.

    difficulty: pins every draw that names none to one difficulty in [0, 1]; it then shows in
    the id. Raises WorldError where it is outside.
    """

    id: str = ""
    truth: frozenset[str] = frozenset({"answer"})
    num_canonical: int | None = None
    max_answer_tokens: int = 64

    def __init__(self, difficulty: float | None = None) -> None:
        if difficulty is not None and not 0.0 <= difficulty <= 1.0:
            raise WorldError(
                f"difficulty of world {self.id!r}",
                expected="a number from 0 (easiest) to 1",
                found=str(difficulty),
            )
        self.difficulty = difficulty
        if difficulty is not None:
            self.id = f"{type(self).id}?difficulty={difficulty:g}"
            self.num_canonical = self.count(difficulty)

    # ------------------------------------------------------------ for subclasses to fill in

    def generate(self, rng: np.random.Generator, difficulty: float) -> Task:
        """One problem of a difficulty in [0, 1], made with `self.task(...)`; its role is
        decided afterwards."""
        raise NotImplementedError

    def canonical(self, task: Task) -> str:
        """A form equal for tasks that are the same problem. The default is the prompt."""
        return task.prompt

    def verify(self, task: Task, answer: str) -> Checked:
        """Score an answer in [0, 1]. Hostile text: start with
        `askesis.text.limits.unreadable`, then parse; never evaluate."""
        raise NotImplementedError

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """A worked answer in a habit of writing (one of HABITS), right or plausibly wrong; None
        where this world has none."""
        return None

    def hardness(self, task: Task) -> float:
        """Something that can be counted about a task and should grow with its difficulty."""
        return float(len(task.answer or task.prompt))

    def extract(self, answer: str) -> str:
        """The final answer that a text gives, in canonical form, read without any truth (for
        votes); "" where it gives none."""
        from askesis.text.answers import canonical_answer

        return canonical_answer(answer)

    def count(self, difficulty: float) -> int | None:
        """How many different problems one difficulty has, where that is known."""
        return self.num_canonical

    # ------------------------------------------------------------ what subclasses get

    def task(
        self,
        prompt: str,
        answer: str | None = None,
        *,
        difficulty: float = 0.0,
        data: Mapping[str, Any] | None = None,
    ) -> Task:
        """A task of this world. `data` holds plain JSON values; keys that begin with "truth"
        are taken away where a recipe may not see the truth."""
        return Task("", self.id, prompt, answer, float(difficulty), data=dict(data or {}))

    def named(self, task: Task) -> Task:
        """A task with the id and role that follow from its canonical form."""
        canonical = self.canonical(task)
        return replace(
            task, id=f"{self.id}:{short_hash(canonical)}", role=role_of(self.id, canonical)
        )

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` tasks of a role, independent of each other (so one may come twice).

        At a difficulty, or spread evenly over [0, 1] where it is None. Raises WorldError where
        the role cannot be filled within a bounded number of tries.
        """
        return self._draw(role, rng, num, difficulty, distinct=False)

    def draw_distinct(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` tasks of a role with no two the same problem, for evaluation sets.

        Raises WorldError at once where the world says it has too few, and after a bounded
        number of tries where it turns out so.
        """
        role = TaskRole(role)
        there_are = self.num_canonical if difficulty is None else self.count(difficulty)
        if there_are is not None and num > there_are * FRACTIONS[role]:
            raise WorldError(
                f"world {self.id!r} cannot give {num} different {role.value} tasks",
                expected=f"at most about {int(there_are * FRACTIONS[role])} "
                f"({FRACTIONS[role]:.0%} of {there_are})",
                hint="ask for fewer tasks or a wider range of difficulties",
            )
        return self._draw(role, rng, num, difficulty, distinct=True)

    def _draw(
        self,
        role: TaskRole,
        rng: np.random.Generator,
        num: int,
        difficulty: float | None,
        distinct: bool,
    ) -> list[Task]:
        role = TaskRole(role)
        difficulty = self.difficulty if difficulty is None else difficulty
        if difficulty is not None and not 0.0 <= difficulty <= 1.0:
            raise WorldError(
                "difficulty of a draw", expected="0 (easiest) to 1", found=str(difficulty)
            )
        tasks: list[Task] = []
        seen: set[str] = set()
        tries_left = max(_TRIES_AT_LEAST, _TRIES_PER_TASK * num)
        misses, patience = 0, _MISSES_PER_SLICE
        while len(tasks) < num and tries_left > 0:
            tries_left -= 1
            wanted = difficulty
            if wanted is None:
                # one slice of [0, 1] per task, kept until filled, so that every role sees the
                # same mix; where a slice has run out of different tasks, any difficulty will do
                wanted = (len(tasks) + rng.random()) / num
                wanted = rng.random() if misses > patience else wanted
            made = self.generate(rng, wanted)
            canonical = self.canonical(made)
            if role_of(self.id, canonical) is not role or (distinct and canonical in seen):
                misses += 1
                continue
            # a slice that ran out is given up sooner the next time, one that did not later
            patience = (
                max(8, patience // 2) if misses > patience else min(_MISSES_PER_SLICE, 2 * patience)
            )
            misses = 0
            seen.add(canonical)
            tasks.append(replace(made, id=f"{self.id}:{short_hash(canonical)}", role=role))
        if len(tasks) < num:
            kind = "different " if distinct else ""
            raise WorldError(
                f"world {self.id!r} cannot give {num} {kind}{role.value} tasks",
                found=f"{len(tasks)} in {max(_TRIES_AT_LEAST, _TRIES_PER_TASK * num)} tries",
                hint="ask for fewer tasks or a wider range of difficulties",
            )
        if difficulty is None:  # made from easy to hard: an even spread, in random order
            tasks = [tasks[int(i)] for i in rng.permutation(num)]
        return tasks

    def __repr__(self) -> str:
        return f"<world {self.id}>"


def no_habit(world: str, habit: str) -> WorldError:
    """The error for a habit that a demonstrator does not have."""
    from askesis.errors import nearest

    return WorldError(f"world {world!r} has no habit {habit!r}", hint=nearest(habit, HABITS))
