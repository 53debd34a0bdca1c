"""The judge of a finished run held against the truth, from the attempts and verdicts it kept.

For every run, and the only way for those whose recipe uses no truth: their worlds had no answers,
so nothing inside the run could have told whether its judge was right. Only train attempts are
read and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from askesis.config import from_tree
from askesis.context import Verdicts
from askesis.errors import ConfigError, RunError
from askesis.lab.speech import close_world
from askesis.measure.audit import Audited, audit_figures, audited
from askesis.plan import Plan
from askesis.protocols import Metrics
from askesis.records import Attempt, StopReason, Task, TaskRole
from askesis.requests import Check, Checked
from askesis.rng import Streams
from askesis.speakers import check
from askesis.store.run_store import RunStore
from askesis.worlds.open import open_world

AUDIT_SEED = 1_000_033  # the same attempts and bootstrap draws for everybody who looks
NUM_PROBES = 8  # tasks on which a world shows that it can still tell right from wrong
NUM_WRITERS = 32  # answers tried there of a world whose writers are not always right


@dataclass(frozen=True)
class RoundAudit:
    """What an audit says of one round (counted from 0); keys as `measure/audit/...`."""

    round: int
    figures: Metrics


@dataclass(frozen=True)
class RunAudit:
    """An audit of a run: round by round, and of all attempts looked at together."""

    judge: str
    rounds: tuple[RoundAudit, ...]
    overall: Metrics


def audit(
    path: Path,
    *,
    judge: str = "",
    passing: float = 0.5,
    threshold: float = 1.0,
    num_attempts: int = 1_000,
    num_rounds: int = 12,
) -> RunAudit:
    """Verify kept attempts of a run and compare what its judge said of them.

    path: a run directory, finished, going or killed; rounds of closed segments are read.
    judge, passing, threshold: as in `askesis.measure.audit.Audit`. num_attempts: at most so many in
    a round, whole groups chosen at random. num_rounds: so many rounds, evenly over the run, first
    and last among them.
    Raises ConfigError for numbers below 1, RunError where the run kept no judged attempt or its
    tasks do not carry what the world needs to verify them.
    """
    if num_attempts < 1 or num_rounds < 1:
        raise ConfigError("an audit needs at least one attempt and one round")
    store = RunStore.open(path)
    worlds: dict[str, Any] = {}
    try:
        plan: Plan = from_tree(store.config)
        judged = sorted(set(store.arrow("verdicts", ["round"]).column("round").to_pylist()))
        if not judged:
            raise RunError(
                f"run {path} has no verdicts to audit",
                hint="they are kept when a segment closes; wait for it, or run longer",
            )
        worlds = {w.id: w for w in map(open_world, dict.fromkeys(plan.worlds.values()))}
        books = {name: _Truth(world) for name, world in worlds.items()}
        spread = np.linspace(0, len(judged) - 1, min(num_rounds, len(judged)))
        found, everything = [], []
        for number in [judged[int(i)] for i in spread.round()]:
            rng = Streams(AUDIT_SEED).generator("audit", number)
            rows = _round(store, number, books, judge, threshold, num_attempts, rng)
            if rows:
                found.append(RoundAudit(int(number), audit_figures(rows, passing, rng)))
                everything += rows
    finally:
        store.close()
        for world in worlds.values():
            close_world(world)
    if not found:
        raise RunError(
            f"run {path} has no verdicts of judge {judge!r} on train attempts",
            hint="leave the judge out to audit the last one that knew",
        )
    rng = Streams(AUDIT_SEED).generator("audit", "overall")
    return RunAudit(judge, tuple(found), audit_figures(everything, passing, rng))


def _round(
    store: RunStore,
    number: int,
    books: Mapping[str, _Truth],
    judge: str,
    threshold: float,
    num_attempts: int,
    rng: np.random.Generator,
) -> list[list[Audited]]:
    """Audited attempts of one round by start: what the explorer made a group of."""
    verdicts = Verdicts(store.read("verdicts", {"round": number}))
    groups: dict[str, list[Attempt]] = {}
    for attempt in store.read("attempts", {"round": number}):
        is_plain = attempt.task.role is TaskRole.TRAIN and attempt.start.privileged is None
        if is_plain and verdicts.of(attempt, judge=judge) and attempt.task.family in books:
            groups.setdefault(attempt.start.key, []).append(attempt)
    chosen: list[list[Attempt]] = []
    names = list(groups)
    for place in rng.permutation(len(names)):
        if sum(map(len, chosen)) >= num_attempts:
            break
        chosen.append(groups[names[place]])
    truth = _verified([a for group in chosen for a in group], books)
    return [
        [
            audited(
                a,
                verdicts.of(a, judge=judge),
                verdicts.value(a, judge=judge),
                truth[a.id],
                threshold,
            )
            for a in group
            if a.id in truth
        ]
        for group in chosen
    ]


def _verified(attempts: Sequence[Attempt], books: Mapping[str, _Truth]) -> dict[str, Checked]:
    """What the worlds say of each attempt; those a verifier failed on are left out."""
    found: dict[str, Checked] = {}
    asked: list[tuple[str, Check]] = []
    for attempt in attempts:
        if attempt.stop is StopReason.FAILED or not attempt.text:
            found[attempt.id] = Checked(0.0, "nothing was said")
            continue
        book = books[attempt.task.family]
        asked.append((attempt.id, Check(book.world, book.task(attempt.task), attempt.text)))
    answers = check([request for _, request in asked])
    for (name, _), answer in zip(asked, answers, strict=True):
        if isinstance(answer, Checked):
            found[name] = answer
    return found


class _Truth:
    """A world and its tasks with their truth, for tasks that were kept without it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self._known: dict[str, Task] | None = None
        self._probed = 0

    def task(self, task: Task) -> Task:
        """The task as its world verifies it. RunError where the truth cannot be found again."""
        if task.answer is not None:
            return task
        full = self._of_table().get(task.id)
        if full is not None:
            return replace(task, answer=full.answer, data=full.data)
        if self._probed < NUM_PROBES:  # a verifier without its data calls everything wrong
            self._probed += 1
            self._probe(task)
        return task

    def _of_table(self) -> Mapping[str, Task]:
        """All train tasks by id, where the world has a list of them."""
        if self._known is None:
            num = (getattr(self.world, "num_tasks", None) or {}).get(TaskRole.TRAIN.value, 0)
            rng = np.random.default_rng(AUDIT_SEED)
            drawn = self.world.draw(TaskRole.TRAIN, rng, num) if num else []
            self._known = {t.id: t for t in drawn}
        return self._known

    def _probe(self, task: Task) -> None:
        rng = np.random.default_rng(AUDIT_SEED)
        is_sure = "demonstration" in self.world.truth  # else a writer's, right or not
        shown = (self.world.demonstrate(task, rng) for _ in range(1 if is_sure else NUM_WRITERS))
        if not any(s is not None and self.world.verify(task, s).score >= 1 for s in shown):
            raise RunError(
                f"tasks of world {self.world.id!r} were kept without what it needs to verify them",
                hint="audit a run of a recipe that uses answers, or another world",
            )
