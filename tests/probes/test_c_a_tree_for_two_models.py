"""Probe (c): a tree whose harvest feeds two models, the policy and a value model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.learn.learner import Learn
from askesis.models.tabular import TabularModel
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.records import About, Attempt, Group, Sample, Start, StopReason, Verdict, VerdictKind
from askesis.requests import All
from askesis.trees import Node, Tree
from tests.probes.house import Draw, LetterWorld, probability, row, run_plan


class TwoLetters(LetterWorld):
    """The answer is two letters; the first decides whether it can still be right."""

    def verify(self, task: Any, answer: str) -> Any:
        return super().verify(task, answer)


@dataclass(frozen=True, kw_only=True)
class Expand:
    """Two levels, `width` children each: nodes are letters, leaves are answers."""

    width: int = 3

    async def explore(self, ctx: Any, start: Start) -> Group:
        nodes, leaves, attempts = [Node(0, -1)], [], []
        firsts = await All(
            [ctx.say("policy", start, max_tokens=1, attempt=i) for i in range(self.width)]
        )
        for first in firsts:
            inner = len(nodes)
            nodes.append(Node(inner, 0, (first,), 1))
            asked = [ctx.say("policy", start, (first,), max_tokens=1, attempt=inner, draw=i)
                     for i in range(self.width)]  # fmt: skip
            for second in await All(asked):
                leaves.append(len(nodes))
                nodes.append(Node(len(nodes), inner, (second,), 2, terminal=True))
        tree = Tree(ctx.attempt_id(start, -1), start, tuple(nodes))
        for leaf in leaves:
            name = f"{tree.id}/{leaf}"
            attempts.append(Attempt(name, start, tree.turns(leaf), StopReason.DONE))
        return Group(start.key, tuple(attempts), tree)


@dataclass(frozen=True, kw_only=True)
class BackUp:
    """Leaf truth, and for inner nodes the mean of their leaves."""

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        tree, found, scores = group.tree, [], {}
        leaves = [n for n in tree.nodes if n.terminal]
        for leaf, attempt in zip(leaves, group.attempts, strict=True):
            said = "".join(t.text for t in attempt.turns)
            checked = await ctx.check(attempt.task, said)
            scores.setdefault(leaf.parent, []).append(checked.score)
            found.append(Verdict("truth", About(attempt.id), VerdictKind.OUTCOME, checked.score))
        for node, values in scores.items():
            about = About(tree.id, node=node)
            found.append(Verdict("back-up", about, VerdictKind.VALUE, sum(values) / len(values)))
        return found


@dataclass(frozen=True, kw_only=True)
class Harvest:
    """Right leaves for the policy; (node, value) rows for the value model."""

    def select(self, ctx: Any, groups: list[Group], verdicts: Any) -> list[Sample]:
        samples = []
        for group in groups:
            if ctx.slot.endswith("policy"):
                for attempt in group.attempts:
                    if verdicts.value(attempt) == 1.0:
                        rows = tuple(row(t.context, t.tokens, 1.0) for t in attempt.turns)
                        samples += [Sample("policy", (r,), sources=(attempt.id,)) for r in rows]
            else:
                for node in verdicts.of(group.tree.id, judge="back-up"):
                    letter = group.tree.nodes[node.about.node].edge[0].tokens
                    for says, weight in (("+", node.value), ("-", 1 - node.value)):
                        rows = (row(letter, ctx.encode("value", says), weight),)
                        samples.append(Sample("value", rows, sources=(group.tree.id,)))
        return samples


def test_one_tree_teaches_the_policy_and_the_value_model(tmp_path):
    learn = {name: Learn(learning_rate=0.2, schedule="constant") for name in ("policy", "value")}
    parts = Parts(tasks=Draw(num=16), explore=Expand(), judge=BackUp(),
                  select={n: Harvest() for n in learn}, learn=learn)  # fmt: skip
    plan = Plan(
        recipe="probe_c",
        phases=(Phase(parts=parts, until=Until(rounds=10)),),
        models={"policy": ModelSpec(), "value": ModelSpec()},
        roles={"policy": RoleSpec(), "value": RoleSpec(model="value")},
    )
    models = {n: TabularModel(n, "axy+-") for n in learn}
    run_plan(plan, {"main": TwoLetters({"a": "xy"})}, models, tmp_path / "run")
    assert probability(models["policy"], "a", "x") > 0.5
    assert probability(models["policy"], "x", "y") > 0.5
    assert probability(models["value"], "x", "+") > 2 * probability(models["value"], "y", "+")
