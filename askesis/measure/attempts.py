"""Which of a round's attempts are measured, and what they said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from askesis.records import Attempt, Group, StopReason, TaskRole, TokenOrigin, Turn

LONGEST_ANSWER = 100_000  # characters; anything longer is no answer


def train_attempts(groups: Sequence[Group]) -> tuple[list[list[Attempt]], list[Attempt]]:
    """Attempts of train tasks per group, and apart from them those that read a hint."""
    plain, hinted = [], []
    for group in groups:
        mine = [a for a in group.attempts if a.task.role is TaskRole.TRAIN]
        open_eyed = [a for a in mine if a.start.privileged is None]
        hinted += [a for a in mine if a.start.privileged is not None]
        if open_eyed:
            plain.append(open_eyed)
    return plain, hinted


def answer_of(ctx: Any, attempt: Attempt, by: str = "answer", text: str | None = None) -> str:
    """What two attempts are compared by; "" where nothing was said.

    by: "answer", what the world's `extract` finds (where the world has that), or "text", the whole
    text with its white space made even. text: another text than the attempt's last words.
    """
    said = attempt.text if text is None else text
    if attempt.stop is StopReason.FAILED or len(said) > LONGEST_ANSWER:
        return ""
    extract = getattr(ctx.world_of(attempt.task), "extract", None) if by == "answer" else None
    return str(extract(said)) if extract is not None else " ".join(said.split())


def own_turns(attempt: Attempt, role: str) -> list[Turn]:
    """The turns of an attempt that `role` spoke, in order."""
    return [t for t in attempt.turns if t.role == role]


def surprise(attempt: Attempt) -> tuple[float, int]:
    """Minus the summed log-probabilities of the sampled tokens under the distribution they were
    drawn from, in nats, and their number; tokens whose probability is unknown are left out."""
    total, num = 0.0, 0
    for turn in attempt.turns:
        if turn.role == "world" or len(turn.logp_sampling) != len(turn.tokens):
            continue
        counts = ~np.isnan(turn.logp_sampling)
        if turn.origin is not None:
            counts &= turn.origin == TokenOrigin.SAMPLED
        total -= float(turn.logp_sampling[counts].sum(dtype=np.float64))
        num += int(counts.sum())
    return total, num


def whole_groups(ctx: Any, groups: list[list[Attempt]], num_attempts: int) -> list[list[Attempt]]:
    """Groups of about `num_attempts` attempts together, chosen at random, in their own order."""
    chosen, taken = [], 0
    for place in ctx.generator("groups").permutation(len(groups)):
        if taken >= num_attempts:
            break
        chosen.append(int(place))
        taken += len(groups[place])
    return [groups[i] for i in sorted(chosen)]


def agreed(answers: Sequence[str], right: Sequence[bool]) -> tuple[list[str], list[bool]]:
    """Answers and correctness as a vote needs them. Where equal answers were scored differently
    (the score looks at more than the answer) an answer is as right as most of those who gave it."""
    share: dict[str, list[bool]] = {}
    for answer, is_right in zip(answers, right, strict=True):
        share.setdefault(answer, []).append(bool(is_right))
    return list(answers), [2 * sum(share[a]) > len(share[a]) for a in answers]
