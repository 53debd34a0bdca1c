"""CPL: preferences between the steps of a plan, found by search (Wang et al. 2024)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.demonstrate import Demonstrate
from askesis.explore.search import Search
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Preference
from askesis.learn.objectives.step_values import StepValueLoss
from askesis.measure.ability import Ability
from askesis.measure.searches import Searches
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.search.evaluate import ValueHead, Verified
from askesis.search.expand import Draws
from askesis.search.select import PUCT
from askesis.search.steps import Plans
from askesis.select.threshold import Threshold
from askesis.select.tree_leaves import TreeLeaves
from askesis.select.tree_pairs import TreePairs
from askesis.select.tree_paths import TreePaths
from askesis.tasks.uniform import Uniform

Prefer = Literal["steps", "answers", "none"]


def critical_plan_steps(
    num_simulations: int = 16,
    alpha: float = 1.0,
    beta: float = 0.3,
    prefer: Prefer = "steps",
    plans: int = 2000,
    habit: str = "sub_goal",
) -> Plan:
    """Trees over the lines of a plan, each solution one last edge. Right ways are learnt from the
    phase's first weights, all values found by a model of their own; then, after all before it, a
    step that came out well is preferred to its sibling that did not, by the gap of their values.

    num_simulations: of each tree. alpha: of the gap; 0 is step-level DPO. beta: of preferences.
    prefer: steps; answers, whole ones of the same trees; or none. plans: demonstrations, in this
    habit of writing, of a phase after which there are plans; 0: none, for models that plan.
    """
    value = ValueHead(role="value", squash="tanh")
    search = Search(edge=Plans(), select=PUCT(exploration_coef=1.5), visit="opened", max_depth=6,
                    expand=Draws(num=5, temperature=0.7), num_simulations=num_simulations,
                    evaluate=value, end=Verified(wrong=-1.0))  # fmt: skip
    actor = Learn(start="phase_start", optimizer="reset", epochs=2, learning_rate=3e-4)
    critic = Learn(objectives=(StepValueLoss(coef=1.0),), learning_rate=3e-4)
    by_gap = Preference(beta=beta, gap_coef=alpha if prefer == "steps" else 0.0)
    learn = Learn(objectives=(by_gap,), reference="previous", optimizer="reset", learning_rate=1e-4)
    pairs = (
        TreePairs(zero=0.0, end_coef=0.3) if prefer == "steps"
        else TreePairs(kind="answers", max_per_tree=4)
    )  # fmt: skip
    parts = Parts(tasks=Uniform(num=256), explore=search, judge=Verifier(),
                  select={"policy": TreeLeaves(), "value": TreePaths()},
                  learn={"policy": actor, "value": critic},
                  pairs={"policy": pairs} if prefer != "none" else {},
                  prefer={"policy": learn} if prefer != "none" else {})  # fmt: skip
    main = Phase(parts=parts, measure=(Searches(), Ability()), until=Until(rounds=4),
                 round=planned_round)  # fmt: skip
    return Plan(
        recipe="critical_plan_steps",
        phases=(*plans_phase(plans, habit), main),
        models={"policy": ModelSpec(), "value": ModelSpec(heads=("value",))},
        roles={"policy": RoleSpec(), "value": RoleSpec(model="value")},
    )


def plans_phase(num_tasks: int, habit: str) -> tuple[Phase, ...]:
    """A round in which the policy learns demonstrations that plan; 0 tasks: no such phase."""
    if num_tasks == 0:
        return ()
    parts = Parts(tasks=Uniform(num=num_tasks), explore=Demonstrate(habit=habit), judge=Verifier(),
                  select={"policy": Threshold(threshold=0.0)},
                  learn={"policy": Learn(epochs=3, schedule="cosine")})  # fmt: skip
    return (Phase(name="plans", parts=parts, until=Until(rounds=1)),)


def planned_round(rd: Any, p: Parts) -> None:
    """The default round; then the pairs of the same trees, against what the round has learnt."""
    groups = rd.explore(p.explore, rd.tasks(p.tasks))
    verdicts = rd.judge(p.judge, groups)
    for model, learner in p.learn.items():
        rd.learn(model, learner, rd.select(p.select[model], groups, verdicts))
    for model, learner in p.prefer.items():
        rd.learn(model, learner, rd.select(p.pairs[model], groups, verdicts))
