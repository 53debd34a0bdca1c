"""Answer, feedback, refined answer: what of such an exchange is learnt, and by whom.

feedback    task, answer                -> feedback            (the critic's lesson)
refined     task, answer, feedback      -> refined answer
direct      task                        -> refined answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from askesis.records import Sequence as Row
from askesis.records import Start, Turn

Term = Literal["feedback", "refined", "direct"]
TERMS: tuple[Term, ...] = get_args(Term)


@dataclass(frozen=True, slots=True)
class Exchange:
    """`feedback` is None where nobody gave any, `refined` where there is no better answer."""

    start: Start
    answer: Turn
    feedback: str | None
    refined: str | None


def exchange_row(ctx: Any, exchange: Exchange, term: Term, role: str, critic: str) -> Row | None:
    """One lesson of an exchange: its last part weighs 1, all before it is read. None where it is
    not there. Privileged text and what stood before the answer are left out."""
    start = replace(exchange.start, prefix=(), privileged=None, tag="")
    told = exchange.feedback
    if term == "feedback":
        if told is None:
            return None
        return _row(ctx, critic, ctx.render(critic, start, [exchange.answer]), told)
    if exchange.refined is None:
        return None
    if term == "direct":
        return _row(ctx, role, ctx.render(role, start), exchange.refined)
    if told is None:
        return None
    answer = exchange.answer
    context = ctx.render(role, start)
    if not np.array_equal(answer.context, context):  # it was said behind something else
        answer = replace(answer, context=context)
    read = ctx.render(role, start, [answer, Turn(critic, told)])
    return _row(ctx, role, read, exchange.refined)


def _row(ctx: Any, role: str, context: np.ndarray, text: str) -> Row:
    said = np.append(ctx.encode(role, text), ctx.end_token(role))
    tokens = np.concatenate([context, said]).astype(np.int32)
    weight = np.concatenate([np.zeros(len(context)), np.ones(len(said))])
    return Row(tokens, {"weight": weight.astype(np.float32)})


def weighed(row: Row, coef: float) -> Row:
    """A row whose tokens weigh `coef` as much."""
    return (
        row if coef == 1 else Row(row.tokens, {"weight": row.columns["weight"] * np.float32(coef)})
    )


def term_limits(terms: Sequence[str], direct_coef: float) -> dict[str, tuple[bool, str]]:
    """What `must_fit` wants to know of a selector of exchanges."""
    known = bool(terms) and all(t in TERMS for t in terms)
    return {
        "terms": (known, f"some of {', '.join(TERMS)}"),
        "direct_coef": (0 < direct_coef < float("inf"), "above 0"),
    }
