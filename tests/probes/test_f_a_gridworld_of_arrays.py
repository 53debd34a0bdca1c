"""Probe (f): a gridworld with array observations and a small perceptron, through `act`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from askesis.learn.learner import Learn
from askesis.models.array_policy import ArrayPolicy
from askesis.plan import Parts, Phase, Plan, Until
from askesis.records import Attempt, Group, Sample, Start, StopReason, Turn, Verdict
from askesis.requests import Transition
from tests.probes.house import Draw, LetterWorld, attempts_of, run_plan, verdict

SIZE, MOVES = 4, ((0, 1), (0, -1), (1, 0), (-1, 0))


class Grid(LetterWorld):
    """From the corner to the opposite corner of a 4 x 4 grid; observations are one-hot."""

    def initial(self, task: Any) -> list[int]:
        return [0, 0, 0]  # row, column, steps

    def observe(self, task: Any, state: list[int], seat: int = 0) -> np.ndarray:
        seen = np.zeros(SIZE * SIZE, np.float32)
        seen[state[0] * SIZE + state[1]] = 1
        return seen

    def step(self, task: Any, state: list[int], action: int, seat: int = 0) -> Transition:
        there = [min(max(state[i] + MOVES[action][i], 0), SIZE - 1) for i in (0, 1)]
        new, done = [*there, state[2] + 1], there == [SIZE - 1, SIZE - 1]
        reward = {"policy": 1.0 - 0.05 * new[2] if done else 0.0}
        return Transition(new, self.observe(task, new), reward, done, not done and new[2] >= 16)


@dataclass(frozen=True, kw_only=True)
class Roam:
    """Episodes by `act`; the steps of an episode are one array turn."""

    num_attempts: int = 8

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        return [await self.episode(ctx, start, i) for i in range(self.num_attempts)]

    async def episode(self, ctx: Any, start: Start, index: int) -> Attempt:
        world, state = ctx.world_of(start.task), ctx.world_of(start.task).initial(start.task)
        steps: list[tuple[Any, ...]] = []
        moved = Transition(state, world.observe(start.task, state))
        while not (moved.done or moved.truncated):
            did = await ctx.act("policy", moved.observation, start.key, index, len(steps))
            seen, moved = moved.observation, await ctx.step(start.task, moved.state, did.action)
            steps.append((seen, did.action, did.logp, moved.rewards["policy"]))
        names = ("observation", "action", "logp", "reward")
        block = {n: np.array(c) for n, c in zip(names, zip(*steps, strict=True), strict=True)}
        stop = StopReason.DONE if moved.done else StopReason.TRUNCATED
        turn = Turn("policy", speaker=ctx.snapshot("policy"), block=block, done=moved.done)
        total = {"policy": float(block["reward"].sum())}
        return Attempt(ctx.attempt_id(start, index), start, (turn,), stop, rewards=total)


@dataclass(frozen=True, kw_only=True)
class Return:
    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        return [verdict("return", a, a.rewards["policy"]) for a in group.attempts]


@dataclass(frozen=True, kw_only=True)
class AgainstMean:
    """Every step weighted by the episode's return minus the group's mean."""

    def select(self, ctx: Any, groups: list[Group], verdicts: Any) -> list[Sample]:
        samples = []
        for group in groups:
            returns = [verdicts.value(a) for a in group.attempts]
            for attempt, gain in zip(group.attempts, returns, strict=True):
                block = dict(attempt.turns[0].block)
                weight = np.full(len(block["action"]), gain - np.mean(returns), np.float32)
                arrays = {
                    "observation": block["observation"],
                    "action": block["action"],
                    "weight": weight,
                }
                samples.append(Sample("policy", (), arrays=arrays, sources=(attempt.id,)))
        return samples


@pytest.mark.slow
def test_a_perceptron_learns_the_short_way_through_act(tmp_path):
    parts = Parts(tasks=Draw(num=4), explore=Roam(), judge=Return(),
                  select={"policy": AgainstMean()},
                  learn={"policy": Learn(learning_rate=0.02, schedule="constant")})  # fmt: skip
    plan = Plan(
        recipe="probe_f", phases=(Phase(parts=parts, until=Until(rounds=40)),), needs=("act",)
    )
    models = {"policy": ArrayPolicy("policy", SIZE * SIZE, len(MOVES))}
    run = run_plan(plan, {"main": Grid({"g": ""})}, models, tmp_path / "run")
    first, last = attempts_of(run, 0), attempts_of(run, 39)
    mean = [np.mean([a.rewards["policy"] for a in attempts]) for attempts in (first, last)]
    assert mean[0] < 0.3 and mean[1] > 0.5
