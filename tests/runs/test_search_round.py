"""A round of tree search on the native engine, killed in the middle and resumed, is the same round.

The process kills itself (SIGKILL) inside the engine, between two levels of the search: prefix
caches, coroutines half-way and provisional rows are gone.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from askesis.engines.native import NativeEngine
from askesis.learn.learner import Learn
from askesis.plan import Parts, Phase, Plan, Until
from askesis.records import About, Attempt, Group, Sample, Start, StopReason, Verdict, VerdictKind
from askesis.requests import All
from askesis.run import Run
from askesis.store.run_store import RunStore
from askesis.trees import Node, Tree
from tests.engines.cast import small_model
from tests.probes.house import Draw, LetterWorld, row

ROUNDS, LEVELS, WIDTH = 3, 3, 3


@dataclass(frozen=True, kw_only=True)
class Search:
    """Expand the likeliest node of every level, `width` children each."""

    width: int = WIDTH
    levels: int = LEVELS

    async def explore(self, ctx: Any, start: Start) -> Group:
        nodes, leaves, at = [Node(0, -1)], [], 0
        path: list[Any] = []
        for level in range(self.levels):
            asked = [
                ctx.say("policy", start, path, attempt=level, draw=i, max_tokens=4, stop=("\n",))
                for i in range(self.width)
            ]
            children = await All(asked)
            best = max(range(self.width), key=lambda i: float(children[i].logp_model.mean()))
            for turn in children:
                last = level == self.levels - 1
                nodes.append(Node(len(nodes), at, (turn,), level + 1, terminal=last))
                if last:
                    leaves.append(nodes[-1].index)
            at, path = nodes[best - self.width].index, [*path, children[best]]
        tree = Tree(ctx.attempt_id(start, -1), start, tuple(nodes))
        attempts = [
            Attempt(f"{tree.id}/{leaf}", start, tree.turns(leaf), StopReason.DONE)
            for leaf in leaves
        ]
        return Group(start.key, tuple(attempts), tree)


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Right is what has an odd sum of token ids: half of anything a model may say."""

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        scores = [sum(int(t.tokens.sum()) for t in a.turns) % 2 for a in group.attempts]
        return [
            Verdict("parity", About(a.id), VerdictKind.OUTCOME, float(s))
            for a, s in zip(group.attempts, scores, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Odd:
    """The turns of odd attempts, each as a sequence."""

    def select(self, ctx: Any, groups: list[Group], verdicts: Any) -> list[Sample]:
        found = []
        for attempt in (a for g in groups for a in g.attempts):
            if verdicts.value(attempt) == 1.0:
                rows = tuple(row(t.context, t.tokens, 1.0) for t in attempt.turns)
                found += [Sample("policy", (r,), sources=(attempt.id,)) for r in rows]
        return found


def plan() -> Plan:
    learn = Learn(learning_rate=0.01, schedule="constant")
    parts = Parts(tasks=Draw(num=4), explore=Search(), judge=Parity(),
                  select={"policy": Odd()}, learn={"policy": learn})  # fmt: skip
    return Plan(recipe="search", phases=(Phase(parts=parts, until=Until(rounds=ROUNDS)),), seed=5)


def finish(path: Path) -> Run:
    """Begin or continue, to the end; every round closes a segment."""
    things: Any = {"main": LetterWorld()}, {"policy": small_model(initializer_range=0.2)}
    if (path / "ledger.sqlite").exists():
        run = Run.resume(path, *things, segment_s=0)
    else:
        run = Run.create(plan(), path, *things, segment_s=0)
    try:
        run.improve()
    finally:
        run.close()
    return run


def outcome(path: Path, run: Run) -> dict[str, Any]:
    """Everything that must be equal: records, metrics, costs, weights, optimiser, states."""
    with RunStore.open(path) as store:
        point = store.resume_point()
        tables = ("tasks", "attempts", "verdicts", "samples")
        return {
            "records": {table: store.content_digest(table) for table in tables},
            "rounds": [(r["round"], r["phase"], r["costs"]) for r in store.rounds()],
            "metrics": [m for m in store.metrics() if not m["key"].endswith("_s")],
            "weights": {k: v.numpy().tobytes() for k, v in run.models["policy"].weights().items()},
            "optimizer": (point.models / "policy" / "optimizer.safetensors").read_bytes(),
            "states": repr(point.states),
            "problems": store.verify(),
        }


def die_in_level(path: Path, level: int) -> int:
    """Work on the run in a process of its own that is killed as it begins its n-th level;
    returns the signal it died of (0: it came to the end)."""
    child = os.fork()
    if child == 0:
        inner, left = NativeEngine.say, level

        def say(self: Any, requests: Any) -> Any:
            nonlocal left
            said = inner(self, requests)  # the level is computed, and lost
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return said

        NativeEngine.say = say  # type: ignore[method-assign]
        try:
            finish(path)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("whole") / "run"
    run = finish(path)
    found = outcome(path, run)
    first = small_model(initializer_range=0.2).weights()
    learnt = run.models["policy"].weights()
    assert any((first[k] != learnt[k]).any() for k in first)  # it learnt something
    assert not found["problems"]
    return found


@pytest.mark.slow
def test_a_search_round_killed_in_the_middle_equals_the_uninterrupted_one(tmp_path, uninterrupted):
    """Killed in round 1, again in what was left of it, and in round 2."""
    path = tmp_path / "run"
    for level in (5, 2, 4):
        assert die_in_level(path, level) == signal.SIGKILL
    assert outcome(path, finish(path)) == uninterrupted
