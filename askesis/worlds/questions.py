"""jsonl:PATH and parquet:PATH, worlds made of a file's questions and answers.

PATH is a file, a folder or a pattern ("data/*.jsonl"). Options, as "?name=value&...":
question, answer (columns), kind (auto | exact | numeric | choice | math), suffix (text put behind
every question), max_answer_tokens.

Of an answer like GSM8K's ("... so she earns 9 * 2 = $18\\n#### 18") the marked end is the answer
and the whole a demonstration; an answer that is only an answer has none. A question that comes
twice counts once. Roles follow from the question's text alone, so the same question has the
same role in every file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from askesis.errors import WorldError, nearest
from askesis.records import Task, TaskRole
from askesis.requests import Checked
from askesis.text.answers import (
    KINDS,
    canonical_answer,
    choice_letter,
    even,
    guess_kind,
    marked_answer,
    same_answer,
)
from askesis.text.limits import unreadable
from askesis.text.rationals import parse_number
from askesis.worlds.question_files import JsonLines, ParquetRows, Row, question_files
from askesis.worlds.roles import digest, role_of, short_hash

_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>")  # GSM8K's annotations, made for a calculator
_FAMILY = "questions"  # what roles are hashed with: not the file
_ROLES = (TaskRole.TRAIN, TaskRole.DECIDE, TaskRole.CLAIM)
_WINDOW_FRACTION = 0.1  # of a role's tasks: those nearest in difficulty that a draw picks from


class Questions:
    """A world over question files; see the head of this file.

    `num_tasks` says how many different questions each role has, `num_duplicates` how many rows
    were left out. difficulty is the rank of a question by the length of its answer as it stands
    in the file (of the question, where answers are bare).
    """

    def __init__(
        self,
        files: Sequence[JsonLines | ParquetRows],
        name: str,
        *,
        kind: str = "auto",
        suffix: str = "",
        max_answer_tokens: int | None = None,
    ) -> None:
        self.kind, self.suffix = kind, suffix
        self._files = list(files)
        self._name = name
        self._index()
        content = digest(*(f.digest for f in self._files), kind, suffix, num_bytes=4).hex()
        self.id = f"{name}-{content}-v1"
        self.num_canonical: int | None = len(self._places)
        self.truth = frozenset({"answer", "demonstration"} if self._num_worked else {"answer"})
        if max_answer_tokens is not None:
            self.max_answer_tokens = max_answer_tokens

    def _index(self) -> None:
        """One pass over all rows: where they are, their roles and difficulties."""
        seen: set[bytes] = set()
        places: list[tuple[int, int]] = []
        roles: list[int] = []
        lengths: list[int] = []
        self.num_duplicates = self._num_worked = 0
        for number, file in enumerate(self._files):
            for row in file:
                canonical = even(row.question)
                key = digest(canonical)
                if key in seen:
                    self.num_duplicates += 1
                    continue
                seen.add(key)
                answer, worked = self._answer(row)
                self._kind_of(answer, row)
                self._num_worked += worked is not None
                places.append((number, row.place))
                roles.append(_ROLES.index(role_of(_FAMILY, canonical)))
                lengths.append(len((worked or row.question).encode()))
        if not places:
            names = ", ".join(str(f.path) for f in self._files[:3])
            raise WorldError(
                f"{names} holds no question", expected="one JSON object or row a question"
            )
        self._places = np.array(places, np.int64)  # (N, 2): file, place in it
        # stable: equal lengths keep the order of the file, so ranks are the same everywhere
        rank = np.argsort(np.argsort(np.array(lengths), kind="stable"), kind="stable")
        self._difficulty = rank / max(1, len(rank) - 1)
        by_role = np.array(roles)
        self._of_role = {role: np.flatnonzero(by_role == i) for i, role in enumerate(_ROLES)}
        self.num_tasks = {role.value: len(found) for role, found in self._of_role.items()}
        longest = int(np.quantile(lengths, 0.99)) if self._num_worked else 0
        self.max_answer_tokens = max(256, min(1024, longest + longest // 4))

    # ------------------------------------------------------------ drawing

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` tasks of a role. None comes twice before all have come once.

        With a difficulty, from the tenth of the role's tasks that is nearest to it.
        """
        rows = self._rows(TaskRole(role), difficulty, num)
        picked: list[int] = []
        while len(picked) < num:
            picked += [int(i) for i in rng.permutation(rows)[: num - len(picked)]]
        return [self._task(i) for i in picked]

    def draw_distinct(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` different tasks of a role. Raises WorldError where there are fewer."""
        there_are = len(self._of_role[TaskRole(role)])
        if num > there_are:
            raise WorldError(
                f"world {self.id!r} cannot give {num} different {TaskRole(role).value} tasks",
                expected=f"at most {there_are}",
                hint="ask for fewer tasks or give the world more questions",
            )
        return self.draw(role, rng, num, difficulty)

    def _rows(self, role: TaskRole, difficulty: float | None, num: int) -> np.ndarray:
        rows = self._of_role[role]
        if not len(rows):
            raise WorldError(
                f"none of the {len(self._places)} questions of world {self.id!r} has the role "
                f"{role.value}",
                expected="some hundreds of questions, so that every role gets some",
            )
        if difficulty is None:
            return rows
        if not 0.0 <= difficulty <= 1.0:
            raise WorldError("difficulty of a draw", expected="0 to 1", found=str(difficulty))
        size = min(len(rows), max(num, int(len(rows) * _WINDOW_FRACTION)))
        apart = np.abs(self._difficulty[rows] - difficulty)
        return rows[np.argsort(apart, kind="stable")[:size]]

    def _task(self, index: int) -> Task:
        row = self._row(index)
        answer, _ = self._answer(row)
        canonical = even(row.question)
        return Task(
            f"{_FAMILY}:{short_hash(canonical)}",
            self.id,
            row.question + self.suffix,
            answer,
            float(self._difficulty[index]),
            role_of(_FAMILY, canonical),
            f"data:{self._files[self._places[index, 0]].path.name}",
            data={"kind": self._kind_of(answer, row), "row": index},
        )

    def _row(self, index: int) -> Row:
        file, place = self._places[index]
        return self._files[file].at(int(place))

    def _answer(self, row: Row) -> tuple[str, str | None]:
        """The bare answer of a row, and the worked one where there is more than the bare one."""
        marked = marked_answer(row.answer)
        if marked is None or not marked:
            return row.answer.strip(), None
        worked = _CALCULATOR.sub("", row.answer).strip()
        is_only_mark = len(worked) <= len(marked) + 12 and "\n" not in worked
        return marked, None if is_only_mark else worked

    def _kind_of(self, answer: str, row: Row) -> str:
        kind = guess_kind(answer) if self.kind == "auto" else self.kind
        readable = {"numeric": parse_number, "choice": choice_letter}.get(kind)
        if readable is not None and not canonical_answer(answer, kind):
            raise WorldError(
                f"the answer of the question {even(row.question)[:50]!r}",
                expected=f"kind {kind}",
                found=repr(answer[:40]),
                hint="Give the world ?kind=auto or ?kind=exact",
            )
        return kind

    # ------------------------------------------------------------ checking

    def canonical(self, task: Task) -> str:
        """The question with white space, case and a full stop at its end made even."""
        prompt = task.prompt
        if self.suffix and prompt.endswith(self.suffix):
            prompt = prompt[: -len(self.suffix)]
        return even(prompt)

    def verify(self, task: Task, answer: str) -> Checked:
        """1 where the final answer is the reference in the sense of the task's kind, else 0."""
        return self.verify_many([(task, answer)])[0]

    def verify_many(self, pairs: Sequence[tuple[Task, str]]) -> list[Checked]:
        """`verify` for several; what only mathematics can tell goes to the workers at once."""
        found: list[Checked | None] = []
        open_pairs: list[tuple[str, str]] = []
        for task, answer in pairs:
            if task.answer is None:
                found.append(Checked(0.0, "the task has no reference answer"))
                continue
            kind = str(task.data.get("kind") or guess_kind(task.answer))
            why = unreadable(answer)
            same = False if why else same_answer(task.answer, answer, kind)
            if same is None:
                open_pairs.append((task.answer, answer))
                found.append(None)
                continue
            said = "" if why else canonical_answer(answer, kind)
            wrong = why or (f"says {said[:60]}" if said else "gives no answer")
            found.append(Checked(float(same), "" if same else wrong, said))
        if open_pairs:
            from askesis.worlds.mathematics import same_mathematics

            outcomes = iter(same_mathematics(open_pairs))
            answers = iter(open_pairs)
            found = [
                self._of_outcome(next(outcomes), next(answers)[1]) if c is None else c
                for c in found
            ]
        return [checked for checked in found if checked is not None]

    def _of_outcome(self, outcome: Any, answer: str) -> Checked:
        said = canonical_answer(answer, "math")
        score = float(outcome.value is True)
        return Checked(score, "" if score else outcome.why or f"says {said[:60]}", said)

    def extract(self, answer: str) -> str:
        """The final answer of a text in canonical form, by the world's kind (auto: a number
        where it is one, else even text)."""
        return canonical_answer(answer, "exact" if self.kind == "auto" else self.kind)

    def demonstrate(
        self, task: Task, rng: np.random.Generator, habit: str = "plain", *, wrong: bool = False
    ) -> str | None:
        """The worked answer of the file, without calculator annotations; None where the file
        has only answers, and for every habit but "plain"."""
        index = task.data.get("row")
        if habit != "plain" or wrong or not isinstance(index, int):
            return None
        if not 0 <= index < len(self._places):
            return None
        row = self._row(index)
        return self._answer(row)[1] if even(row.question) == self.canonical(task) else None

    def hardness(self, task: Task) -> float:
        """Length of the worked answer, or of the question."""
        worked = self.demonstrate(task, np.random.default_rng(0))
        return float(len((worked or task.prompt).encode()))

    def close(self) -> None:
        for file in self._files:
            file.close()

    def __repr__(self) -> str:
        return f"<world {self.id}: {len(self._places)} questions>"


def open_jsonl(
    path: str,
    *,
    question: str = "question",
    answer: str = "answer",
    kind: str = "auto",
    suffix: str = "",
    max_answer_tokens: int | None = None,
) -> Questions:
    """The world of JSON-lines files. Raises WorldError with the line for a bad file."""
    _must_be_kind(kind)
    files = [JsonLines(p, question, answer) for p in question_files(path, "jsonl")]
    return _open("jsonl", files, kind, suffix, max_answer_tokens)


def open_parquet(
    path: str,
    *,
    question: str = "question",
    answer: str = "answer",
    kind: str = "auto",
    suffix: str = "",
    max_answer_tokens: int | None = None,
) -> Questions:
    """The world of Parquet files. Raises WorldError with the columns found for a bad file."""
    _must_be_kind(kind)
    files = [ParquetRows(p, question, answer) for p in question_files(path, "parquet")]
    return _open("parquet", files, kind, suffix, max_answer_tokens)


def _must_be_kind(kind: str) -> None:
    if kind != "auto" and kind not in KINDS:
        raise WorldError(f"there is no kind {kind!r} of answers", hint=nearest(kind, KINDS))


def _open(kind_of_file: str, files: Sequence[Any], kind: str, suffix: str, most: int | None) -> Any:
    stem = files[0].path.stem if len(files) == 1 else files[0].path.parent.name
    return Questions(
        files, f"{kind_of_file}:{stem}", kind=kind, suffix=suffix, max_answer_tokens=most
    )
