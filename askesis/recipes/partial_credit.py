"""Learning from self-sampled solutions, right and partially right ones (Ni et al. 2023)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.continue_saved import ContinueSaved
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.likelihood import SetLikelihood
from askesis.measure.ability import Ability
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.solution_pool import SolutionPool
from askesis.tasks.uniform import Uniform


def partial_credit(
    credit: Literal["partial", "right", "reference"] = "partial",
    beta: float = 0.25,
    num_attempts: int = 4,
) -> Plan:
    """Beside its reference solution every task keeps the right solutions that the model finds, and
    beginnings that lead to a state on the way of one; attempts go on from those. All are learnt.

    credit: what is kept of own attempts; "right" leaves beginnings out, "reference" keeps none and
    attempts nothing, the control. beta: of the set likelihood: 1 is MML, 0 MLE-augmented.
    num_attempts: at a task each time it is drawn.
    """
    explore = ContinueSaved(
        num_attempts=0 if credit == "reference" else num_attempts, from_kept=credit == "partial"
    )
    parts = Parts(
        tasks=Uniform(num=128, pool_size=512),
        explore=explore,
        judge=Verifier(),
        select={"policy": SolutionPool(credit=credit)},
        learn={"policy": Learn(objectives=(SetLikelihood(beta=beta),), batch_tokens=2048)},
    )
    phase = Phase(parts=parts, measure=(Ability(),), until=Until(rounds=32), round=pooled_round)
    return Plan(recipe="partial_credit", phases=(phase,))


def pooled_round(rd: Any, p: Parts) -> None:
    """A round as any other, in which attempts may go on from what the selector has kept."""
    selector = p.select["policy"]
    groups = rd.explore(p.explore, rd.tasks(p.tasks), kept=rd.state_of(selector))
    verdicts = rd.judge(p.judge, groups)
    rd.learn("policy", p.learn["policy"], rd.select(selector, groups, verdicts))
