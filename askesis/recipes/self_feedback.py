"""SELF: a model taught to judge and refine answers, which then teaches itself (Lu et al. 2023)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.against_demonstration import AgainstDemonstration
from askesis.explore.turns import SelfCorrect
from askesis.judge.own_feedback import OwnFeedback
from askesis.judge.self_consistency import SelfConsistency
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.audit import Audit
from askesis.measure.correction import Correction
from askesis.plan import Parts, Phase, Plan, RoleSpec, Until
from askesis.retain.replay import Replay
from askesis.select.exchanges import TERMS
from askesis.select.feedback_lessons import FeedbackLessons
from askesis.select.refined import Refined
from askesis.tasks.uniform import Uniform

Filter = Literal["feedback", "agreement", "none"]
ROLES = {"policy": RoleSpec(), "critic": RoleSpec()}  # of one model, which judges itself


def self_feedback(
    num_labelled: int = 1000, direct_coef: float = 1.0, filter_by: Filter = "feedback",
    num_attempts: int = 4, refine: bool = True, meta_share: float = 0.25,
) -> Plan:  # fmt: skip
    """A teacher's feedback on own answers first; then, without labels: answer, own feedback,
    refined answer, kept if the model's own feedback accepts it.

    num_labelled: tasks of the first phase. direct_coef: b, of plain answers beside feedback and
    refinement. filter_by: what is kept: accepted by own feedback, agreeing with the majority, or
    all. refine: without, first answers are judged and kept. meta_share: of the tokens learnt later,
    share from the first phase.
    """
    lessons = FeedbackLessons(direct_coef=direct_coef, max_per_task=2)
    learn = Learn(epochs=4, batch_tokens=2048, schedule="cosine")  # a way of talking that is new
    shown = AgainstDemonstration(num_attempts=2)
    meta = Parts(
        tasks=Uniform(num=num_labelled), explore=shown, judge=Verifier(),
        select={"policy": lessons}, learn={"policy": learn},
    )  # fmt: skip
    judge: Any = OwnFeedback() if filter_by == "feedback" else SelfConsistency()
    least, turns = None if filter_by == "none" else 1.0, 2 if refine else 1
    own = SelfCorrect(num_attempts=num_attempts, num_turns=turns, critic="critic", critic_tokens=32)
    accepted = Refined(terms=TERMS, direct_coef=direct_coef, threshold=least)
    alone = Parts(
        tasks=Uniform(), explore=own, judge=judge,
        select={"policy": accepted}, learn={"policy": Learn(learning_rate=3e-4)},
    )  # fmt: skip
    kept = (Replay(rounds=1000, fraction=meta_share, phases=("meta_skill",)),)
    first = Phase(name="meta_skill", parts=meta, retain=kept, until=Until(rounds=1))
    measure = (Ability(), Correction(), Audit())
    main = Phase(parts=alone, measure=measure, retain=kept, until=Until(rounds=8))
    return Plan(recipe="self_feedback", phases=(first, main), roles=ROLES, truth="steps")
