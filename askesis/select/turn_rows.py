"""Attempts of several turns: what each was worth, and rows in which chosen ones are learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.records import Attempt, Group, StopReason, TokenOrigin, Turn
from askesis.records import Sequence as Row

Scores = dict[int, float]  # place of a turn in its attempt -> what it was worth


def judged_turns(
    groups: Sequence[Group], verdicts: Any, *, judge: str = "", cut_off: bool = True
) -> Iterator[list[tuple[Attempt, Scores]]]:
    """Per group, the attempts that count with the score of each answer, in order.

    Attempts that failed, that nobody knows the worth of, and without `cut_off` those in which an
    answer was cut off, are left out, and so are groups without any. Raises ConfigError where
    attempts were judged, but none turn by turn.
    """
    found: list[list[tuple[Attempt, Scores]]] = []
    num_judged = num_known = 0
    for group in groups:
        inside = []
        for attempt in group.attempts:
            if attempt.stop is StopReason.FAILED or (not cut_off and _is_cut(attempt)):
                continue
            said = verdicts.of(attempt, judge=judge)
            num_judged += any(v.value is not None for v in said)
            scores = scores_of(attempt, said)
            if scores:
                num_known += 1
                inside.append((attempt, scores))
        if inside:
            found.append(inside)
    if num_judged and not num_known:
        raise ConfigError(
            "this selector needs a score for every turn of an attempt",
            found="verdicts about whole attempts alone",
            hint="let judge=TurnVerifier() judge them",
        )
    return iter(found)


def scores_of(attempt: Attempt, verdicts: Sequence[Any]) -> Scores:
    """The scores of an attempt's turns by the last verdict that has one for each; {} without."""
    for verdict in reversed(list(verdicts)):
        about = verdict.about
        if about.other or about.node >= 0 or not verdict.vector:
            continue
        if len(about.spans) == len(verdict.vector) and verdict.value is not None:
            return {
                place: float(score)
                for (place, _, _), score in zip(about.spans, verdict.vector, strict=True)
            }
    return {}


def rows_of_turns(
    turns: Sequence[Turn], role: str, numbers: Mapping[int, Mapping[str, float | np.ndarray]]
) -> list[Row]:
    """Sequences in which chosen turns of a role are learnt and everything else is read.

    numbers: place of a turn -> the columns of its tokens, a number for all of them or one for each,
    "weight" among them (1 where it is left out); turns that are not named weigh 0. Tokens that were
    forced or given always weigh 0. All rows have all columns, 0 where nothing is learnt.

    As long as contexts nest the turns make one sequence; where a turn did not read what was said
    before (a window, a template that rewrites the past) a new one begins.
    """
    names = sorted({"weight", *(name for given in numbers.values() for name in given)})
    found: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    for place, turn in enumerate(turns):
        if turn.role != role or not len(turn.tokens):
            continue
        given = numbers.get(place)
        sampled = np.ones(len(turn.tokens), np.float32)
        if turn.origin is not None:
            sampled = (np.asarray(turn.origin) == TokenOrigin.SAMPLED).astype(np.float32)
        tokens = np.concatenate([turn.context, turn.tokens]).astype(np.int32)
        columns = {name: np.zeros(len(tokens), np.float32) for name in names}
        if given is not None:
            for name in names:
                value = given.get(name, 1.0 if name == "weight" else 0.0)
                columns[name][len(turn.context) :] = value * sampled
        if found:
            earlier, learnt = found[-1]
            if np.array_equal(turn.context[: len(earlier)], earlier):
                for name in names:
                    columns[name][: len(earlier)] = learnt[name]
                found.pop()
        found.append((tokens, columns))
    return [Row(tokens, columns) for tokens, columns in found if columns["weight"].any()]


def _is_cut(attempt: Attempt) -> bool:
    return any(t.stop.cut_off for t in attempt.turns if t.role != "world")
