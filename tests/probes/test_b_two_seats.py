"""Probe (b): a two-seat game, a reward per role, and an opponent from an earlier round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.learn.learner import Learn
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, RoleSpec, Until
from askesis.records import Attempt, Start, StopReason, Turn, Verdict
from askesis.requests import Transition
from tests.probes.house import Draw, LetterWorld, Weighted, attempts_of, run_plan, verdict

BEATS = {("r", "s"), ("s", "p"), ("p", "r")}


class Game(LetterWorld):
    """Rock, paper, scissors: seat 0 (policy) and seat 1 (opponent) each say one letter."""

    def initial(self, task: Any) -> str:
        return ""

    def observe(self, task: Any, state: str, seat: int = 0) -> str:
        return task.prompt  # nobody sees the other's move

    def step(self, task: Any, state: str, action: str, seat: int = 0) -> Transition:
        moves = state + (action[:1] or "?")
        if len(moves) < 2:
            return Transition(moves, seat=1)
        a, b = moves
        won = float((a, b) in BEATS) - float((b, a) in BEATS)
        return Transition(moves, rewards={"policy": won, "opponent": -won}, done=True)


@dataclass(frozen=True, kw_only=True)
class Play:
    """One match a start: each seat speaks from what it sees."""

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        task, world = start.task, ctx.world_of(start.task)
        state, seat, turns, moved = world.initial(task), 0, [], Transition("")
        while not moved.done:
            role = ("policy", "opponent")[seat]
            turn: Turn = await ctx.say(role, start, (), max_tokens=1, draw=seat)
            moved = await ctx.step(task, state, turn.text, seat)
            turns.append(turn)
            state, seat = moved.state, moved.seat
        stop = StopReason.DONE
        return [Attempt(ctx.attempt_id(start, 0), start, tuple(turns), stop, rewards=moved.rewards)]


@dataclass(frozen=True, kw_only=True)
class Winnings:
    """A verdict per role: what that role won."""

    async def judge(self, ctx: Any, group: Any) -> list[Verdict]:
        return [
            verdict("winnings", a, value, role=role)
            for a in group.attempts
            for role, value in a.rewards.items()
        ]


@dataclass(frozen=True, kw_only=True)
class PolicyRows(Weighted):
    """The policy learns from what the policy won."""

    def select(self, ctx: Any, groups: Any, verdicts: Any) -> Any:
        own = type(verdicts)(v for v in verdicts if v.about.role == "policy")
        return super().select(ctx, groups, own)


def test_a_seat_learns_to_beat_the_opponent_it_was_a_round_ago(tmp_path):
    rock = [[0.0] * 6 for _ in range(6)]
    rock[0][1] = 2.0  # after "g", mostly rock
    learn = Learn(learning_rate=0.3, schedule="constant")
    parts = Parts(tasks=Draw(num=64), explore=Play(), judge=Winnings(),
                  select={"policy": PolicyRows()}, learn={"policy": learn})  # fmt: skip
    plan = Plan(
        recipe="probe_b",
        phases=(Phase(parts=parts, until=Until(rounds=6)),),
        roles={"policy": RoleSpec(), "opponent": RoleSpec(snapshot="previous")},
    )
    models = {"policy": TabularModel("policy", "grps", rock)}
    run = run_plan(plan, {"main": Game({"g": "r"})}, models, tmp_path / "run")
    speakers = {t.role: set() for t in (Turn("policy"), Turn("opponent"))}
    for attempt in attempts_of(run, 3):
        for turn in attempt.turns:
            speakers[turn.role].add(turn.speaker)
    assert speakers == {"policy": {"policy@3"}, "opponent": {"policy@2"}}
    logits = models["policy"].next_logits([models["policy"].renderer.encode("g")])[0]
    assert logits[2] - logits[1] > -2.0 + 0.1, "paper gained on rock, which the opponent played"
