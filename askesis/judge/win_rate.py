"""How often an attempt is preferred to others: the judge of games of preferences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError, WorldError
from askesis.formulas.games import win_rates, win_rates_against
from askesis.records import About, Attempt, Group, StopReason, Verdict, VerdictKind

Opponents = Literal["group", "opponent"]


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """Each attempt's share of wins in comparisons that the world's annotators make.

    opponents: "group": every attempt is compared with the others of its group (SPO, card [213]);
        "opponent": those of the role with those of `opponent` (Nash-MD, card [196]).
    num_votes: annotators asked about each pair, at least 1; 0 takes the exact probability.
    role: whose attempts get a verdict. opponent: whom they are compared with.

    Every unordered pair is asked about once, so wins and losses of a group add up. The verdict's
    draws are the shares against each opponent. Attempts that failed, and those without anybody to
    be compared with, are unknown. Signed "win-rate:<world id>". Raises WorldError where the world
    has no preferences.
    """

    opponents: Opponents = "group"
    num_votes: int = 1
    role: str = "policy"
    opponent: str = "opponent"

    def __post_init__(self) -> None:
        if self.opponents not in get_args(Opponents) or self.num_votes < 0:
            raise ConfigError(
                "WinRate.opponents or num_votes is out of range",
                expected="group or opponent, and at least 0",
                found=f"{self.opponents!r}, {self.num_votes}",
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        num_votes, role, other = self.num_votes, self.role, self.opponent
        mine = [a for a in group.attempts if _said_by(a, role)]
        rng = ctx.generator("annotators", group.key)
        if self.opponents == "group" and len(group.attempts) == 1:
            raise ConfigError(
                "attempts are compared within their group, which needs two of a task",
                found="a group of one",
                hint="--explore.num-attempts 2 or more",
            )
        if self.opponents == "group":
            shares = self._round_robin(ctx, mine, num_votes, rng)
            rates = win_rates(shares) if len(mine) > 1 else None
            draws = [np.delete(row, i) for i, row in enumerate(shares)]
        else:
            others = [a for a in group.attempts if _said_by(a, other)]
            shares = np.array([[_share(ctx, a, b, num_votes, rng) for b in others] for a in mine])
            rates = win_rates_against(shares) if others and mine else None
            draws = list(shares)
        if rates is None:
            return [_verdict(a, None, ()) for a in mine]
        return [_verdict(a, float(r), d) for a, r, d in zip(mine, rates, draws, strict=True)]

    @staticmethod
    def _round_robin(
        ctx: Any, attempts: list[Attempt], num_votes: int, rng: np.random.Generator
    ) -> np.ndarray:
        shares = np.full((len(attempts), len(attempts)), 0.5)
        for i in range(len(attempts)):
            for j in range(i + 1, len(attempts)):
                shares[i, j] = _share(ctx, attempts[i], attempts[j], num_votes, rng)
                shares[j, i] = 1 - shares[i, j]
        return shares


def _said_by(attempt: Attempt, role: str) -> bool:
    return attempt.stop is not StopReason.FAILED and any(t.role == role for t in attempt.turns)


def _share(ctx: Any, first: Attempt, second: Attempt, num: int, rng: np.random.Generator) -> float:
    """The share of votes for the first of two attempts."""
    world = ctx.world_of(first.task)
    if "preference" not in world.truth or not hasattr(world, "preference"):
        raise WorldError(
            f"nobody compares answers in world {world.id!r}", hint="--world preferences"
        )
    exact = float(world.preference(first.task, first.text, second.text))
    return exact if num == 0 else float((rng.random(num) < exact).mean())


def _verdict(attempt: Attempt, value: float | None, draws: Any) -> Verdict:
    judge = f"win-rate:{attempt.task.family}"
    votes = tuple(float(d) for d in draws)
    return Verdict(judge, About(attempt.id), VerdictKind.OUTCOME, value, draws=votes)
