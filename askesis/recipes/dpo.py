"""DPO: direct preference optimisation from annotated pairs (Rafailov et al. 2023)."""

from __future__ import annotations

from askesis.explore.annotated import Annotated
from askesis.judge.returns import Return
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import Loss, Preference
from askesis.measure.ability import Ability
from askesis.measure.preferences import PreferenceAccuracy
from askesis.plan import Parts, Phase, Plan, RoleSpec, Until
from askesis.select.pairs import BestAndWorst
from askesis.tasks.uniform import Uniform


def dpo(
    beta: float = 0.1, loss: Loss = "logistic", smoothing: float = 0.0, nll_coef: float = 0.0
) -> Plan:
    """Pairs of answers that somebody compared; the first model is the reference for ever.

    beta: how tightly the policy is held to the reference. loss: logistic (DPO), ipo, hinge, robust.
    smoothing: probability that a pair is the wrong way round. nll_coef: of the likelihood of the
    chosen answer, which keeps it from falling. Give pairs of your own with
    `--world pairs:FILE.jsonl`.
    """
    learn = Learn(
        objectives=(Preference(beta=beta, loss=loss, smoothing=smoothing, nll_coef=nll_coef),),
        reference="base",
        learning_rate=1e-4,
    )
    parts = Parts(
        tasks=Uniform(num=512),
        explore=Annotated(),
        judge=Return(role="annotator"),
        select={"policy": BestAndWorst()},
        learn={"policy": learn},
    )
    measure = (PreferenceAccuracy(), Ability())
    return Plan(
        recipe="dpo",
        phases=(Phase(parts=parts, measure=measure, until=Until(rounds=8), measure_every=2),),
        roles={"policy": RoleSpec(), "reference": RoleSpec(snapshot="base")},
        worlds={"main": "preferences"},
    )
