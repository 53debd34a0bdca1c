"""What the probes share: a guessing world on the bigram model, and a way to run a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.plan import Plan
from askesis.records import (
    About,
    Attempt,
    Group,
    Sample,
    Sequence,
    Start,
    Task,
    TaskRole,
    Verdict,
    VerdictKind,
)
from askesis.requests import Checked
from askesis.run import Run
from askesis.store.run_store import RunStore


@dataclass(frozen=True)
class LetterWorld:
    """Say the letter that answers the prompt letter: the smallest world with a truth."""

    answers: dict[str, str] = field(default_factory=lambda: {"a": "x", "b": "y"})
    id: str = "letters-v1"
    truth = frozenset({"answer"})
    num_canonical = 2
    max_answer_tokens = 4

    def task(self, prompt: str, role: TaskRole = TaskRole.TRAIN) -> Task:
        return Task(f"{self.id}:{prompt}", self.id, prompt, self.answers.get(prompt), 0.0, role)

    def draw(self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: Any = None):
        prompts = sorted(self.answers)
        return [self.task(prompts[int(i)], role) for i in rng.integers(len(prompts), size=num)]

    def canonical(self, task: Task) -> str:
        return task.prompt

    def verify(self, task: Task, answer: str) -> Checked:
        return Checked(float(answer == self.answers[task.prompt]))

    def demonstrate(self, task: Task, rng: np.random.Generator, habit: str = "plain") -> str:
        return self.answers[task.prompt]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """`num` train tasks of a world."""

    num: int = 8
    world: str = "main"

    def draw(self, ctx: Any) -> list[Start]:
        return [Start(t) for t in ctx.draw(TaskRole.TRAIN, self.num, world=self.world)]


def verdict(judge: str, attempt: Attempt, value: float | None, **about: Any) -> Verdict:
    return Verdict(judge, About(attempt.id, **about), VerdictKind.OUTCOME, value)


def row(context: Any, tokens: Any, weight: float) -> Sequence:
    """A sequence whose new tokens all count `weight`."""
    both = np.concatenate([context, tokens]).astype(np.int32)
    column = np.concatenate([np.zeros(len(context)), np.full(len(tokens), weight)])
    return Sequence(both, {"weight": column.astype(np.float32)})


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """Every attempt's tokens, weighted by its value minus a baseline: REINFORCE's rows."""

    baseline: float = 0.0
    judge: str = ""
    role: str = "policy"

    def select(self, ctx: Any, groups: list[Group], verdicts: Any) -> list[Sample]:
        model = ctx.slot.partition(".")[2].partition("~")[0]
        samples = []
        for attempt in (a for g in groups for a in g.attempts):
            value = verdicts.value(attempt, judge=self.judge)
            for turn in attempt.turns:
                if turn.role == self.role and value is not None and value != self.baseline:
                    rows = (row(turn.context, turn.tokens, value - self.baseline),)
                    samples.append(Sample(model, rows, sources=(attempt.id,)))
        return samples


def run_plan(plan: Plan, worlds: dict[str, Any], models: dict[str, Any], path: Any, **options: Any):
    """Run a plan to its end; returns the closed run, with its store open for reading."""
    run = Run.create(plan, path, worlds, models, **options)
    run.improve()
    run.close()
    run.store = RunStore.open(path)
    return run


def attempts_of(run: Run, index: int) -> list[Attempt]:
    """The attempts of one round, from the run directory."""
    return list(run.store.read("attempts", {"round": index}))


def probability(model: Any, prompt: str, answer: str) -> float:
    """P(answer letter | prompt letter) under a tabular model."""
    logits = model.next_logits([model.renderer.encode(prompt)])[0]
    return float(logits.softmax(-1)[model.renderer.ids[answer]])
