"""From a model and a world to advice: ask, count, check every recipe, expect, and say what to type.

Nothing is trained, no claim task is seen, and nothing is written. docs/diagnose.md explains every
figure and how often the advice was right.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from askesis.errors import ConfigError
from askesis.formulas.intervals import Estimate
from askesis.lab.diagnose.asked import Probe
from askesis.lab.diagnose.facts import RecipeFacts, command, recipe_facts
from askesis.lab.diagnose.figures import Habits, figures, seen_habits
from askesis.lab.diagnose.gains import Gains, read_gains
from askesis.lab.diagnose.probe import OnProgress, probe
from askesis.lab.diagnose.rules import CAN, CANNOT, DOUBTFUL, Case, judge
from askesis.lab.diagnose.subject import Subject, open_subject
from askesis.lab.speech import close_world
from askesis.worlds.open import open_world
from askesis.worlds.views import RunView

NUM_TASKS, NUM_ATTEMPTS, SECONDS = 200, 64, 300.0


@dataclass(frozen=True)
class Speed:
    """Tokens a second sampled here and now, and learnt (NaN where that could not be tried)."""

    sampled_per_s: float
    trained_per_s: float
    prompt_tokens: float
    answer_tokens: float


@dataclass(frozen=True)
class Advice:
    """What is said about a recipe: can, doubtful or cannot, why, and what one may expect.

    gain: in pass@1, of one run with the budget; None where nothing like it was studied.
    extrapolated: drivers of that gain that lie outside the study. tokens, seconds: of one round, an
    upper bound (learning as if every attempt were learnt from); NaN where not known.
    """

    recipe: str
    family: str
    verdict: str
    why: tuple[str, ...]
    gain: Estimate | None
    extrapolated: tuple[str, ...]
    tokens: float
    seconds: float
    command: str


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found. gains_from: where the expected gains come from; empty before the
    study has been run."""

    model: str
    world: str
    role: str
    num_tasks: int
    num_attempts: int
    reference: str
    figures: Mapping[str, Estimate]
    speed: Speed
    advice: tuple[Advice, ...]
    notes: tuple[str, ...]
    budget_tokens: float | None
    gains_from: Mapping[str, Any]
    seconds: float

    def plain(self) -> dict[str, Any]:
        """For JSON; every figure as {value, low, high}."""
        return asdict(self)

    @property
    def values(self) -> dict[str, float]:
        """The figures without their intervals."""
        return {k: e.value for k, e in self.figures.items()}


def diagnose(
    model: str,
    world: str = "",
    *,
    num_tasks: int = NUM_TASKS,
    num_attempts: int = NUM_ATTEMPTS,
    engine: str = "auto",
    seed: int = 0,
    seconds: float = SECONDS,
    budget: float | None = None,
    recipes: Sequence[str] = (),
    habits: Habits | None = seen_habits,
    gains: Gains | None = None,
    say: Callable[[str], None] = print,
    on_progress: OnProgress | None = None,
) -> Diagnosis:
    """Ask a model and say what could be made of it.

    model: "tiny", a path, a hub name, or RUN@SNAPSHOT. world: a spec ("": the run's own).
    num_tasks: different decide tasks; num_attempts: at each, 64 for pass@64. seconds: for
    sampling; where it is short, fewer tasks are asked and a note says so (0: no limit).
    budget: tokens for which gains are expected (None: those of the study). habits: counts habits
    in a text (None: nobody does).
    Raises ConfigError, WorldError, ModelError or RunError before anything is sampled.
    """
    if num_tasks < 1 or num_attempts < 1 or seconds < 0:
        raise ConfigError(
            "diagnosing needs at least one task, one attempt and no negative time",
            found=f"{num_tasks}, {num_attempts}, {seconds:g}",
        )
    began = time.perf_counter()
    opened = open_world(world) if world else None  # a misspelt one is refused before a model opens
    try:
        subject = open_subject(model, world, say)
        opened = opened or open_world(subject.world)
        view = RunView(opened)
        asked = probe(
            subject.model, view, num_tasks=num_tasks, num_attempts=num_attempts, engine=engine,
            seed=seed, seconds=seconds or math.inf, on_progress=on_progress,
        )  # fmt: skip
        found = figures(asked, habits)
        walked = {"turns"} if hasattr(view, "initial") else set()
        truth = frozenset(view.truth) | walked
        speed = _speed(subject, asked)
    finally:
        close_world(opened)
    gains = gains or read_gains()
    case = Case(found, truth, opened.id, num_attempts, subject.why_not)
    advice = [
        _advice(case, facts, subject, gains, speed, engine, budget)
        for facts in recipe_facts(subject.world, gains.options, recipes)
    ]
    return Diagnosis(
        model=subject.shown,
        world=opened.id,
        role=asked.role,
        num_tasks=len(asked.tasks),
        num_attempts=num_attempts,
        reference=asked.reference_kind,
        figures=found,
        speed=speed,
        advice=tuple(sorted(advice, key=_order)),
        notes=asked.notes,
        budget_tokens=budget or gains.budget_tokens or None,
        gains_from=dict(gains.about),
        seconds=time.perf_counter() - began,
    )


def _advice(
    case: Case,
    facts: RecipeFacts,
    subject: Subject,
    gains: Gains,
    speed: Speed,
    engine: str,
    budget: float | None,
) -> Advice:
    verdict, why = judge(case, facts)
    values = {k: e.value for k, e in case.figures.items()}
    gain: Estimate | None = None
    outside: tuple[str, ...] = ()
    if verdict != CANNOT:
        gain = gains.predict(facts.name, facts.family, values, budget)
        outside = gains.outside(facts.family, values) if gain is not None else ()
    tokens, seconds = _round_cost(facts, speed)
    line = ""
    if verdict != CANNOT:
        limit = budget or gains.budget_tokens or None
        rounds = _enough_rounds(facts, speed, limit) if limit else 0
        line = command(facts, subject.world, subject.source, engine, limit, rounds)
    return Advice(
        facts.name, facts.family, verdict, why, gain, outside, tokens, seconds, line
    )  # fmt: skip


def _order(a: Advice) -> tuple[int, float]:
    """What can work before what may, the larger expected gain first; else as in the registry."""
    value = a.gain.value if a.gain is not None else -math.inf
    return [CAN, DOUBTFUL, CANNOT].index(a.verdict), -value


def _round_cost(facts: RecipeFacts, speed: Speed) -> tuple[float, float]:
    """(tokens generated, seconds) of a round, learning as if every attempt were learnt from."""
    attempts = facts.num_tasks * facts.num_attempts
    tokens = attempts * speed.answer_tokens if facts.sampled else 0.0
    learnt = facts.samples * facts.epochs * (speed.answer_tokens + speed.prompt_tokens)
    sampling = tokens / speed.sampled_per_s if tokens else 0.0
    return tokens, sampling + (learnt / speed.trained_per_s if learnt else 0.0)


def _enough_rounds(facts: RecipeFacts, speed: Speed, budget: float) -> int:
    """Rounds that a budget of tokens does not outlast, also where answers become half as long."""
    each = facts.num_tasks * facts.num_attempts * speed.answer_tokens
    if not facts.sampled:
        each = facts.samples * facts.epochs * (speed.answer_tokens + speed.prompt_tokens)
    return 1 + math.ceil(2 * budget / max(1.0, each))


def _speed(subject: Subject, asked: Probe) -> Speed:
    """From the sampling that was done, and a second or two of learning that is thrown away."""
    tokens = sum(t.num_tokens for p in asked.tasks for t in p.tries)
    num = sum(len(p.tries) for p in asked.tasks)
    return Speed(
        sampled_per_s=tokens / asked.seconds if tokens else math.nan,
        trained_per_s=_learning_speed(subject, asked),
        prompt_tokens=asked.prompt_tokens,
        answer_tokens=tokens / num,
    )


def _learning_speed(subject: Subject, asked: Probe) -> float:
    from askesis.lab.estimate import _learn

    if not subject.trainable:
        return math.nan
    tasks = [p.task for p in asked.tasks[:64]]
    texts = {p.task.id: p.reference or p.tries[0].text for p in asked.tasks[:64]}
    length = sum(t.num_tokens for p in asked.tasks for t in p.tries) / max(1, len(asked.tasks))
    try:
        return _learn(subject.model, tasks, texts, length) or math.nan
    except Exception:  # a speed is worth no failure: it is not known, then
        return math.nan


def without_clock(diagnosis: Diagnosis) -> Diagnosis:
    """The same without what depends on the clock: equal for equal seeds."""
    nan = math.nan
    speed = Speed(nan, nan, diagnosis.speed.prompt_tokens, diagnosis.speed.answer_tokens)
    advice = tuple(replace(a, seconds=nan) for a in diagnosis.advice)
    return replace(diagnosis, speed=speed, advice=advice, seconds=nan)
