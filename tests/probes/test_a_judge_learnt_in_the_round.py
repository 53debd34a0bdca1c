"""Probe (a): learn a judge, judge again, learn the policy, all in one round (PRIME's order)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.models.tabular import TabularModel
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.records import Group, Sample, Start, Turn, Verdict
from tests.probes.house import Draw, LetterWorld, Weighted, probability, row, run_plan, verdict


@dataclass(frozen=True, kw_only=True)
class CriticJudge:
    """The critic reads "<answer>?" after the prompt and says + or -; its P(+) is the value."""

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        found = []
        for attempt in group.attempts:
            plus = Turn("critic", "+", tokens=ctx.encode("critic", "+"))
            logp = await ctx.score("critic", Start(attempt.task), attempt.turns, plus)
            found.append(verdict("critic", attempt, float(2.718281828 ** logp[0])))
        return found


@dataclass(frozen=True, kw_only=True)
class CriticRows:
    """Truth becomes the critic's lesson: + after right answers, - after wrong ones."""

    def select(self, ctx: Any, groups: list[Group], verdicts: Any) -> list[Sample]:
        samples = []
        for attempt in (a for g in groups for a in g.attempts):
            says = "+" if verdicts.value(attempt, judge="verifier:letters") else "-"
            context = ctx.render("critic", Start(attempt.task), attempt.turns)
            rows = (row(context, ctx.encode("critic", says), 1.0),)
            samples.append(Sample("critic", rows, sources=(attempt.id,)))
        return samples


def learn_judge_first(rd: Any, p: Parts) -> None:
    groups = rd.explore(p.explore, rd.tasks(p.tasks))
    truth = rd.judge(p.truth, groups)
    rd.learn("critic", p.learn["critic"], rd.select(p.select["critic"], groups, truth))
    opinion = rd.judge(p.critic, groups)
    rd.learn("policy", p.learn["policy"], rd.select(p.select["policy"], groups, opinion))


def test_a_judge_is_learnt_and_asked_again_before_the_policy_learns(tmp_path):
    learn = {name: Learn(learning_rate=0.3, schedule="constant") for name in ("critic", "policy")}
    parts = Parts(
        tasks=Draw(num=16), explore=SampleAttempts(num_attempts=4, max_tokens=1),
        truth=Verifier(), critic=CriticJudge(), select={"critic": CriticRows(), "policy": Weighted(baseline=0.5)},
        learn=learn,
    )  # fmt: skip
    plan = Plan(
        recipe="probe_a",
        phases=(Phase(parts=parts, round=learn_judge_first, until=Until(rounds=12)),),
        models={"policy": ModelSpec(), "critic": ModelSpec()},
        roles={"policy": RoleSpec(), "critic": RoleSpec(model="critic")},
    )
    world = LetterWorld({"a": "x", "b": "x"})  # right answers end in x: a bigram critic can know
    models = {n: TabularModel(n, "abxy+-") for n in ("policy", "critic")}
    before = probability(models["policy"], "a", "x")
    run = run_plan(plan, {"main": world}, models, tmp_path / "run")
    assert probability(models["critic"], "x", "+") > 0.6 > probability(models["critic"], "y", "+")
    assert probability(models["policy"], "a", "x") > before + 0.2
    assert run.shelf.current("critic") == "critic@12"
