"""What the model says, before anything is made of it: attempts, scores, likelihoods, self-checks.

Everything here asks; `askesis.lab.diagnose.figures` counts. Only train and decide tasks are seen:
the world is wrapped as a run sees it, and refuses claim tasks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from askesis.errors import ModelError, WorldError
from askesis.lab.diagnose.asked import Probe, Probed, Try
from askesis.lab.diagnose.likelihoods import (
    preferred_gaps,
    prompt_tokens,
    with_checks,
    with_references,
)
from askesis.lab.speech import ROWS_AT_ONCE, Answerer
from askesis.records import Purpose, Start, StopReason, Task, TaskRole
from askesis.requests import Check, Sampling, Say
from askesis.rng import Streams
from askesis.speakers import check

ENOUGH = (
    50  # tasks of one role; with fewer decide tasks, train tasks are taken where there are more
)
FIRST_SLICE = 2  # tasks; then twice as many each time, so that a slow model is soon found out
_DRAWS = 4  # of as many tasks as are wanted; one draw may hold a task twice
OnProgress = Callable[[str, int, int], None]


def probe(
    model: Any,
    world: Any,
    *,
    num_tasks: int,
    num_attempts: int,
    engine: str = "auto",
    seed: int = 0,
    seconds: float = math.inf,
    on_progress: OnProgress | None = None,
) -> Probe:
    """Ask. world: as a run sees it (`RunView`). seconds: sampling takes no further slice of tasks
    that would end later. Raises WorldError without a task, ModelError where nothing can be said."""
    tasks, role = draw_tasks(world, num_tasks)
    notes = []
    if len(tasks) < num_tasks:
        notes.append(f"the world gave {len(tasks)} different tasks of role {role.value}")
    if role is not TaskRole.DECIDE:
        notes.append("train tasks were asked, because there are too few decide tasks")
    answerer = Answerer(model, engine=engine, allowance=int(world.max_answer_tokens))
    try:
        began = time.perf_counter()
        found = _sampled(answerer, world, tasks, num_attempts, seed, began + seconds, on_progress)
        taken = time.perf_counter() - began
        if len(found) < len(tasks):
            notes.append(
                f"{len(found)} of {len(tasks)} tasks were asked within {seconds:.0f} s "
                "(--seconds gives more)"
            )
        _refuse_silence(found)
        capable = "score" in answerer.speakers.capabilities("policy")
        kind = ""
        preferred: tuple[float, ...] = ()
        if capable:
            kind, found = with_references(answerer, world, found, seed)
            found = with_checks(answerer, model, found)
            preferred = preferred_gaps(answerer, world, [p.task for p in found], seed)
        else:
            notes.append("the engine gives no likelihoods of given texts: coverage is not known")
        lengths = [prompt_tokens(answerer, Start(p.task)) for p in found]
    finally:
        answerer.close()
    return Probe(
        tuple(found), role.value, num_attempts, "answer" in world.truth, kind, preferred,
        float(np.mean([n for n in lengths if n is not None] or [0])), taken, tuple(notes),
    )  # fmt: skip


def draw_tasks(world: Any, num: int) -> tuple[list[Task], TaskRole]:
    """Different decide tasks, or train tasks where there are too few of them; the same every time.

    Raises WorldError where there is no task of either role.
    """
    best: tuple[list[Task], TaskRole] | None = None
    problem: WorldError | None = None
    for role in (TaskRole.DECIDE, TaskRole.TRAIN):
        try:
            tasks = _most(world, role, num)
        except WorldError as error:
            problem = problem or error
            continue
        if len(tasks) >= min(num, ENOUGH):
            return tasks, role
        if best is None or len(tasks) > len(best[0]):
            best = tasks, role
    if best is None:
        assert problem is not None
        raise problem
    return best


def _most(world: Any, role: TaskRole, num: int) -> list[Task]:
    """As many different tasks as there are, up to `num`."""
    wanted = num
    while True:
        rng = Streams(0).generator("diagnose", world.id, role.value)
        try:
            found: dict[str, Task] = {}
            for _ in range(_DRAWS):
                for task in world.draw(role, rng, wanted):
                    found.setdefault(world.canonical(task), task)
                if len(found) >= wanted:
                    break
            return list(found.values())[:wanted]
        except WorldError:
            if wanted <= 1:
                raise
            wanted //= 2


def _sampled(
    answerer: Answerer,
    world: Any,
    tasks: Sequence[Task],
    num_attempts: int,
    seed: int,
    until: float,
    on_progress: OnProgress | None,
) -> list[Probed]:
    """Attempts at the tasks, slice by slice; the noise of one depends on its task alone."""
    sampling = Sampling(max_tokens=int(world.max_answer_tokens))
    streams, found = Streams(seed), list[Probed]()
    priced = "logp" in answerer.speakers.capabilities("policy")
    began, size = time.perf_counter(), FIRST_SLICE
    while len(found) < len(tasks):
        part = tasks[len(found) : len(found) + size]
        now = time.perf_counter()
        if found and now + (now - began) / len(found) * len(part) > until:
            break
        asked = [
            Say("policy", Start(task), (), sampling, streams.key(task.id, i), Purpose.MEASURE)
            for task in part
            for i in range(num_attempts)
        ]
        turns = answerer.speakers.say(asked)
        tries = _checked(world, [r.start.task for r in asked], turns, priced)
        for i, task in enumerate(part):
            found.append(Probed(task, tuple(tries[i * num_attempts : (i + 1) * num_attempts])))
        if on_progress is not None:
            on_progress("asking", len(found), len(tasks))
        size = min(2 * size, max(1, ROWS_AT_ONCE // num_attempts))
    return found


def _checked(world: Any, tasks: list[Task], turns: list[Any], priced: bool) -> list[Try]:
    """Turns with what the verifier says of them; a failure scores 0. priced: whether the engine's
    log-probabilities mean anything."""
    spoken = [i for i, t in enumerate(turns) if not isinstance(t, Exception)]
    verdicts: dict[int, Any] = {}
    if "answer" in world.truth:
        asked = [Check(world, tasks[i], turns[i].text) for i in spoken]
        verdicts = dict(zip(spoken, check(asked), strict=True))
    found = []
    for i, turn in enumerate(turns):
        if isinstance(turn, Exception):
            found.append(Try("", 0.0, "", 0, math.nan, StopReason.FAILED, str(turn)))
            continue
        logp = float(np.sum(turn.logp_model)) if priced and len(turn.tokens) else math.nan
        verdict, score, answer, error = verdicts.get(i), 0.0, "", ""
        if isinstance(verdict, Exception):
            error = f"the verifier failed: {type(verdict).__name__}: {verdict}"
        elif verdict is not None:
            score, answer = float(verdict.score), verdict.answer
        elif hasattr(world, "extract"):
            answer = world.extract(turn.text)
        found.append(Try(turn.text, score, answer, len(turn.tokens), logp, turn.stop, error))
    return found


def _refuse_silence(found: Sequence[Probed]) -> None:
    """ModelError where every attempt failed: there is nothing to diagnose."""
    errors = [t.error for p in found for t in p.tries if t.error]
    if errors and len(errors) == sum(len(p.tries) for p in found):
        raise ModelError("no attempt could be made", found=errors[0])
