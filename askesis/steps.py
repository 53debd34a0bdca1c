"""What judges of steps say, and what it means: the contract between them and who reads them.

A judge of steps says one verdict an attempt: `vector` has a number a step, `about.spans` says which
tokens each step is, and the verdict's kind what the numbers mean:

    value         the outcome to be expected after the step
    advantage     by how much the step changed what is to be expected
    correctness   whether the step is right, in [0, 1]
    log_ratio     log-probability of the step under one model less that under another, times a
                  scale; the sum over all steps is the whole attempt's

The steps are consecutive pieces of what one role said, in order: (turn, first token, one past the
last). They need not reach the end: behind a first error correctness has no meaning. Before the
steps of kind value may stand an empty span, (turn, n, n): what was to be expected before the first
step. The verdict's `value` is unknown, so that nobody takes a step's number for the worth of the
attempt; `askesis.judge.steps.aggregated` makes that of them. A judge that does not know says no
vector, and why. `StepScores` is all this in one value; nothing that breaks it comes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.finite import finite
from askesis.records import (
    NOTHING,
    About,
    Attempt,
    Start,
    StopReason,
    Task,
    TokenOrigin,
    Turn,
    Verdict,
    VerdictKind,
)
from askesis.text.critique import question
from askesis.text.steps import step_ends

Span = tuple[int, int, int]
Decode = Callable[[np.ndarray], str]
MEANINGS = (
    VerdictKind.VALUE,
    VerdictKind.ADVANTAGE,
    VerdictKind.CORRECTNESS,
    VerdictKind.LOG_RATIO,
)
SEPARATORS = ",;\n"  # between which steps stand in the answers of our own worlds


@dataclass(frozen=True, slots=True)
class StepScores:
    """Numbers of an attempt's steps.

    values: float64 (K,). meaning: one of `MEANINGS`. spans: K of (turn, first token, one past the
    last). before: with meaning value, what was to be expected before the first step, where known.
    ConfigError where a number is not finite, out of its range, or where spans are not in order.
    """

    values: np.ndarray
    meaning: VerdictKind
    spans: tuple[Span, ...]
    before: float | None = None

    def __post_init__(self) -> None:
        values = finite("scores of steps", self.values)
        object.__setattr__(self, "values", values)
        if self.meaning not in MEANINGS:
            _refuse("the meaning of steps' scores", " or ".join(MEANINGS), self.meaning)
        if values.shape != (len(self.spans),):
            _refuse("scores of steps", f"{len(self.spans)} numbers", f"shape {values.shape}")
        if self.before is not None:
            finite("the score before the first step", self.before)
            if self.meaning is not VerdictKind.VALUE:
                _refuse("a score before the first step", "meaning value", self.meaning)
        is_share = self.meaning is VerdictKind.CORRECTNESS
        if is_share and len(values) and not 0 <= values.min() <= values.max() <= 1:
            _refuse("correctness", "numbers in [0, 1]", f"{values.min():g} to {values.max():g}")
        last = (0, 0)
        for turn, first, end in self.spans:
            if (turn, first) < last or end <= first:
                _refuse("spans of steps", "in order, and none empty", str(self.spans))
            last = (turn, end)


def step_verdict(
    judge: str,
    attempt: Attempt,
    scores: StepScores,
    *,
    draws: Sequence[float] = (),
    rationale: str = "",
    cost: int = 0,
) -> Verdict:
    """What a judge of steps says of one attempt."""
    spans, vector = scores.spans, tuple(float(v) for v in scores.values)
    if scores.before is not None:
        place = spans[0][:2] if spans else (0, 0)
        spans = ((place[0], place[1], place[1]), *spans)
        vector = (float(scores.before), *vector)
    return Verdict(
        judge,
        About(attempt.id, spans=spans),
        scores.meaning,
        None,
        vector,
        tuple(float(d) for d in draws),
        rationale,
        cost,
    )


def no_steps(judge: str, attempt: Attempt, meaning: VerdictKind, why: str) -> Verdict:
    """What a judge of steps says where it does not know."""
    return Verdict(judge, About(attempt.id), meaning, None, rationale=why)


def scores_of(verdict: Verdict) -> StepScores | None:
    """The scores in a verdict about the steps of an attempt; None in any other one."""
    about = verdict.about
    if verdict.kind not in MEANINGS or about.other or about.node >= 0 or not verdict.vector:
        return None
    spans, values, before = about.spans, verdict.vector, None
    if len(spans) != len(values):
        _refuse(f"verdict of judge {verdict.judge}", f"{len(spans)} numbers", str(len(values)))
    if spans[0][1] == spans[0][2]:
        spans, values, before = spans[1:], values[1:], values[0]
    try:
        return StepScores(np.array(values, np.float64), verdict.kind, spans, before)
    except ConfigError as error:
        raise ConfigError(f"judge {verdict.judge} on {about.attempt}: {error}") from error


def step_scores(
    verdicts: Any, attempt: Attempt, judge: str = "", meaning: str = ""
) -> StepScores | None:
    """The last scores of an attempt's steps among a round's verdicts; None without any.

    judge: whose (id, with or without version); "" anybody's. meaning: one of `MEANINGS`; "" any.
    """
    for verdict in reversed(verdicts.of(attempt, judge=judge, kind=meaning)):
        found = scores_of(verdict)
        if found is not None:
            return found
    return None


def were_judged(verdicts: Any, attempts: Iterable[Attempt], judge: str, meaning: str) -> bool:
    """Whether anybody was asked about the steps of these attempts, knowing them or not."""
    wanted = (meaning,) if meaning else MEANINGS
    return any(
        v.kind in wanted and v.value is None and not v.about.other and v.about.node < 0
        for attempt in attempts
        for v in verdicts.of(attempt, judge=judge)
    )


# ---------------------------------------------------------------- where the steps are


def steps_of(
    attempt: Attempt, decode: Decode, separators: str = SEPARATORS, role: str = "policy"
) -> tuple[Span, ...]:
    """The steps of what a role said in an attempt; together they are all its tokens.

    decode: from token ids to text. separators: characters between which steps stand; what stands
    between two steps belongs to the first, the end token to the last. "": every token is a step.
    A turn in which nothing was said has none.
    """
    found: list[Span] = []
    for place, turn in enumerate(attempt.turns):
        if turn.role != role or not len(turn.tokens):
            continue
        if not separators:
            found += [(place, n, n + 1) for n in range(len(turn.tokens))]
            continue
        ends = step_ends(decode(turn.tokens), separators)
        first = 0
        for i, end in enumerate(_tokens_at(turn.tokens, ends, decode)):
            last = len(turn.tokens) if i == len(ends) - 1 else end
            if last > first:  # a token may hold the ends of several steps
                found.append((place, first, last))
                first = last
    return tuple(found)


def _tokens_at(tokens: np.ndarray, ends: Sequence[int], decode: Decode) -> list[int]:
    """How many tokens it takes to say so many characters, for each number in `ends`."""
    alone = {t: decode(np.array([t], tokens.dtype)) for t in set(tokens.tolist())}
    pieces = [alone[t] for t in tokens.tolist()]
    if "".join(pieces) == decode(tokens):
        lengths = np.cumsum([len(p) for p in pieces])
    else:  # characters made of several tokens, spaces that depend on what came before
        lengths = np.array([len(decode(tokens[: n + 1])) for n in range(len(tokens))])
    return [int(n) + 1 for n in np.searchsorted(np.maximum.accumulate(lengths), ends)]


def turns_up_to(attempt: Attempt, turn: int, num_tokens: int, decode: Decode) -> tuple[Turn, ...]:
    """What was said up to a token of a turn, which is open: whoever reads it can go on there."""
    last = attempt.turns[turn]
    tokens = last.tokens[:num_tokens]
    opened = replace(
        last,
        text=decode(tokens),
        tokens=tokens,
        origin=None if last.origin is None else last.origin[:num_tokens],
        logp_sampling=last.logp_sampling[:num_tokens],
        logp_model=last.logp_model[:num_tokens],
        stop=StopReason.OPEN,
        rewards=NOTHING,
        done=False,
        truncated=False,
    )
    return (*attempt.turns[:turn], opened)


def tokens_of_steps(attempt: Attempt, spans: Sequence[Span]) -> dict[int, np.ndarray]:
    """Which step each token of a turn belongs to: turn -> int64 (tokens,), -1 for none."""
    found: dict[int, np.ndarray] = {}
    for step, (turn, first, end) in enumerate(spans):
        if turn >= len(attempt.turns) or end > len(attempt.turns[turn].tokens):
            _refuse(f"spans of steps of attempt {attempt.id}", "tokens that it has", str(spans))
        if turn not in found:
            found[turn] = np.full(len(attempt.turns[turn].tokens), -1, np.int64)
        found[turn][first:end] = step
    return found


def aligned(
    attempt: Attempt,
    spans: Sequence[Span],
    values: Sequence[float],
    places: Sequence[tuple[int, int]],
    decode: Decode,
) -> np.ndarray:
    """Correctness of a world's own steps, which are places in the text, as that of ours.

    values, places: `Checked.steps` and `Checked.spans`, of the turn the spans are in. Returns (K,):
    a step of ours is as right as the worst of theirs that end in it, and right where none does (a
    remark).
    """
    tokens = attempt.turns[spans[0][0]].tokens
    ends = [len(decode(tokens[:end])) for _, _, end in spans]
    found = np.ones(len(spans))
    for value, (_, last) in zip(values, places, strict=True):
        k = min(int(np.searchsorted(ends, last)), len(ends) - 1)
        found[k] = min(found[k], value)
    return found


def critic_start(attempt: Attempt, spans: Sequence[Span], decode: Decode) -> Start:
    """Where a critic begins that shall say which of an attempt's steps is first wrong: a task of
    its own, posed by `askesis.text.critique.question`."""
    tokens = attempt.turns[spans[0][0]].tokens
    steps = [decode(tokens[first:end]) for _, first, end in spans]
    task = attempt.task
    prompt = question(task.prompt, steps)
    asked = Task(f"{attempt.id}/steps", task.family, prompt, None, task.difficulty, task.role)
    return Start(asked, copy=attempt.start.copy)


def sampled(turn: Turn) -> np.ndarray:
    """Which tokens of a turn its speaker drew, bool (tokens,)."""
    if turn.origin is None:
        return np.ones(len(turn.tokens), bool)
    return np.asarray(turn.origin) == TokenOrigin.SAMPLED


def _refuse(what: str, expected: str, found: object) -> None:
    raise ConfigError(
        f"{what} are not as judges of steps say them", expected=expected, found=str(found)
    )
