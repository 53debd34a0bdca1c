"""Talk to a run: the same prompt to two of its snapshots, with the same noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askesis.config import from_tree
from askesis.lab.snapshots import open_snapshot, resolve, speaking_model
from askesis.lab.speech import Answerer, close_world
from askesis.lab.speech import Said as Spoken
from askesis.plan import Plan
from askesis.records import Task, TaskRole
from askesis.requests import Sampling
from askesis.rng import Streams
from askesis.store.run_store import RunStore
from askesis.worlds.open import open_world

LONGEST = 4000  # characters of an answer that are shown


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it is shown; `mark` is its verdict where somebody knows the truth."""

    said: Spoken
    judged: bool

    @property
    def mark(self) -> str:
        if self.said.error:
            return "(failed)"
        cut = ", cut off" if self.said.stop.cut_off else ""
        if not self.judged:
            return cut.lstrip(", ")
        if 0 < self.said.score < 1:
            return f"(score {self.said.score:.2f}{cut})"
        return f"({'right' if self.said.score >= 1 else 'wrong'}{cut})"

    @property
    def shown(self) -> str:
        text = self.said.error or self.said.text or "(nothing)"
        clean = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
        return clean if len(clean) <= LONGEST else clean[:LONGEST] + " ..."


class Pair:
    """Two snapshots of a run, open for talking. Close it, or use it in a `with`.

    temperature 0 is the likeliest answer. Tasks are decide tasks: claim tasks are only looked at
    by `askesis eval`, which counts the looks.
    """

    def __init__(
        self, path: Path, before: str, after: str, *, temperature: float = 0.0, seed: int = 0
    ) -> None:
        store = RunStore.open(path)
        try:
            plan: Plan = from_tree(store.config)
            model = speaking_model(plan)
            rows = [resolve(store, name, model) for name in (before, after)]
        finally:
            store.close()
        self.world = open_world(plan.worlds.get("main") or next(iter(plan.worlds.values())))
        self.names = (f"{rows[0]['id']} (before)", f"{rows[1]['id']} (after)")
        self.seed = seed
        self.sampling = Sampling(temperature=temperature, max_tokens=self.world.max_answer_tokens)
        self.answerers = [Answerer(open_snapshot(plan, row)) for row in rows]

    def on_tasks(self, num: int) -> Iterator[tuple[Task, Answer, Answer]]:
        """Tasks of the run's world with the answers before and after."""
        rng = Streams(self.seed).generator("try", self.world.id)
        for task in self.world.draw(TaskRole.DECIDE, rng, num):
            yield task, *self._both(task, self.world)

    def on_prompt(self, prompt: str) -> tuple[Answer, Answer]:
        """Answers to a prompt that somebody typed; nobody knows whether they are right."""
        return self._both(Task("typed", self.world.id, prompt), None)

    def example(self) -> str:
        """A prompt of the run's world."""
        rng = Streams(self.seed).generator("try", "example", self.world.id)
        return str(self.world.draw(TaskRole.TRAIN, rng, 1)[0].prompt)

    def _both(self, task: Task, world: Any) -> tuple[Answer, Answer]:
        found = []
        for answerer in self.answerers:
            (_, said), *_ = answerer.answers(
                world, [task], num_attempts=1, sampling=self.sampling, seed=self.seed
            )
            found.append(Answer(said[0], world is not None))
        return found[0], found[1]

    def close(self) -> None:
        for answerer in self.answerers:
            answerer.close()
        close_world(self.world)

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
