"""What the model gives to texts that somebody else chose: references, its own attempts, pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.errors import AskesisError
from askesis.lab.diagnose.asked import Probed
from askesis.lab.diagnose.subject import NAME
from askesis.lab.speech import Answerer
from askesis.records import Purpose, Start, Task, Turn
from askesis.requests import Score
from askesis.rng import Streams

CHECKED_TASKS, CHECKED_EACH = 100, 2  # tasks, and right and wrong answers of each, to self-check
NUM_PAIRS = 100
QUESTION = (
    "{prompt}\n\nProposed answer:\n{answer}\n\nIs the proposed answer right? Answer yes or no."
)


def with_references(
    answerer: Answerer, world: Any, found: list[Probed], seed: int
) -> tuple[str, list[Probed]]:
    """Every task with a right answer that somebody else wrote, and its likelihood."""
    shown = "demonstration" in world.truth
    rng = Streams(seed).generator("diagnose", "references")
    texts: list[str | None] = []
    for probed in found:
        text = world.demonstrate(probed.task, rng) if shown else None
        texts.append(probed.task.answer if text is None else text)
    if not any(texts):
        return "", found
    asked = [(i, t) for i, t in enumerate(texts) if t]
    answers = _scores(answerer, [(Start(found[i].task), t) for i, t in asked])
    made = list(found)
    for (i, text), logp in zip(asked, answers, strict=True):
        if logp is not None:
            total = min(0.0, float(np.sum(logp)))
            made[i] = replace(
                made[i], reference=text, reference_logp=total, reference_tokens=len(logp)
            )
    return ("demonstration" if shown else "answer"), made


def with_checks(answerer: Answerer, model: Any, found: list[Probed]) -> list[Probed]:
    """Some right and wrong attempts of tasks that have both, with the model's own verdict."""
    asked: list[tuple[int, bool, Start]] = []
    mixed = [i for i, p in enumerate(found) if 0 < sum(t.right for t in p.tries) < len(p.tries)]
    for i in mixed[:CHECKED_TASKS]:
        for right in (True, False):
            texts = dict.fromkeys(t.text for t in found[i].tries if t.right is right)
            for text in list(texts)[:CHECKED_EACH]:
                prompt = QUESTION.format(prompt=found[i].task.prompt, answer=text)
                asked.append((i, right, Start(Task(f"check {i}", "self-check", prompt))))
    if not _can_read(model, QUESTION + "yesno"):
        return found
    words = [(start, word) for _, _, start in asked for word in ("yes", "no")]
    scores = _scores(answerer, words)
    made = list(found)
    for n, (i, right, _) in enumerate(asked):
        yes, no = scores[2 * n], scores[2 * n + 1]
        if yes is not None and no is not None:
            odds = float(np.sum(yes) - np.sum(no))
            made[i] = replace(made[i], checks=(*made[i].checks, (right, odds)))
    return made


def preferred_gaps(
    answerer: Answerer, world: Any, tasks: Sequence[Task], seed: int
) -> tuple[float, ...]:
    """How much likelier than the other answer the preferred one is, a pair a task."""
    if not hasattr(world, "annotated_pair"):
        return ()
    rng = Streams(seed).generator("diagnose", "pairs")
    asked = []
    for task in tasks[:NUM_PAIRS]:
        better, worse, share = world.annotated_pair(task, rng, 1)
        if share > 0.5:
            asked += [(Start(task), better), (Start(task), worse)]
    scores = _scores(answerer, asked)
    return tuple(
        float(np.sum(better) - np.sum(worse))
        for better, worse in zip(scores[::2], scores[1::2], strict=True)
        if better is not None and worse is not None
    )


def _scores(answerer: Answerer, asked: Sequence[tuple[Start, str]]) -> list[Any]:
    """Log-probabilities per token of each text; None where it cannot be read or does not fit."""
    model = answerer.speakers.models[NAME]
    readable = [_can_read(model, s.task.prompt) and _can_read(model, t) for s, t in asked]
    room = model.renderer.context_length
    rows = []
    for (start, text), can in zip(asked, readable, strict=True):
        length = prompt_tokens(answerer, start) if can else None
        can = length is not None and length + len(model.renderer.encode(text)) + 1 <= room
        rows.append(
            Score("policy", start, (), Turn("policy", text), Purpose.MEASURE) if can else None
        )
    there = [row for row in rows if row is not None]
    answers = iter(answerer.speakers.score(there) if there else [])
    found = [None if row is None else next(answers) for row in rows]
    return [None if isinstance(f, Exception) else f for f in found]


def prompt_tokens(answerer: Answerer, start: Start) -> int | None:
    """Tokens of a prompt; None where it cannot be written for this model."""
    try:
        return len(answerer.speakers.render("policy", start))
    except AskesisError:
        return None


def _can_read(model: Any, text: str) -> bool:
    """Whether the model has tokens for a text (a little alphabet may not)."""
    try:
        model.renderer.encode(text)
    except Exception:
        return False
    return True
