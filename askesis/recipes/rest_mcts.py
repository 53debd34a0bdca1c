"""ReST-MCTS*: search under a value model makes the data for both (Zhang et al. 2024)."""

from __future__ import annotations

from askesis.explore.search import Search
from askesis.judge.steps.head import StepHead
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.reward_models import LabelledReward
from askesis.measure.ability import Ability
from askesis.measure.searches import Searches
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.search.back_up import OfChildren
from askesis.search.evaluate import ValueHead
from askesis.search.expand import Draws
from askesis.search.rollouts import Ahead, Rollouts
from askesis.search.select import UCT
from askesis.select.tree_leaves import TreeLeaves
from askesis.select.tree_values import TreeValues
from askesis.tasks.uniform import Uniform


def rest_mcts(num_simulations: int = 24, gate: float | None = 0.1, warm: int = 4) -> Plan:
    """A search that only the value model guides; then the base policy learns right traces, and the
    value model how far each prefix is on its way to a right end.

    num_simulations: of each tree. gate: below which no step of a trace may be valued (None: right
    is enough). warm: rounds before, in which roll-outs guide and the value model alone learns.
    """
    value = ValueHead(role="value", squash="sigmoid")
    grow, select = Draws(num=3, temperature=0.7), UCT(exploration_coef=0.7)
    search = Search(select=select, expand=grow, evaluate=value, end=value, back_up=OfChildren(),
                    ahead=Ahead(), visit="best", num_simulations=num_simulations)  # fmt: skip
    before = Search(
        select=select, expand=grow, evaluate=Rollouts(), num_simulations=num_simulations
    )
    critic = Learn(objectives=(LabelledReward(where="weight"),), learning_rate=3e-4)
    actor = Learn(start="base", optimizer="reset", learning_rate=3e-4)
    prefixes = TreeValues(scheme="shared", reader="value")
    first = Parts(tasks=Uniform(num=128), explore=before, judge=Verifier(),
                  select={"value": prefixes}, learn={"value": critic})  # fmt: skip
    parts = Parts(tasks=Uniform(num=128), explore=search, judge=Verifier(),
                  select={"policy": TreeLeaves(gate=gate, num=10), "value": prefixes},
                  learn={"policy": actor, "value": critic})  # fmt: skip
    measure = (Searches(), Ability(), StepQuality(judge=StepHead(head="value")))
    main = Phase(parts=parts, measure=measure, until=Until(rounds=4))
    value_phase = Phase(name="value", parts=first, measure=measure, until=Until(rounds=warm))
    return Plan(
        recipe="rest_mcts",
        phases=(*((value_phase,) if warm else ()), main),
        models={"policy": ModelSpec(), "value": ModelSpec(heads=("value",))},
        roles={"policy": RoleSpec(), "value": RoleSpec(model="value")},
    )
