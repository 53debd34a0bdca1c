"""Probe (g): a proposer makes tasks, a solver tries them, and the proposer is paid by the solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.models.tabular import TabularModel
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.records import Group, Start, Task, Verdict
from tests.probes.house import LetterWorld, Weighted, probability, run_plan, verdict


@dataclass(frozen=True, kw_only=True)
class AskForTasks:
    """One start a proposal: the proposer reads "?" and names a letter."""

    num: int = 16

    def draw(self, ctx: Any) -> list[Start]:
        world = ctx.world().id
        return [Start(Task(f"ask{i}", world, "?")) for i in range(self.num)]


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """What the proposer said, as tasks whose parent is the proposal."""

    def draw(self, ctx: Any) -> list[Start]:
        starts = []
        for attempt in (a for g in ctx.inputs["proposals"] for a in g.attempts):
            if attempt.text in ("a", "b"):
                parents = (attempt.id,)
                name, world = f"{attempt.id}!", ctx.world().id
                task = Task(name, world, attempt.text, origin="proposed", parents=parents)
                starts.append(Start(task))
        return starts


@dataclass(frozen=True, kw_only=True)
class NeitherEasyNorHard:
    """A proposal is worth 1 - |2p - 1| where p is the solver's share of right answers."""

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        worth = {}
        for solved in ctx.inputs["solved"]:
            right = [ctx.inputs["verdicts"].value(a) for a in solved.attempts]
            worth[solved.attempts[0].task.parents[0]] = 1 - abs(2 * sum(right) / len(right) - 1)
        return [verdict("worth", a, worth.get(a.id, 0.0)) for a in group.attempts]


def propose_and_solve(rd: Any, p: Parts) -> None:
    proposals = rd.explore(p.propose, rd.tasks(p.ask))
    solved = rd.explore(p.solve, rd.tasks(p.proposed, proposals=proposals))
    verdicts = rd.judge(p.verify, solved)
    worth = rd.judge(p.worth, proposals, solved=solved, verdicts=verdicts)
    rd.learn("proposer", p.learn["proposer"], rd.select(p.select["proposer"], proposals, worth))


def test_the_proposer_learns_to_ask_what_the_solver_half_knows(tmp_path):
    known = [[0.0] * 7 for _ in range(7)]
    known[0][2] = 12.0  # the solver always answers a with x; b it guesses among two
    known[1][2] = known[1][3] = 12.0
    parts = Parts(
        ask=AskForTasks(), propose=SampleAttempts(role="proposer", num_attempts=1, max_tokens=1),
        proposed=Proposed(), solve=SampleAttempts(num_attempts=8, max_tokens=1), verify=Verifier(),
        worth=NeitherEasyNorHard(), select={"proposer": Weighted(baseline=0.3, role="proposer")},
        learn={"proposer": Learn(learning_rate=0.1, schedule="constant")},
    )  # fmt: skip
    plan = Plan(
        recipe="probe_g",
        phases=(Phase(parts=parts, round=propose_and_solve, until=Until(rounds=20)),),
        models={"policy": ModelSpec(trainable=False), "proposer": ModelSpec()},
        roles={"policy": RoleSpec(), "proposer": RoleSpec(model="proposer")},
    )
    models = {
        "policy": TabularModel("policy", "abxy?", known, trainable=False),
        "proposer": TabularModel("proposer", "abxy?"),
    }
    run = run_plan(
        plan, {"main": LetterWorld({"a": "x", "b": "x", "?": ""})}, models, tmp_path / "run"
    )
    proposer = models["proposer"]
    assert probability(proposer, "?", "b") > 0.6 > 0.2 > probability(proposer, "?", "a")
    assert run.shelf.current("policy") == "policy@0", "the solver did not learn"
