"""reasoning_gym:NAME, the task families of the reasoning-gym library with their own scorers.

Install with `pip install 'askesis[gym]'`. What this adapter adds to the library: roles by hash,
generation from the generator handed in, gates before scorers that evaluate text (see
`askesis.worlds.gym_gate`), and honesty about items without a reference answer: several families
have none, and an answer that the family's own scorer does not accept is not offered as one.

difficulty None is the library's default configuration (what published figures use); a number
sets every attribute of the family's curriculum to that share of its levels. The score is 1 where
the scorer gives 1, else 0: many scorers give part of a point for the mere format. With
`?partial=true` its part of a point is handed on.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.errors import WorldError, nearest
from askesis.records import Task, TaskRole
from askesis.requests import Checked
from askesis.text.answers import canonical_answer, even, marked_answer
from askesis.worlds import gym_gate
from askesis.worlds.family import Family
from askesis.worlds.roles import short_hash
from askesis.worlds.workers import Job, shared_workers

# Families that take 20 ms and more an item (measured, 0.1.25): drawn from a fixed pool of items,
# each made once a process.
SLOW = frozenset(
    {
        "countdown",
        "futoshiki",
        "intermediate_integration",
        "knight_swap",
        "polynomial_equations",
        "puzzle24",
        "quantum_lock",
        "rubiks_cube",
        "sokoban",
        "sudoku",
        "zebra_puzzles",
    }
)
POOL_SIZE = 1_000
# Families whose construction loads data for 0.2 s and more, and whose items depend on the seed
# at the time of asking only (checked against freshly made ones).
_RESEEDED = frozenset({"arc_agi", "figlet_font", "group_anagrams"})
# Families whose items depend on the order of Python's sets, so that a seed gives other items in
# other processes (checked with three hash seeds): made in worker processes, whose hash seed is 0.
ORDER_DEPENDENT = frozenset(
    {
        "isomorphic_strings",
        "knight_swap",
        "polynomial_multiplication",
        "ransom_note",
        "word_ladder",
    }
)
# Where several items are one problem in other words or another order: what names the problem.
_CANONICAL = {"countdown": ("numbers", "target"), "puzzle24": ("numbers",)}
_CACHED_ITEMS = 4_096
_NONSENSE = ("zqx", "?")  # right for no item
_MAX_TRIES_PER_TASK = 200


class Gym(Family):
    """One family of reasoning-gym as a world. Raises WorldError for a name it does not have.

    partial: hand on the scorer's part of a point. difficulty: see the head of this file.
    """

    truth = frozenset({"answer"})
    num_canonical = None
    max_answer_tokens = 512
    hardness = None  # type: ignore[assignment]  # nothing that could be counted for all families

    def __init__(self, name: str, difficulty: float | None = None, partial: bool = False) -> None:
        version = _library_version()
        from reasoning_gym.factory import DATASETS

        if name not in DATASETS:
            raise WorldError(
                f"reasoning-gym {version} has no task family {name!r}", hint=nearest(name, DATASETS)
            )
        if name == "composite":
            raise WorldError(
                "reasoning_gym:composite mixes other families and is none itself",
                hint="name one family, or use one world for each in the recipe",
            )
        self.id = f"reasoning_gym:{name}@{version}"
        super().__init__(difficulty)
        self.id = f"reasoning_gym:{name}@{version}"
        if difficulty is not None:
            self.id += f"?difficulty={difficulty:g}"
        self.name, self.partial = name, partial
        self.num_canonical = POOL_SIZE if name in SLOW else None
        self.num_without_answer = 0  # items drawn so far that have no reference answer

    def count(self, difficulty: float) -> int | None:
        return self.num_canonical

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` tasks of a role; with None, of the library's default configuration."""
        return self._fill(TaskRole(role), rng, num, difficulty, distinct=False)

    def draw_distinct(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` different tasks of a role. Raises WorldError where they cannot be found."""
        return self._fill(TaskRole(role), rng, num, difficulty, distinct=True)

    def _fill(
        self,
        role: TaskRole,
        rng: np.random.Generator,
        num: int,
        difficulty: float | None,
        distinct: bool,
    ) -> list[Task]:
        notch = notch_of(self.difficulty if difficulty is None else difficulty)
        tasks: list[Task] = []
        seen: set[str] = set()
        most = max(2_000, _MAX_TRIES_PER_TASK * num)
        for tries, seed in enumerate(self._seeds(rng)):
            if len(tasks) == num:
                break
            if tries == most:
                raise WorldError(
                    f"world {self.id!r} cannot give {num} "
                    f"{'different ' if distinct else ''}{role.value} tasks",
                    found=f"{len(tasks)} in {tries} tries",
                    hint="ask for fewer tasks",
                )
            task = self._task(seed, notch)
            if task.role is role and not (distinct and task.id in seen):
                seen.add(task.id)
                tasks.append(task)
        return tasks

    def _seeds(self, rng: np.random.Generator) -> Iterator[int]:
        while True:
            if self.name in SLOW:
                yield from (int(i) for i in rng.permutation(POOL_SIZE))
            else:
                yield int(rng.integers(1 << 31))

    def _task(self, seed: int, notch: int | None) -> Task:
        entry = self._problem(seed, notch)
        answer = entry["reference"]
        if answer is not None and self._refused(answer, answer):
            answer = None  # right, but of a form that could not be told from an attack
        self.num_without_answer += answer is None
        task = self.task(
            str(entry["question"]),
            answer,
            difficulty=0.5 if notch is None else notch / 10,
            data={"truth_item": [notch, seed], "canonical": entry["canonical"]},
        )
        return replace(self.named(task), origin=f"generated:reasoning_gym.{self.name}")

    def _problem(self, seed: int, notch: int | None) -> Any:
        if self.name not in ORDER_DEPENDENT:
            return problem(self.name, notch, seed)
        job = Job(f"{__name__}:problem", (self.name, notch, seed))
        outcome = shared_workers().run([job])[0]
        if outcome.value is None:
            raise WorldError(f"reasoning_gym:{self.name} failed to make an item ({outcome.why})")
        return outcome.value

    def _refused(self, reading: str, reference: str) -> str:
        return gym_gate.refused(self.name, reading, max(2_000, 4 * len(reference)))

    def canonical(self, task: Task) -> str:
        """The question's text made even; for families that word one problem in several ways,
        what the problem is."""
        given = task.data.get("canonical")
        return str(given) if given is not None else short_hash(even(task.prompt))

    def verify(self, task: Task, answer: str) -> Checked:
        return self.verify_many([(task, answer)])[0]

    def verify_many(self, pairs: Sequence[tuple[Task, str]]) -> list[Checked]:
        """The family's scorer on the marked answer, else on the whole text, else its last line."""
        checked: list[Checked | None] = []
        jobs: list[Job] = []
        for task, answer in pairs:
            found = task.data.get("truth_item")
            if not found:
                checked.append(Checked(0.0, "the task does not say which item it is"))
                continue
            notch, seed = found
            reference = task.answer or ""
            why, readings = "", []
            for reading in _readings(answer):
                why = self._refused(reading, reference)
                if not why:
                    readings.append(reading)
            if not readings:
                checked.append(Checked(0.0, why or "no answer in it"))
                continue
            call = (self.name, notch, seed, readings, short_hash(task.prompt))
            if self.name in gym_gate.IN_WORKER | ORDER_DEPENDENT:
                jobs.append(Job(f"{__name__}:score", call))
                checked.append(None)
            else:
                checked.append(self._checked(score(*call), readings))
        outcomes = iter(zip(jobs, shared_workers().run(jobs), strict=True)) if jobs else iter(())
        for i, known in enumerate(checked):
            if known is None:
                job, outcome = next(outcomes)
                readings = job.arguments[3]
                checked[i] = (
                    Checked(0.0, outcome.why)
                    if outcome.value is None
                    else self._checked(float(outcome.value), readings)
                )
        return [c for c in checked if c is not None]

    def _checked(self, raw: float, readings: list[str]) -> Checked:
        is_right = raw >= 0.999
        given = raw if self.partial else float(is_right)
        said = canonical_answer(readings[0])
        return Checked(given, "" if is_right else f"the scorer gives {raw:.2g}", said)


def open_gym(name: str, *, difficulty: float | None = None, partial: bool = False) -> Gym:
    """The world reasoning_gym:NAME."""
    return Gym(name, difficulty, partial)


def notch_of(difficulty: float | None) -> int | None:
    """Difficulties are used in tenths, so that datasets can be kept."""
    if difficulty is None:
        return None
    if not 0.0 <= difficulty <= 1.0:
        raise WorldError("difficulty of a draw", expected="0 to 1", found=str(difficulty))
    return round(difficulty * 10)


_items: OrderedDict[tuple[str, int | None, int], Any] = OrderedDict()
_datasets: dict[tuple[str, int | None], Any] = {}


def item(name: str, notch: int | None, seed: int) -> Any:
    """The library's item for a seed: a function of its arguments, kept for a while.

    "_reference" is its answer where it has one that its own scorer accepts, else None.
    """
    key = (name, notch, seed)
    if key in _items:
        _items.move_to_end(key)
        return _items[key]
    dataset = _dataset(name, notch, seed)
    with contextlib.redirect_stdout(io.StringIO()):  # some families print while they work
        entry = dict(dataset[0])
        answer = entry.get("answer")
        accepted = isinstance(answer, str) and _scored(dataset, answer, entry) >= 0.999
    # some scorers accept any text that is not empty; then only equality is right
    entry["_accepts_anything"] = accepted and any(
        _scored(dataset, nonsense, entry) >= 0.999 for nonsense in _NONSENSE
    )
    entry["_reference"] = answer if accepted else None
    _items[key] = entry
    if len(_items) > _CACHED_ITEMS:
        _items.popitem(last=False)
    return entry


def problem(name: str, notch: int | None, seed: int) -> dict[str, Any]:
    """What a task needs of an item, as plain values."""
    entry = item(name, notch, seed)
    keys = _CANONICAL.get(name)
    if keys is None:
        canonical = short_hash(even(str(entry["question"])))
    else:
        values = [entry["metadata"][k] for k in keys]
        canonical = repr([sorted(v) if isinstance(v, list) else v for v in values])
    return {
        "question": str(entry["question"]),
        "reference": entry["_reference"],
        "canonical": canonical,
    }


def score(
    name: str, notch: int | None, seed: int, readings: Sequence[str], prompt_hash: str
) -> float:
    """The best the family's scorer gives any of the readings, in [0, 1].

    Raises WorldError where the item made again is not the one that was asked (another version
    of the library): scoring against another problem would be worse than none.
    """
    entry = item(name, notch, seed)
    if short_hash(str(entry["question"])) != prompt_hash:
        raise WorldError(
            f"reasoning_gym:{name} no longer makes the item with seed {seed}",
            hint="use the version of reasoning-gym that the task was made with",
        )
    if entry["_accepts_anything"]:
        wanted = even(str(entry["_reference"]))
        return float(any(even(reading) == wanted for reading in readings))
    dataset = _dataset(name, notch, seed)
    return max((_scored(dataset, reading, entry) for reading in readings), default=0.0)


def _scored(dataset: Any, reading: str, entry: Any) -> float:
    """What the family's scorer gives one reading; 0 where it fails on it."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            given = float(dataset.score_answer(reading, entry))
    except (Exception, RecursionError):  # scorers are not written for hostile text
        return 0.0
    return min(1.0, max(0.0, given)) if math.isfinite(given) else 0.0


def prepare_worker() -> None:
    """Imports that a worker does before its time is counted."""
    import reasoning_gym  # noqa: F401


def _readings(answer: object) -> list[str]:
    if not isinstance(answer, str) or len(answer) > 1 << 20:
        return [answer] if isinstance(answer, str) else []  # the gate says why
    marked = marked_answer(answer)
    if marked is not None:
        return [marked]
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    readings = [answer.strip("\n"), lines[-1]] if lines else []
    return list(dict.fromkeys(readings))


def _dataset(name: str, notch: int | None, seed: int) -> Any:
    key = (name, notch)
    dataset = _datasets.get(key)
    if dataset is not None and name in _RESEEDED:
        dataset.seed = seed
        return dataset
    if dataset is not None and dataset.seed == seed:
        return dataset
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = _datasets[key] = _make(name, notch, seed)
    return dataset


def _make(name: str, notch: int | None, seed: int) -> Any:
    from reasoning_gym.factory import CURRICULA, DATASETS

    kind, configuration = DATASETS[name]
    if notch is None:
        return kind(config=configuration(seed=seed, size=1))
    if name not in CURRICULA:
        raise WorldError(
            f"reasoning_gym:{name} has no curriculum, so its difficulty cannot be chosen",
            hint="leave the difficulty out",
        )
    curriculum: Any = CURRICULA[name]()  # type: ignore[operator]
    for attribute, definition in curriculum.attributes.items():
        curriculum.set_attr_level(attribute, round(notch / 10 * (len(definition.levels) - 1)))
    try:
        return kind(config=curriculum.generate_configuration({"seed": seed, "size": 1}))
    except (AssertionError, ValueError) as error:
        raise WorldError(
            f"reasoning_gym:{name} refuses its own curriculum at difficulty {notch / 10:g} "
            f"({str(error)[:100]})",
            hint="choose a lower difficulty",
        ) from error


def _library_version() -> str:
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    try:
        if find_spec("reasoning_gym") is None:
            raise PackageNotFoundError
        return version("reasoning-gym")
    except PackageNotFoundError:
        raise WorldError(
            "worlds reasoning_gym:NAME need the library reasoning-gym, which is not installed",
            hint="Type pip install 'askesis[gym]'",
        ) from None
