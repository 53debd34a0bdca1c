"""MedS3: trees make traces, preferences and a judge of steps whose sum decides votes (Jiang et al.
2025)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.search import Search
from askesis.judge.steps.aggregated import Aggregated
from askesis.judge.steps.head import StepHead
from askesis.judge.verifier import Verifier
from askesis.judge.weighted_vote import WeightedVote
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Preference
from askesis.learn.objectives.reward_models import LabelledReward
from askesis.measure.ability import Ability
from askesis.measure.searches import Searches
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.recipes.critical_plan_steps import planned_round
from askesis.search.back_up import OfChildren
from askesis.search.expand import Draws
from askesis.search.rollouts import Rollouts
from askesis.search.select import UCT
from askesis.select.labelled import Labelled
from askesis.select.tree_leaves import TreeLeaves
from askesis.select.tree_pairs import TreePairs
from askesis.select.tree_values import TreeValues
from askesis.tasks.uniform import Uniform


def med_s3(
    num_simulations: int = 16,
    gap: float | None = 0.8,
    labels: Literal["look_back", "hard", "backed", "outcome"] = "look_back",
) -> Plan:
    """Trees whose places are worth what roll-outs from them come to. The policy learns right ways,
    then prefers the better of two ways of one depth; a head learns which steps made things worse.
    Of several answers to a task that one counts for which the head's scores add up to most.

    num_simulations: of each tree. gap: of preferences, in value (None: no preferences). labels:
    what the head learns: falls in value, whether any right end lies below, values, or outcomes of
    answers alone.
    """
    search = Search(select=UCT(exploration_coef=2.0), expand=Draws(num=3), visit="all",
                    evaluate=Rollouts(num=8, least=2), back_up=OfChildren(keep=0.5),
                    num_simulations=num_simulations)  # fmt: skip
    steps: Any = Labelled() if labels == "outcome" else TreeValues(scheme=labels, reader="steps")
    scores = LabelledReward(where="last" if labels == "outcome" else "weight")
    prefer = Learn(
        objectives=(Preference(),), reference="previous", optimizer="reset", learning_rate=1e-4
    )
    pairs = TreePairs(kind="levels", gap=gap or 0.0, max_per_tree=8)
    head = StepHead(says="correctness")
    vote = WeightedVote(inner=Aggregated(inner=head, by="last"))
    parts = Parts(tasks=Uniform(num=128), explore=search, judge=Verifier(),
                  select={"policy": TreeLeaves(), "steps": steps},
                  learn={"policy": Learn(learning_rate=3e-4),
                         "steps": Learn(objectives=(scores,), learning_rate=3e-4)},
                  pairs={"policy": pairs} if gap is not None else {},
                  prefer={"policy": prefer} if gap is not None else {})  # fmt: skip
    measure = (Searches(), Ability(judge=vote), StepQuality(judge=head))
    phase = Phase(parts=parts, measure=measure, until=Until(rounds=8), round=planned_round)
    return Plan(
        recipe="med_s3",
        phases=(phase,),
        models={"policy": ModelSpec(), "steps": ModelSpec(heads=("value",))},
        roles={"policy": RoleSpec(), "steps": RoleSpec(model="steps")},
    )
