"""The world's verifier as a judge of every answer of an attempt, not of the last one alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import AskesisError, ConfigError
from askesis.records import About, Attempt, Group, StopReason, Turn, Verdict, VerdictKind
from askesis.requests import All


@dataclass(frozen=True, kw_only=True)
class TurnVerifier:
    """Scores each turn of a role with the world the attempt came from.

    role: whose turns are answers.
    unreadable: what an answer is worth in which the world finds none, at most 0; -1 in card [237].

    One verdict an attempt: `vector` has a score for each answer, `spans` says which turns those
    are, and `value` is the last one, so parts that know nothing of turns judge the attempt by how
    it ended. An attempt that failed or never answered gets 0. Where the world raises on an answer
    the verdict is unknown and says why; where it raises on all attempts of a group the error goes
    up. Verdicts are signed "turn-verifier:<world id>".
    """

    role: str = "policy"
    unreadable: float = 0.0

    def __post_init__(self) -> None:
        if not -float("inf") < self.unreadable <= 0:
            raise ConfigError(
                "TurnVerifier.unreadable is out of range",
                expected="at most 0",
                found=str(self.unreadable),
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        unreadable, role = self.unreadable, self.role
        found = await All([_one(ctx, a, role, unreadable) for a in group.attempts])
        raised = [f for f in found if isinstance(f, Exception)]
        if raised and len(raised) == len(found):
            raise raised[0]
        return [
            _verdict(a, (), (), None, f"{type(f).__name__}: {f}") if isinstance(f, Exception) else f
            for a, f in zip(group.attempts, found, strict=True)
        ]


async def _one(ctx: Any, attempt: Attempt, role: str, unreadable: float) -> Verdict | Exception:
    """A verdict, or what was raised as a value, so that siblings go on."""
    said = [(i, t) for i, t in enumerate(attempt.turns) if t.role == role]
    if attempt.stop is StopReason.FAILED or not said:
        return _verdict(attempt, (), (), 0.0, attempt.error or "nothing was said")
    try:
        checked = await All([ctx.check(attempt.task, turn.text) for _, turn in said])
    except AskesisError:
        raise  # a mistake of the configuration, such as truth where none may be used
    except Exception as error:
        return error
    scores = tuple(
        unreadable if not (c.answer or c.score) and unreadable else float(c.score) for c in checked
    )
    return _verdict(attempt, said, scores, scores[-1], checked[-1].why)


def _verdict(
    attempt: Attempt,
    said: list[tuple[int, Turn]] | tuple[()],
    scores: tuple[float, ...],
    value: float | None,
    why: str,
) -> Verdict:
    judge = f"turn-verifier:{attempt.task.family}"
    about = About(attempt.id, spans=tuple((i, 0, len(turn.tokens)) for i, turn in said))
    return Verdict(judge, about, VerdictKind.OUTCOME, value, scores, rationale=why)
