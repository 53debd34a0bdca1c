"""OmegaPRM: step labels by divide and conquer, for a judge that weighs votes (Luo et al. 2024)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.error_tree import ErrorTree
from askesis.explore.sample import SampleAttempts
from askesis.judge.first_error import FirstError
from askesis.judge.steps.aggregated import Aggregated
from askesis.judge.steps.head import StepHead
from askesis.judge.steps.rollouts import RolloutValues
from askesis.judge.verifier import Verifier
from askesis.judge.weighted_vote import WeightedVote
from askesis.learn.learner import Learn
from askesis.learn.objectives.reward_models import LabelledReward
from askesis.measure.ability import Ability
from askesis.measure.searches import Searches
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.select.step_labels import StepLabels
from askesis.select.threshold import Threshold
from askesis.select.tree_values import TreeValues
from askesis.tasks.uniform import Uniform


def omega_prm(
    labels: Literal["tree", "halves", "steps"] = "tree",
    label_rounds: int = 4,
    num_attempts: int = 16,
) -> Plan:
    """A head learns what completions say of prefixes around first errors; then of many answers
    those are learnt that the vote agrees with in which it gives the weights, without truth.

    labels: "tree" finds prefixes by halves and reuses roll-outs; "halves" finds where each of some
    answers was lost, which labels all steps up to there; "steps" completes every step of one
    answer, the control. label_rounds: of the first phase. num_attempts: that vote on a task.
    """
    parts_of: dict[str, tuple[Any, Any, Any]] = {
        "tree": (ErrorTree(), Verifier(), TreeValues(scheme="backed", reader="steps")),
        "halves": (SampleAttempts(num_attempts=8), FirstError(), StepLabels(balance=True)),
        "steps": (SampleAttempts(num_attempts=1), RolloutValues(), StepLabels()),
    }
    explore, judge, select = parts_of[labels]
    head = StepHead(says="correctness")
    vote = WeightedVote(inner=Aggregated(inner=head, by="product"))
    learn = Learn(objectives=(LabelledReward(where="weight"),), epochs=2, learning_rate=1e-3)
    first = Parts(tasks=Uniform(num=64), explore=explore, judge=judge, select={"steps": select},
                  learn={"steps": learn})  # fmt: skip
    parts = Parts(
        tasks=Uniform(num=128),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=vote,
        select={"policy": Threshold(max_per_task=4)},
        learn={"policy": Learn(learning_rate=3e-4)},
    )
    measure = (Searches(), Ability(judge=vote), StepQuality(judge=head))
    phases = (
        Phase(name="steps", parts=first, measure=measure, until=Until(rounds=label_rounds)),
        Phase(parts=parts, measure=measure, until=Until(rounds=8)),
    )
    return Plan(
        recipe="omega_prm",
        phases=phases if label_rounds else phases[1:],
        models={"policy": ModelSpec(), "steps": ModelSpec(heads=("value",))},
        roles={"policy": RoleSpec(), "steps": RoleSpec(model="steps")},
    )
