"""Self-reinforcement: a model learns from questions without answers, against its weaker self."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.against import Against
from askesis.explore.demonstrate import Demonstrate
from askesis.judge.own_likelihood import OwnLikelihood
from askesis.judge.self_consistency import SelfConsistency
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Preference
from askesis.measure.ability import Ability
from askesis.measure.pair_truth import PairTruth
from askesis.plan import Parts, Phase, Plan, RoleSpec, Until
from askesis.select.sides import Sides
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform

Filter = Literal["likelihood", "agreement", "none"]


def self_reinforcement(
    num_labelled: int = 200, beta: float = 0.1, filter_by: Filter = "likelihood"
) -> Plan:
    """A few demonstrations make the first model a better one. Then, without answers: what the
    better says is preferred to what the weaker one said, as far as the better agrees; each round's
    result is the next round's better, and its better the next one's weaker.

    num_labelled: demonstrations of the first phase. filter_by: which pairs the better model lets
    through: those whose chosen side it finds likelier a token, those whose chosen side agrees with
    the majority of the group and whose rejected side does not, or all of them.
    """
    seed = Parts(
        tasks=Uniform(num=num_labelled, pool_size=num_labelled),
        explore=Demonstrate(),
        judge=Verifier(),
        select={"policy": Threshold()},
        learn={"policy": Learn(epochs=4)},
    )
    judge: Any = SelfConsistency() if filter_by == "agreement" else OwnLikelihood(mean=True)
    least = {"likelihood": 0.0, "agreement": 1.0, "none": None}[filter_by]
    sides = Sides(chosen="policy", rejected="weaker", judged=least is not None, min_margin=least)
    main = Parts(
        tasks=Uniform(num=512),
        explore=Against(num_attempts=4, opponent="weaker"),
        judge=judge,
        select={"policy": sides},
        learn={"policy": Learn(objectives=(Preference(beta=beta),), reference="previous",
                               learning_rate=1e-4)},
    )  # fmt: skip
    measure, roles = (Ability(), PairTruth()), {"policy": RoleSpec()}
    roles["weaker"] = RoleSpec(snapshot="previous")  # what it was before it learnt last
    labelled = Phase(name="seed", parts=seed, measure=measure, until=Until(rounds=1))
    phase = Phase(parts=main, measure=measure, until=Until(rounds=4))
    return Plan(recipe="self_reinforcement", phases=(labelled, phase), roles=roles)
