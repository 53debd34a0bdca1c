"""SPaR: pairs of a failed draft and its own repair, found by search (Cheng et al. 2024)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.branches import Branches
from askesis.explore.sample import SampleAttempts
from askesis.explore.search import Search
from askesis.judge.steps.branches import BranchLabels
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Preference
from askesis.measure.ability import Ability
from askesis.measure.searches import Searches
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.search.evaluate import Verified
from askesis.search.repairs import DraftsAndRepairs, Feedback, RepairBeam, Repairs
from askesis.select.pairs import BestAndWorst
from askesis.select.refine_lessons import RefineLessons
from askesis.select.repair_trees import DraftPairs, RepairsThatWon
from askesis.tasks.uniform import Uniform


def spar(
    pairs: Literal["repaired", "independent"] = "repaired",
    num_attempts: int = 5,
    feedback: Feedback = "step",
    beta: float = 0.1,
    nll_coef: float = 0.1,
    taught: int = 4,
) -> Plan:
    """Of a task's drafts one that failed is repaired by search; the repair that came right is
    preferred to that draft, and the refiner learns how it was made.

    pairs: repaired; or independent, the best and the worst of the drafts themselves. num_attempts:
    drafts. feedback: what the refiner is told, that it is wrong or which step is. beta, nll_coef:
    of DPO, and of the likelihood of what is chosen. taught: rounds before, in which the refiner
    alone learns, from drafts that were gone back into.
    """
    prefer = Learn(
        objectives=(Preference(beta=beta, nll_coef=nll_coef),),
        reference="previous",
        learning_rate=1e-4,
    )
    tasks, measure = Uniform(num=128), (Ability(), Searches())
    if pairs == "independent":
        drafts = SampleAttempts(num_attempts=num_attempts)
        parts = Parts(tasks=tasks, explore=drafts, judge=Verifier(),
                      select={"policy": BestAndWorst()}, learn={"policy": prefer})  # fmt: skip
        alone = Phase(parts=parts, measure=measure[:1], until=Until(rounds=16))
        return Plan(recipe="spar", phases=(alone,))
    search = Search(
        edge=Repairs(feedback=feedback),
        select=RepairBeam(),
        expand=DraftsAndRepairs(first=num_attempts),
        evaluate=Verified(),
        visit="all",
        num_simulations=8,
    )
    parts = Parts(
        tasks=tasks,
        explore=search,
        judge=Verifier(),
        select={"policy": DraftPairs(), "refiner": RepairsThatWon()},
        learn={"policy": prefer, "refiner": Learn(learning_rate=3e-4)},
    )
    lessons: dict[str, Any] = {"refiner": RefineLessons(max_per_task=4)}
    first = Parts(tasks=tasks, explore=Branches(), judge=BranchLabels(used=False), select=lessons,
                  learn={"refiner": Learn(epochs=4, batch_tokens=1024)})  # fmt: skip
    before = Phase(name="refiner", parts=first, until=Until(rounds=taught))
    main = Phase(parts=parts, measure=measure, until=Until(rounds=16))
    return Plan(
        recipe="spar",
        phases=(before, main) if taught else (main,),
        models={"policy": ModelSpec(), "refiner": ModelSpec()},
        roles={"policy": RoleSpec(), "refiner": RoleSpec(model="refiner")},
    )
