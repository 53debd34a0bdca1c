"""Attempts to token sequences: which tokens a model reads, and which it answers for."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import replace
from typing import Any

import numpy as np

from askesis.records import Attempt, Purpose, Sequence, TokenOrigin, Turn


def without_privilege(ctx: Any, attempt: Attempt, role: str) -> tuple[Turn, ...]:
    """The attempt's turns as if the privileged text had never been there.

    What `role` read is rendered anew without it, turn by turn (a later turn's context contains
    the earlier ones'); what it said stays. Attempts without privileged text come back as they
    are.
    """
    if attempt.start.privileged is None:
        return attempt.turns
    clean = replace(attempt.start, privileged=None, tag="")
    turns: list[Turn] = []
    for turn in attempt.turns:
        if turn.role == role:
            turn = replace(turn, context=ctx.render(role, clean, turns))
        turns.append(turn)
    return tuple(turns)


def sequences_of(
    turns: Many[Turn], role: str, demonstration: bool = False, *, sampling_logp: bool = False
) -> list[Sequence]:
    """Sequences with a "weight" column from the turns of one role.

    A token weighs 1 if the role sampled it, its end token included where it gave one, and 0 if
    it is context, forced, or given. In a demonstration nothing is sampled, and everything the
    role is shown to say weighs 1.

    sampling_logp: a column "logp_sampling" as well, what the sampler says it drew from; 0 where
    nothing is learnt or the sampler does not say.

    As long as contexts nest (what the role read before its next turn begins with all it read and
    said before), the turns of an attempt make one sequence; where a template rewrites the past a
    new one begins, so that no token is learnt after a context it was not said in.
    """
    found: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    for turn in turns:
        if turn.role != role or not len(turn.tokens):
            continue
        own = {"weight": np.ones(len(turn.tokens), np.float32)}
        if turn.origin is not None and not demonstration:
            own["weight"] = (np.asarray(turn.origin) == TokenOrigin.SAMPLED).astype(np.float32)
        if sampling_logp:
            known = len(turn.logp_sampling) == len(turn.tokens)
            logp = np.nan_to_num(turn.logp_sampling) if known else np.zeros(len(turn.tokens))
            own["logp_sampling"] = logp.astype(np.float32)
        tokens = np.concatenate([turn.context, turn.tokens]).astype(np.int32)
        read = np.zeros(len(turn.context), np.float32)
        columns = {name: np.concatenate([read, column]) for name, column in own.items()}
        if found:
            earlier, learnt = found[-1]
            if len(turn.context) >= len(earlier) and np.array_equal(
                turn.context[: len(earlier)], earlier
            ):
                for name, column in learnt.items():
                    columns[name][: len(column)] = column
                found.pop()
        found.append((tokens, columns))
    return [Sequence(tokens, columns) for tokens, columns in found if columns["weight"].any()]


def is_demonstration(attempt: Attempt) -> bool:
    """Whether a demonstrator wrote the attempt, so that all it says may be learnt."""
    return attempt.purpose is Purpose.DEMONSTRATION
