"""Probe (h): a judge of ordered pairs, and learning from the winners."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from askesis.explore.sample import SampleAttempts
from askesis.learn.learner import Learn
from askesis.models.scripted import ScriptedModel
from askesis.models.tabular import TabularModel
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.records import About, Group, Sample, Start, Task, Verdict, VerdictKind
from tests.probes.house import Draw, LetterWorld, probability, row, run_plan


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Asks the referee about every pair in both orders; its two answers are the draws."""

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        found = []
        for a, b in combinations(group.attempts, 2):
            draws = []
            for first, second, wins in ((a, b, "1"), (b, a, "2")):
                question = Task(
                    "pair", a.task.family, f"{a.task.prompt}: {first.text} or {second.text}?"
                )
                said = await ctx.say("referee", Start(question))
                draws.append(float(said.text == wins))
            value = sum(draws) / 2
            about = About(a.id, other=b.id)
            found.append(
                Verdict("referee", about, VerdictKind.PREFERENCE, value, draws=tuple(draws))
            )
        return found


@dataclass(frozen=True, kw_only=True)
class PairRows:
    """A sample per decided pair: winner and loser, one atom, pushed apart."""

    def select(self, ctx: Any, groups: list[Group], verdicts: Any) -> list[Sample]:
        samples = []
        attempts = {a.id: a for g in groups for a in g.attempts}
        for v in verdicts:
            if v.value == 0.5:
                continue
            pair = (v.about.attempt, v.about.other)[:: 1 if v.value > 0.5 else -1]
            turns = [attempts[name].turns[0] for name in pair]
            weights = (1.0, -1.0)
            rows = tuple(row(t.context, t.tokens, w) for t, w in zip(turns, weights, strict=True))
            samples.append(Sample("policy", rows, columns={"margin": 1.0}, sources=pair))
        return samples


def likes_the_later_letter(text: str, u: float) -> str:
    first, second = text.split(": ")[1].rstrip("?").split(" or ")
    return "1" if first > second else "2" if second > first else "tie"


def test_a_pairwise_judge_teaches_which_of_two_is_better(tmp_path):
    parts = Parts(tasks=Draw(num=8), explore=SampleAttempts(num_attempts=4, max_tokens=1),
                  judge=Compare(), select={"policy": PairRows()},
                  learn={"policy": Learn(learning_rate=0.3, schedule="constant")})  # fmt: skip
    plan = Plan(
        recipe="probe_h",
        phases=(Phase(parts=parts, until=Until(rounds=15)),),
        models={"policy": ModelSpec(), "referee": ModelSpec(trainable=False)},
        roles={"policy": RoleSpec(), "referee": RoleSpec(model="referee")},
        truth="none",
    )
    models = {
        "policy": TabularModel("policy", "abxy"),
        "referee": ScriptedModel("referee", likes_the_later_letter),
    }
    run = run_plan(plan, {"main": LetterWorld()}, models, tmp_path / "run")
    assert probability(models["policy"], "a", "y") > 0.7
    pairs = [v for v in run.store.read("verdicts") if v.about.other]
    assert pairs and all(v.kind is VerdictKind.PREFERENCE for v in pairs)
