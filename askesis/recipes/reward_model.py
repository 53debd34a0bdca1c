"""A reward model from annotated pairs (Bradley and Terry 1952; Ouyang et al. 2022)."""

from __future__ import annotations

from askesis.explore.annotated import Annotated
from askesis.judge.returns import Return
from askesis.learn.learner import Learn
from askesis.learn.objectives.reward_models import PairwiseReward, Ties
from askesis.measure.preferences import PreferenceAccuracy
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.select.pairs import BestAndWorst
from askesis.tasks.uniform import Uniform


def reward_model(
    ties: Ties = "none", margins: bool = False, centre_coef: float = 0.0, num_votes: int = 1
) -> Plan:
    """A head that says how good an answer is, such that the better one of a pair gets more.

    ties: none, rao_kupper or davidson; with the last two undecided pairs are learnt as ties.
    margins: the votes for the chosen answer, less those for the other, are asked for as a margin.
    centre_coef: pins the scores' zero. num_votes: annotators a pair.
    """
    objective = PairwiseReward(ties=ties, margins=margins, centre_coef=centre_coef)
    return Plan(
        recipe="reward_model",
        phases=(reward_phase(objective, num_votes),),
        models={"reward": ModelSpec(heads=("value",))},
        roles={"reward": RoleSpec(model="reward"), "policy": RoleSpec(model="reward")},
        worlds={"main": "preferences"},
    )


def reward_phase(
    objective: PairwiseReward = PairwiseReward(), num_votes: int = 1, rounds: int = 8
) -> Phase:
    """The phase that trains the model "reward", alone or before a policy learns from it."""
    parts = Parts(
        tasks=Uniform(num=1024),
        explore=Annotated(num_votes=num_votes),
        judge=Return(role="annotator"),
        select={"reward": BestAndWorst(reader="reward", ties=objective.ties != "none")},
        learn={"reward": Learn(objectives=(objective,), batch_tokens=2048, learning_rate=3e-4)},
    )
    measure = (PreferenceAccuracy(by="reward"),)
    until = Until(rounds=rounds)
    return Phase(name="reward", parts=parts, measure=measure, until=until, measure_every=2)
