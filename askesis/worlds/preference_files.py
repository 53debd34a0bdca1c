"""pairs:PATH: preferences from files, and how to write such a file from a world.

A file has one JSON object a line:

    {"prompt": "dbka", "chosen": "kabd", "rejected": "bdka"}

Several lines may share a prompt; a prompt is a task. The world knows which of two answers was
preferred and no more: it declares "preference" and gives every answer the score 0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from askesis.errors import WorldError
from askesis.records import Task, TaskRole
from askesis.requests import Checked
from askesis.worlds.question_files import JsonLines, question_files
from askesis.worlds.roles import role_of, short_hash

_FAMILY = "pairs"


class PreferencePairs:
    """Prompts with a chosen and a rejected answer. All of it is held in memory.

    pairs: (prompt, chosen, rejected). id: the world's name. max_answer_tokens: allowance for an
    answer. Made by `open_pairs`, which also says where a bad pair stands.
    """

    truth = frozenset({"preference"})

    def __init__(
        self, pairs: Sequence[tuple[str, str, str]], id: str, max_answer_tokens: int
    ) -> None:
        self.id, self.max_answer_tokens = id, max_answer_tokens
        self._pairs: dict[str, list[tuple[str, str]]] = {}
        for prompt, chosen, rejected in pairs:
            self._pairs.setdefault(prompt, []).append((chosen, rejected))
        self.num_pairs, self.num_canonical = len(pairs), len(self._pairs)
        self._of_role: dict[TaskRole, list[str]] = {role: [] for role in TaskRole}
        for prompt in self._pairs:
            self._of_role[role_of(_FAMILY, prompt)].append(prompt)

    @property
    def num_tasks(self) -> dict[str, int]:
        """Prompts by role."""
        return {role.value: len(found) for role, found in self._of_role.items()}

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` tasks of a role. None comes twice before all have come once.

        Raises WorldError where the role has no prompt, or a difficulty is asked for.
        """
        role = TaskRole(role)
        prompts = self._of_role[role]
        if difficulty is not None:
            raise WorldError(f"world {self.id!r} has no difficulties", hint="leave difficulty out")
        if not prompts:
            raise WorldError(
                f"none of the {len(self._pairs)} prompts of world {self.id!r} has the role "
                f"{role.value}",
                expected="some hundreds of prompts, so that every role gets some",
            )
        picked: list[int] = []
        while len(picked) < num:
            picked += [int(i) for i in rng.permutation(len(prompts))[: num - len(picked)]]
        return [self._task(prompts[i], role) for i in picked]

    def draw_distinct(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` different tasks of a role. Raises WorldError where there are fewer."""
        there_are = len(self._of_role[TaskRole(role)])
        if num > there_are:
            raise WorldError(
                f"world {self.id!r} cannot give {num} different {TaskRole(role).value} tasks",
                expected=f"at most {there_are}",
            )
        return self.draw(role, rng, num, difficulty)

    def _task(self, prompt: str, role: TaskRole) -> Task:
        return Task(
            f"{_FAMILY}:{short_hash(prompt)}", self.id, prompt, role=role, origin=f"data:{self.id}"
        )

    def canonical(self, task: Task) -> str:
        """The prompt."""
        return task.prompt

    def verify(self, task: Task, answer: str) -> Checked:
        """Always 0: which of two answers is better is known, not how good one is."""
        return Checked(0.0, "a file of preferences gives no scores")

    def demonstrate(self, task: Task, rng: np.random.Generator, habit: str = "plain") -> str | None:
        """One of the prompt's chosen answers; None for every habit but "plain"."""
        if habit != "plain" or task.prompt not in self._pairs:
            return None
        return self.annotated_pair(task, rng)[0]

    def annotated_pair(
        self, task: Task, rng: np.random.Generator, num_votes: int = 1
    ) -> tuple[str, str, float]:
        """One of the prompt's pairs, the chosen answer first, and 1.0, because all votes are the
        file's."""
        pairs = self._pairs[task.prompt]
        return (*pairs[int(rng.integers(len(pairs)))], 1.0)

    def __repr__(self) -> str:
        return f"<world {self.id}: {self.num_pairs} pairs>"


def open_pairs(
    path: str,
    *,
    prompt: str = "prompt",
    chosen: str = "chosen",
    rejected: str = "rejected",
    max_answer_tokens: int | None = None,
) -> PreferencePairs:
    """The world of preference files: one file, a folder or a pattern.

    prompt, chosen, rejected: names of the columns. Raises WorldError with the line for a file that
    cannot be read, an answer that is empty, and a pair whose answers are the same.
    """
    files = question_files(path, "jsonl")
    pairs: list[tuple[str, str, str]] = []
    digests = []
    for file in files:
        found, digest = _read(file, prompt, chosen, rejected)
        pairs += found
        digests.append(digest)
    if not pairs:
        raise WorldError(f"{path} holds no pair", expected="one JSON object a pair")
    longest = max(len(answer.encode()) for _, *answers in pairs for answer in answers)
    name = f"{_FAMILY}:{files[0].stem}:{short_hash(''.join(digests))}"
    return PreferencePairs(pairs, name, max_answer_tokens or longest + 1)


def _read(
    file: Path, prompt: str, chosen: str, rejected: str
) -> tuple[list[tuple[str, str, str]], str]:
    one, other = JsonLines(file, prompt, chosen), JsonLines(file, prompt, rejected)
    pairs = []
    try:
        for number, (better, worse) in enumerate(zip(one, other, strict=True), start=1):
            if better.answer.strip() == worse.answer.strip():
                raise WorldError(
                    f"pair {number} of {file} prefers an answer to itself",
                    expected=f"different texts in {chosen!r} and {rejected!r}",
                    found=repr(better.answer[:40]),
                    hint="Take such lines out; they teach nothing",
                )
            pairs.append((better.question, better.answer, worse.answer))
    except WorldError as error:
        if "has no column" not in error.what:
            raise
        hint = "Name the columns: ?prompt=COLUMN&chosen=COLUMN&rejected=COLUMN"
        raise WorldError(error.what, found=error.found, hint=hint) from None
    return pairs, one.digest


def write_pairs(path: Path | str, world: Any, num: int, seed: int = 0, num_votes: int = 1) -> int:
    """Write `num` preferences of a world that has them as a file for `pairs:PATH`.

    Only train tasks are written, so what learns from the file has never seen a task that decides or
    that a claim is made on. num_votes: annotators a pair, of which the majority counts; pairs with
    as many votes for both are drawn again. Returns the number of pairs written.
    """
    rng = np.random.default_rng(seed)
    lines: list[str] = []
    while len(lines) < num:
        for task in world.draw(TaskRole.TRAIN, rng, num - len(lines)):
            chosen, rejected, share = world.annotated_pair(task, rng, num_votes)
            if share > 0.5:
                pair = {"prompt": task.prompt, "chosen": chosen, "rejected": rejected}
                lines.append(json.dumps(pair, ensure_ascii=False))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)
